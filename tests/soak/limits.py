"""A limit holds over time: of three times as much as it lets pass, as many pass as it says, with one worker and with two, while its documents are read anew."""

import re
import time

from change import Pace, take_documents
from machine import LOAD_CORE, pinned
from stack import SoakFailure, Stack, at, listener
from support.fleet import BIN, Fleet
from support.hop import API

PER_SECOND, BURST, TIMES = 200, 400, 3
CONNECTIONS = 4


def limit(name, **numbers):
    spec = {"targetRefs": [{"kind": "Service", "name": "backend"}], "rules": [{"name": "all", "limits": [{"per": "1s", **numbers}]}]}
    return {"apiVersion": API, "kind": "RateLimitPolicy", "metadata": {"name": name}, "spec": spec}


def start_load(stack, port, seconds):
    words = ["h2load", "-D", seconds, "-c", CONNECTIONS, "-m", 10, "--rps", PER_SECOND * TIMES // CONNECTIONS, "-t", 1, "--connect-to", at(port), "http://backend/1k"]
    return stack.fleet.start("load", pinned(LOAD_CORE, *words))


def counted(output):
    """(passed, refused) of what h2load says."""
    found = re.search(r"status codes: (\d+) 2xx, 0 3xx, (\d+) 4xx, 0 5xx", output)
    if found is None or " 0 errored, 0 timeout" not in output:
        raise SoakFailure(output[-600:])
    return int(found[1]), int(found[2])


def hold(run, stack, seconds):
    """What passed, in parts of what was to pass."""
    backend = stack.backend()
    far = stack.callee("far", backend)
    near = stack.caller([far.inbound])
    documents = [limit("held", requests=PER_SECOND, burst=BURST)]
    far.write([listener("inbound", far.inbound, at(backend))], documents)
    far.generation = 1
    take_documents(far)
    begun = time.monotonic()
    load = start_load(stack, near.outbound, seconds)
    pace = Pace(seconds / 6, seconds * 0.9)
    reloads = 0
    while pace() and load.running():
        reloads += 1
        # Another limit beside it, that never says no, comes and goes.
        far.write([listener("inbound", far.inbound, at(backend))], documents + [limit("wide", requests=1000000)] * (reloads % 2))
        take_documents(far)
    load.wait(seconds + 60)
    most = PER_SECOND * (time.monotonic() - begun) + BURST
    passed, refused = counted(load.output())
    part = passed / (PER_SECOND * seconds + BURST)
    run.say(f"{stack.workers} workers: {passed} of {passed + refused} passed, {part:.4f} of what the limit says, over {reloads} reloads")
    run.check(passed <= most, f"never more than in all of the time: {most:.0f}")
    run.check(passed + refused > PER_SECOND * seconds * TIMES * 0.8 + BURST, "the load was what it was to be")
    run.check(abs(part - 1) <= (0.2 if run.quick else 0.01), "as many as the limit says")
    return part


def limits(run):
    figures = {}
    for workers in (1, 2):
        with Fleet() as fleet:
            figures[f"{workers} workers"] = round(hold(run, Stack(fleet, BIN, workers), run.seconds(60, 4)), 4)
    return figures
