#!/usr/bin/python3
"""Long runs: all that is counted in minutes or millions. `./dev soak [NAME ...]` calls it; each soak is bounded in count and in time.

    soak.py [--quick] [--list] [--workers N] [--seconds N] [NAME ...]

Prints a line for each step and a summary; keeps figures in bench/results/soak.json, by name. Exit code: 0 when all that was asked for held, 1 when not.
"""

import argparse
import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
os.environ.setdefault("OUTRIGGER_BIN", str(ROOT / "build" / "release" / "bin"))
sys.path[:0] = [str(ROOT / "tests" / "soak"), str(ROOT / "tests"), str(ROOT / "bench")]
import bare  # noqa: E402
import change  # noqa: E402
import crowds  # noqa: E402
import endurance  # noqa: E402
import fairness  # noqa: E402
import floods  # noqa: E402
import kill  # noqa: E402
import limits  # noqa: E402
import shortage  # noqa: E402
import upgrade  # noqa: E402
from machine import Failure  # noqa: E402
from stack import NotHere, SoakFailure, Stack  # noqa: E402
from support.fleet import BIN, WORKERS, Fleet, FleetError  # noqa: E402

RESULTS = ROOT / "bench" / "results" / "soak.json"


@dataclass(frozen=True)
class Soak:
    name: str
    what: str
    run: object
    limit_s: int         # of the whole; --quick gets a tenth
    default: bool = True


SOAKS = [
    Soak("pair", "10 million requests through a pair of sidecars: none fails, memory stays flat", endurance.pair, 3600),
    Soak("pair-asan", "1 million with AddressSanitizer: none fails, nothing leaks", endurance.pair_sanitized, 3600),
    Soak("reload", "documents rewritten every 100 ms under load: none fails", change.reload, 900),
    Soak("rotate", "certificates every second and the authority in between, under load: none fails", change.rotate, 900),
    Soak("sigterm", "one of two replicas' sidecars is stopped again and again under load: none fails", change.sigterm, 900),
    Soak("upgrade", "both sidecars of a pair are replaced by new processes every 10 s under load: none fails", upgrade.upgrade, 600),
    Soak("kill", "applications are killed under load: only what may have run fails, nothing runs twice", kill.kill, 900),
    Soak("limits", "of three times as much as a limit lets pass, as many pass as it says, to 1 %, with one worker and with two, over reloads", limits.limits, 300),
    Soak("stalled", "beside 50 stalled streams on its connection a request is as fast as alone", fairness.stalled, 600),
    Soak("download", "1 GB beside small requests: their p50 stays below twice that of without", fairness.download, 600),
    Soak("transfer", "1 GB each way with checksums, memory bounded", endurance.transfer, 600),
    Soak("floods", "hostile clients: memory and processor bounded, others served", floods.floods, 900),
    Soak("websockets", "8,000 WebSockets through one proxy that talk, come and go: nothing is lost or wrong, memory stays flat", crowds.websockets, 1500),
    Soak("tcp", "the same with 8,000 opaque connections", crowds.tcp, 1500),
    Soak("descriptors", "clients take all descriptors again and again: those that are there are served, all come back", shortage.descriptors, 600),
    Soak("memory", "32 MiB in all and a flood that wants much more: load is shed, what has begun is finished, all comes back", shortage.memory, 600),
    Soak("bare", "the README's two commands on bare Debian roots", bare.bare, 14400, default=False),
]


class Run:
    """One soak that runs: where it gets its processes, and where it says what it does."""

    def __init__(self, soak, options, fleet):
        self.soak, self.quick, self.fleet = soak, options.quick, fleet
        self.workers, self.asked_s = options.workers, options.seconds
        self.begun = time.monotonic()

    def size(self, full, quick=None):
        """A count or a duration: of the quick variant a hundredth, or what is given for it."""
        if not self.quick:
            return full
        return quick if quick is not None else full // 100

    def seconds(self, full, quick):
        """How long the load goes on: what --seconds says, else as `size`."""
        return self.asked_s or self.size(full, quick)

    def stack(self, binaries=BIN, fleet=None):
        return Stack(fleet or self.fleet, binaries, self.workers)

    def say(self, text):
        print(f"{self.soak.name}: {time.monotonic() - self.begun:6.1f} s  {text}", flush=True)

    def check(self, held, text):
        self.say(f"{'ok  ' if held else 'FAIL'} {text}")
        if not held:
            raise SoakFailure(text)


def on_alarm(*_):
    raise SoakFailure("took longer than it may")


def run_one(soak, options):
    """(figures or None, why it failed or None); NotHere where it cannot run."""
    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(soak.limit_s // 10 if options.quick else soak.limit_s + 2 * (options.seconds or 0))
    try:
        with Fleet() as fleet:
            figures = soak.run(Run(soak, options, fleet))
        return figures, None
    except (SoakFailure, FleetError, Failure) as failure:
        return None, str(failure)
    finally:
        signal.alarm(0)


def keep(results):
    """Merges figures by name into those of earlier runs."""
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    known.update(results)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def options_read():
    parser = argparse.ArgumentParser(description="Long runs of the proxy.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="all but `bare` by default")
    parser.add_argument("--quick", action="store_true", help="a hundredth of each: for a look, and for ./dev test")
    parser.add_argument("--list", action="store_true", help="the names")
    parser.add_argument("--seconds", type=int, help="how long the load goes on, in soaks that are so measured: upgrade, websockets, tcp, descriptors, memory")
    parser.add_argument("--workers", type=int, default=WORKERS, help="event loops of each proxy")
    options = parser.parse_args()
    known = {soak.name: soak for soak in SOAKS}
    for name in options.names:
        if name not in known:
            parser.error(f"no soak {name}; there are: {' '.join(known)}")
    options.soaks = [known[name] for name in options.names] or [soak for soak in SOAKS if soak.default]
    return options


def main():
    options = options_read()
    if options.list:
        for soak in SOAKS:
            print(f"{soak.name:10} {soak.what}{'' if soak.default else ' (only by name)'}")
        return 0
    outcomes = []
    for soak in options.soaks:
        begun = time.monotonic()
        try:
            figures, failure = run_one(soak, options)
        except NotHere as reason:
            print(f"{soak.name}: not run: {reason}")
            continue
        outcomes.append((soak, figures, failure, time.monotonic() - begun))
        if figures and not options.quick:
            keep({soak.name: figures})
    print()
    for soak, figures, failure, took in outcomes:
        verdict = "FAILED" if failure else "held"
        print(f"{verdict:6} {soak.name:10} {took:6.0f} s  {failure.splitlines()[0] if failure else json.dumps(figures)}")
    return 1 if any(failure for _, _, failure, _ in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
