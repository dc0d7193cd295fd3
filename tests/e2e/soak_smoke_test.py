# presets: release
# seconds: 110
# places: 3
"""Each soak runs in its short form: what it must show holds on a hundredth of its size, and the soaks themselves work. What they show at full size is ./dev soak's."""

import subprocess
import sys

import pytest

from support.fleet import ROOT

SOAK = ROOT / "tests" / "soak" / "soak.py"


def soak(*words):
    return subprocess.run([sys.executable, "-B", SOAK, *words], capture_output=True, text=True, timeout=250, check=False)


def names():
    return [line.split()[0] for line in soak("--list").stdout.splitlines() if "(only by name)" not in line]


@pytest.mark.parametrize("name", names())
def test_holds_in_short(name):
    done = soak("--quick", name)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_unknown_name_is_refused_with_those_that_there_are():
    done = soak("no-such-soak")
    assert done.returncode == 2 and "sigterm" in done.stderr
