"""Signals that come before the process watches them, or while it ends: it ends in order all the same, with exit code 0."""

import signal
from pathlib import Path

import pytest

from support.backend import reply
from support.fleet import BIN, Fleet, eventually
from support.hop import Hop

STARTS = 5


@pytest.mark.parametrize("late", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_up_to_the_last_moment_do_not_cut_the_end_short(late):
    with Fleet() as fleet:
        backend = fleet.backend(reply(200, b"ok"))
        for start in range(STARTS):
            hop = Hop(fleet, {"backend": [backend.address]}, name=f"hop{start}")
            hop.process.signal(signal.SIGTERM)
            while hop.process.running() and "event=drained" not in hop.process.output():
                pass
            while hop.process.running():
                hop.process.signal(late)
            assert hop.process.wait() == 0


@pytest.mark.parametrize("early", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_signals_from_the_first_moment_do_not_end_the_start(early):
    """With documents that take a while to read, so that most of these come before they are."""
    with Fleet() as fleet:
        backend = fleet.backend(reply(200, b"ok"))
        for start in range(STARTS):
            hop = Hop(fleet, {f"s{number}": [backend.address] for number in range(300)}, name=f"hop{start}", start=False)
            hop.write()

            def can_be_told(process):
                return holds(process.child.pid, early) or "event=ready" in process.output()
            process = fleet.start(f"hop{start}", [BIN / "outrigger-proxy", "--config", hop.config], can_be_told)
            process.signal(early)
            if early != signal.SIGTERM:
                eventually(lambda: "event=ready" in process.output())
                process.signal(signal.SIGTERM)
            assert process.wait() == 0


def holds(pid, number):
    """Whether the process holds this signal back, as it does from its first line to the moment at which it watches it."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return False
    mask = next(line for line in status.splitlines() if line.startswith("SigBlk:"))
    return int(mask.split()[1], 16) >> (number - 1) & 1
