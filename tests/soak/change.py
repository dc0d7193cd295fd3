"""Soaks of change under load: documents, certificates and processes are replaced again and again, and no request may notice."""

import time

from stack import at, check_clean, listener
from support.fleet import eventually, take_port
from support.hop import traffic
from support.test_ca import Authority

CONNECTIONS = 32
RELOAD_EVERY_S = 0.1
ROTATE_EVERY_S = 1.0


class Pace:
    """Steps at fixed distances, or later where a step took longer. True while there is time."""

    def __init__(self, every_s, seconds):
        self.every_s = every_s
        self.ends = time.monotonic() + seconds
        self.next = time.monotonic()

    def __call__(self):
        self.next = max(self.next + self.every_s, time.monotonic())
        time.sleep(max(0.0, self.next - time.monotonic()))
        return time.monotonic() < self.ends


# --- documents ---

# Each round the callee's listener moves to another port and back: the new one opens, the caller takes both, then the new one alone, then the old one goes.
# (ports that the callee listens on, ports that the caller knows)
MOVES = (((0,), (0,)), ((0, 1), (0,)), ((0, 1), (0, 1)), ((0, 1), (1,)), ((1,), (1,)), ((0, 1), (1,)), ((0, 1), (0, 1)), ((0, 1), (0,)))

POLICIES = (
    [],
    [traffic("backend", loadBalancer={"type": "RoundRobin"})],
    [traffic("backend", timeouts={"request": "30s", "backendRequest": "20s"})],
    [traffic("backend", connections={"maxPending": 2048, "maxStreams": 7}, retry={"attempts": 2})],
)


def take_documents(sidecar):
    """Asks for them to be read, and waits until every worker uses them."""
    sidecar.generation += 1
    sidecar.reload()
    eventually(lambda: sidecar.figure("outrigger_worker_config_generation") >= sidecar.generation, what=f"{sidecar.name} using its new documents")


def reload(run):
    stack = run.stack()
    backend = stack.backend()
    ports = (take_port(), take_port())
    extra = take_port()
    far = stack.callee("far", backend)
    far.write([listener("inbound-0", ports[0], at(backend))])
    far.generation = near_generation = 1
    take_documents(far)
    near = stack.caller([ports[0]])
    near.generation = near_generation
    load = stack.load(near.outbound, run.size(300, 3) + 60, connections=CONNECTIONS)
    pace = Pace(RELOAD_EVERY_S, run.size(300, 3))
    steps = 0
    while pace() and load.running():
        steps += 1
        here, known = MOVES[steps % len(MOVES)]
        # A listener that comes and goes beside the one that carries the load.
        beside = [listener("extra", extra)] if steps % 2 else []
        documents = [stack.entry([ports[i] for i in known]), *POLICIES[steps % len(POLICIES)]]
        far.write([listener(f"inbound-{i}", ports[i], at(backend)) for i in here])
        near.write([listener("outbound", near.outbound), *beside], documents)
        # What must be there first is waited for: a listener that opens before the caller hears of it, one that closes after.
        for sidecar in (far, near) if len(here) > 1 else (near, far):
            take_documents(sidecar)
    result = load.stop()
    run.say(f"{result['requests']} requests while the documents were rewritten {2 * steps} times")
    check_clean(result, steps)
    refused = sum(sidecar.figure('outrigger_config_loads_total{result="refused"}') for sidecar in (near, far))
    run.check(refused == 0, "none failed, no set of documents was refused")
    return {"requests": result["requests"], "failed": 0, "reloads": 2 * steps}


# --- certificates ---

def rotate_one(sidecar, authority, trusted):
    before = sidecar.count_logged("identity_loaded")
    sidecar.issue(authority, trusted)
    eventually(lambda: sidecar.count_logged("identity_loaded") > before, what=f"{sidecar.name} using its new certificate")


def rotate(run):
    """A cycle: three plain rotations, then a new authority as Kubernetes users roll one over: trusted by all, then issuing, then alone."""
    stack = run.stack()
    near, far = stack.pair()
    seconds = run.size(300, 7)
    load = stack.load(near.outbound, seconds + 60, connections=CONNECTIONS)
    pace = Pace(ROTATE_EVERY_S, seconds)
    issuing, trusted = stack.authority, [stack.authority]
    rotations = rollovers = 0
    while pace() and load.running():
        phase = rotations % 6
        if phase == 3:
            trusted = [issuing, Authority(issuing.trust_domain)]
        elif phase == 4:
            issuing = trusted[-1]
        elif phase == 5:
            trusted = [issuing]
            rollovers += 1
        for sidecar in (far, near):
            rotate_one(sidecar, issuing, trusted)
        rotations += 1
    result = load.stop()
    run.say(f"{result['requests']} requests while both certificates were replaced {rotations} times and the authority {rollovers} times")
    check_clean(result, rotations)
    handshakes = near.figure("outrigger_tls_handshakes_total")
    run.check(handshakes >= rotations, f"none failed; {handshakes:.0f} handshakes")
    return {"requests": result["requests"], "failed": 0, "rotations": rotations, "rollovers": rollovers}


# --- processes ---

def sigterm(run):
    """Two replicas, each an application and its sidecar; a sidecar is told to end, ends, and comes back, then the other."""
    stack = run.stack()
    replicas = [stack.callee(f"far-{number}", stack.backend(), limits={"drainTimeout": "4s"}) for number in range(2)]
    near = stack.caller([replica.inbound for replica in replicas])
    seconds = run.size(300, 4)
    load = stack.load(near.outbound, seconds + 120, connections=CONNECTIONS)
    pace = Pace(0.5, seconds)
    restarts = 0
    while pace() and load.running():
        replica = replicas[restarts % 2]
        replica.process.stop()
        replica.start()
        restarts += 1
    result = load.stop()
    run.say(f"{result['requests']} requests while sidecars were stopped and started {restarts} times")
    check_clean(result, restarts)
    run.check(restarts >= 2, f"none failed; {near.figure('outrigger_retries_total'):.0f} were repeated")
    return {"requests": result["requests"], "failed": 0, "restarts": restarts}
