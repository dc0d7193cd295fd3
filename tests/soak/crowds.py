"""Soaks of many connections that live long: 8,000 WebSockets and 8,000 opaque connections through one proxy, which talk, come and go. Each takes two
descriptors of the proxy, of which a process may often have 20,000.
"""

import json
import resource
import sys
import time
from pathlib import Path

from machine import LOAD_CORE, pinned, pss_kb
from measure import growth_percent
from stack import Sidecar, SoakFailure, at
from support.fleet import accepts, eventually, prints, take_port
from support.hop import service

HERE = Path(__file__).parent
CONNECTIONS = 8000
MESSAGES_PER_S = 2000
ENDS_PER_S = 100
DESCRIPTORS_BESIDE = 500    # what a process needs besides, with room
SAMPLE_S = 1.0
WARM = 0.3                  # of the time: until then free lists and the allocator's pages fill
GROWTH_PERCENT = 2.0        # a leak of 200 bytes for each connection that came and went would be more
RAMP_S = 400


def check_descriptors(count):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * count + DESCRIPTORS_BESIDE:
        raise SoakFailure(f"a process may have {hard} descriptors here; {count} connections through a proxy take {2 * count + DESCRIPTORS_BESIDE}")


def echo_application(run, tongue):
    port = take_port()
    words = pinned(LOAD_CORE, sys.executable, "-B", HERE / "echo_app.py", port, tongue)
    run.fleet.start("application", words, accepts(at(port)), exit_codes=(-15,))
    return port


def opaque_sidecar(stack, port):
    """A proxy whose listener takes opaque connections for `backend`."""
    inbound = take_port()
    listener = {"name": "tcp", "role": "TCP", "address": at(inbound), "service": {"name": "backend"}}
    sidecar = Sidecar(stack, "near", "caller", [listener], [service("backend", [at(port)], protocol="TCP")])
    sidecar.inbound = inbound
    return sidecar.start()


def websocket_sidecar(stack, port):
    return stack.callee("far", port, mode="Disable")


def watch(run, sidecar, crowd, seconds):
    """Samples (s, KiB) while the crowd stays."""
    begun, samples, said = time.monotonic(), [], 0
    while crowd.running() and "going" not in crowd.output():
        now = time.monotonic() - begun
        samples.append((now, pss_kb([sidecar.pid])))
        if int(10 * now / seconds) > said:
            said = int(10 * now / seconds)
            run.say(f"{sidecar.figure('outrigger_tunnels_active'):.0f} open, {samples[-1][1]} KiB")
        time.sleep(SAMPLE_S if not run.quick else SAMPLE_S / 10)
    return samples


def crowd_of(run, sidecar, tongue, count):
    check_descriptors(count)
    seconds = run.seconds(600, 4)
    before = {name: sidecar.figure(name) for name in ("process_open_fds", "outrigger_tunnels_active")}
    words = pinned(LOAD_CORE, sys.executable, "-B", HERE / "crowd.py", sidecar.inbound, tongue, count, seconds,
                   run.size(MESSAGES_PER_S, 600), run.size(ENDS_PER_S, 20))
    crowd = run.fleet.start("crowd", words, prints("full"), timeout=RAMP_S)
    run.say(f"{count} are open, the proxy has {pss_kb([sidecar.pid])} KiB")
    samples = watch(run, sidecar, crowd, seconds)
    crowd.wait(300)
    counted = json.loads(crowd.output().splitlines()[-1])
    judge(run, counted, count)
    growth = growth_percent(samples, WARM * seconds, seconds)
    text = f"{samples[int(WARM * len(samples))][1]} KiB once warm, {samples[-1][1]} at the end, {growth:+.2f} % in between"
    if run.quick:
        run.say(text)  # too short to say anything of a slope
    else:
        run.check(growth < GROWTH_PERCENT, text)
    for name, value in before.items():
        # A connection upstream may be kept for a while; of these none can be.
        eventually(lambda name=name, value=value: sidecar.figure(name) <= value + 1, what=f"{name} being {value} again")
    run.check(True, "all connections and descriptors were given back")
    opened = counted["opened"]
    return {"connections": count, "seconds": seconds, "opened": opened, "messages": counted["messages"], "bytes": counted["bytes"], "failed": 0,
            "pss_kb": samples[-1][1], "growth_percent": round(growth, 2)}


def judge(run, counted, count):
    ends = {how: counted[how] for how in ("client", "application", "reset", "cut")}
    run.say(f"{counted['opened']} opened; ended by {ends}; at least {counted['fewest']} at once; {counted['messages']} messages, {counted['large']} of them of 1 MB")
    faults = {name: counted[name] for name in ("lost", "wrong", "broken", "left")}
    run.check(not any(faults.values()), f"nothing lost or wrong: {faults} {counted['first_error'] or ''}")
    run.check(counted["fewest"] >= count * 0.9, f"{counted['fewest']} connections or more all the time")
    run.check(counted["messages"] >= count and all(ends.values()), f"{counted['bytes']} bytes came back as they were sent")


def websockets(run):
    return crowd_of(run, websocket_sidecar(run.stack(), echo_application(run, "websockets")), "websockets", run.size(CONNECTIONS, 64))


def tcp(run):
    return crowd_of(run, opaque_sidecar(run.stack(), echo_application(run, "tcp")), "tcp", run.size(CONNECTIONS, 64))
