"""Binary upgrade under load: the callee's sidecar is replaced by a new process every 10 s, the caller's in between. No request fails; nothing is left behind."""

import time

from stack import SoakFailure, at, check_clean
from support.fleet import answers, eventually
from machine import PROXY_CORE, pinned

EVERY_S = 10


def replace(sidecar):
    """A new process takes the place of the sidecar's; returns how long it took to be ready, in ms."""
    begun = time.monotonic()
    old = sidecar.process
    words = pinned(PROXY_CORE, sidecar.stack.binaries / "outrigger-proxy", "--config", sidecar.folder, "--upgrade")
    sidecar.process = sidecar.stack.fleet.start(sidecar.name, words, lambda process: " event=ready " in process.output())
    took_ms = (time.monotonic() - begun) * 1000
    eventually(lambda: " event=handed_over " in old.output(), what="the old process handing over")
    if not answers(at(sidecar.metrics))(None):
        raise SoakFailure("the new process is not ready")
    return old, took_ms


def upgrade(run):
    """For three minutes, or what is asked for, over HTTP/1.1 with connections that are kept."""
    stack = run.stack()
    folder = stack.fleet.folder
    spec = {"limits": {"drainTimeout": "20s"}}
    far = stack.callee("far", stack.backend(), upgrade={"path": str(folder / "far.upgrade")}, **spec)
    near = stack.caller([far.inbound], upgrade={"path": str(folder / "near.upgrade")}, **spec)
    seconds = run.seconds(180, 12)
    load = stack.load(near.outbound, seconds, connections=16)
    old, took = [], []
    end = time.monotonic() + seconds - 3
    pause = EVERY_S / 2 if not run.quick else 2
    while time.monotonic() + pause < end:
        time.sleep(pause)
        for sidecar in (far, near):
            before, took_ms = replace(sidecar)
            old.append(before)
            took.append(took_ms)
            time.sleep(pause if sidecar is far else 0)
    result = load.result()
    for process in old:
        process.wait(60)
    check_clean(result, least=100)
    run.check(all("complete=true" in process.output() for process in old), f"{len(old)} old processes ended by themselves, all that they had being done")
    run.check(len(old) >= (2 if run.quick else 20), f"{len(old)} upgrades, {result['requests']} requests, none failed")
    return {"seconds": seconds, "upgrades": len(old), "requests": result["requests"], "failed": result["errors"], "ready_ms_max": round(max(took))}
