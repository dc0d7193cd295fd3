#!/usr/bin/python3
"""Measures Outrigger beside nginx and HAProxy in one run and prints a table of ratios: see bench/README.md. `./dev bench` calls it.

    bench/run.py [case...] [--quick] [--no-peers] [--only NAME,NAME] [--seconds N] [--rounds N] [--build DIR] [--no-build] [--list]

A run of all cases with all peers writes bench/results/bench.json and bench.svg; any other writes both into the build folder.
Exit codes: 0 all goals met (or none could be told), 1 a goal missed or a measurement failed, 2 usage.
"""
import argparse
import json
import os
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(ROOT, "bench"), os.path.join(ROOT, "tests")]
import chart  # noqa: E402
import report  # noqa: E402
from cases import CASES  # noqa: E402
from harness import Bench  # noqa: E402
from peers import all_peers  # noqa: E402


def options_read():
    parser = argparse.ArgumentParser(description="Measures Outrigger beside nginx and HAProxy.")
    parser.add_argument("cases", nargs="*", metavar="case", help="cases to run, all by default")
    parser.add_argument("--quick", action="store_true", help="one short round: for a look, not for a claim")
    parser.add_argument("--no-peers", action="store_true", help="ours and the bare relay alone")
    parser.add_argument("--only", metavar="NAMES", help="of ours,nginx,haproxy,relay")
    parser.add_argument("--seconds", type=float, help="the counted phase of a measurement")
    parser.add_argument("--rounds", type=int, help="how often each is measured")
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"), help="the build folder")
    parser.add_argument("--no-build", action="store_true", help="measure what is there")
    parser.add_argument("--list", action="store_true", help="the names of the cases")
    options = parser.parse_args()
    known = [case.name for case in CASES]
    for name in options.cases:
        if name not in known:
            parser.error(f"no case {name}; there are: {' '.join(known)}")
    options.names = set((options.only or ("ours,relay" if options.no_peers else "ours,nginx,haproxy,relay")).split(","))
    if options.names - set(report.COLUMNS):
        parser.error(f"--only takes names of {','.join(report.COLUMNS)}")
    options.seconds = options.seconds or (0.6 if options.quick else 2.0)
    options.rounds = options.rounds or (1 if options.quick else 5)
    return options


def build(folder, names):
    """The release build, only what is measured: without ours the proxy need not even compile."""
    targets = ["bench-programs"] + (["outrigger-proxy", "bench-balancer", "bench-limit-keys", "bench-request-series"] if "ours" in names else [])
    commands = [["ninja", "-C", folder, *targets]]
    if not os.path.exists(os.path.join(folder, "build.ninja")):
        commands.insert(0, ["cmake", "-S", ROOT, "--preset", "release", "-B", folder])
    for command in commands:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-3000:]}")


def results_folder(options):
    whole = not options.cases and not options.quick and {"ours", "nginx", "haproxy"} <= options.names
    return os.path.join(ROOT, "bench", "results") if whole else os.path.join(options.build, "bench")


def main():
    options = options_read()
    if options.list:
        print("\n".join(case.name for case in CASES))
        return 0
    if not options.no_build:
        build(options.build, options.names)
    binaries = os.path.join(options.build, "bin")
    peers = [peer for peer in all_peers(binaries) if peer.name in options.names]
    cases = [case for case in CASES if not options.cases or case.name in options.cases]
    bench = Bench(binaries, peers, options.rounds, options.seconds, warmup=0.3 if options.quick else 0.5)
    started = time.monotonic()
    bench.run(cases, lambda case: print(f"measured {case.name} ({time.monotonic() - started:.0f} s)", file=sys.stderr, flush=True))

    results = [report.row_result(case, row, bench.samples) for case in cases for row in case.rows]
    print("\n".join(report.table_lines(results, options.names)))
    for name, notes in bench.notes.items():
        for note in notes:
            print(f"{name}: {note}")
    for (case, peer), text in bench.failures.items():
        print(f"FAILED {case}, {peer}: {text}")
    folder = results_folder(options)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "bench.json"), "w") as file:
        json.dump(report.as_json(results, bench, binaries), file, indent=1)
        file.write("\n")
    with open(os.path.join(folder, "bench.svg"), "w") as file:
        file.write(chart.draw(results))
    print(f"results: {os.path.relpath(folder)}/bench.json, bench.svg")
    return 1 if bench.failures or any(result["verdict"] == "MISSED" for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
