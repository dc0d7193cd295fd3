"""The soak of killed applications: every failure is looked at. A request may fail only if it was under way to a process at the moment that it was killed; no POST may
run twice; a GET may run again only where that is allowed.

Two shapes: `hop`, a proxy with two applications as endpoints; `pair`, two applications each beside its sidecar, where the sidecar lives on when its application is
killed, and `pod`, where both are killed at once.
"""

import http.client
import itertools
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from machine import LOAD_CORE, pinned
from stack import Sidecar, at, listener
from support.fleet import Fleet, accepts, take_port
from support.hop import service

APPLICATION = Path(__file__).with_name("counting_app.py")
CLIENTS = 16
KILL_EVERY_S = 0.4


class Outcome:
    """What became of one request."""

    def __init__(self, method, name, begun, ended, status, why):
        self.method, self.name, self.begun, self.ended, self.status, self.why = method, name, begun, ended, status, why

    @property
    def failed(self):
        return self.status != 200


class Client(threading.Thread):
    """Sends GETs and POSTs in turns on one connection, each with a name of its own, until told to stop."""

    def __init__(self, port, numbers, over):
        super().__init__(daemon=True)
        self.port, self.numbers, self.over = port, numbers, over
        self.outcomes = []
        self.start()

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        while not self.over.is_set():
            number = next(self.numbers)
            method = "POST" if number % 2 else "GET"
            begun = time.monotonic()
            try:
                connection.request(method, f"/{number}", b"x" * 100 if method == "POST" else None, {"Host": "backend"})
                response = connection.getresponse()
                text = response.read()
                status, why = response.status, response.getheader("proxy-status") or text[:100].decode("latin-1")
            except (OSError, http.client.HTTPException) as error:
                status, why = 0, type(error).__name__
                connection.close()
            self.outcomes.append(Outcome(method, str(number), begun, time.monotonic(), status, why))


class Replica:
    """An application, with or without a sidecar, at the same ports over its restarts."""

    def __init__(self, fleet, number):
        self.fleet, self.number = fleet, number
        self.port = take_port()
        self.log = fleet.folder / f"executions-{number}"
        self.app = self.sidecar = None
        self.start_app()

    def start_app(self):
        words = pinned(LOAD_CORE, sys.executable, APPLICATION, self.port, self.log)
        self.app = self.fleet.start(f"app-{self.number}", words, accepts(at(self.port)), exit_codes=(-signal.SIGTERM,))

    def kill(self, pod):
        """Kills and starts again; returns between which moments the processes ended."""
        begun = time.monotonic()
        if pod:
            self.sidecar.process.kill()
        self.app.kill()
        ended = time.monotonic()
        self.start_app()
        if pod:
            self.sidecar.start()
        return begun, ended


def build(stack, shape):
    """(port to send to, replicas)"""
    replicas = [Replica(stack.fleet, number) for number in range(2)]
    if shape == "hop":
        outbound = take_port()
        endpoints = [at(replica.port) for replica in replicas]
        Sidecar(stack, "near", "caller", [listener("outbound", outbound)], [service("backend", endpoints)]).start()
        return outbound, replicas
    for replica in replicas:
        replica.sidecar = stack.callee(f"far-{replica.number}", replica.port)
    near = stack.caller([replica.sidecar.inbound for replica in replicas])
    return near.outbound, replicas


def executions(replicas):
    """How often each request was begun by an application."""
    lines = [line for replica in replicas for line in replica.log.read_text(encoding="ascii").splitlines()]
    return Counter(line.removeprefix("begin ") for line in lines if line.startswith("begin "))


def judge(outcomes, kills, executed):
    """Counter of classes; those that begin with a capital letter must not be."""
    classes = Counter()
    examples = {}
    for outcome in outcomes:
        ran = executed[f"{outcome.method} {outcome.name}"]
        under_way = any(outcome.begun <= ended and begun <= outcome.ended for begun, ended in kills)
        if outcome.method == "POST" and ran > 1:
            kind = "A POST ran twice"
        elif not outcome.failed:
            kind = "answered" if ran == 1 else "answered after a repetition" if ran > 1 else "An answer from nobody"
        elif not under_way:
            kind = "Failed while nobody was killed"
        elif ran:
            kind = f"{outcome.method}, was running when its process was killed"
        else:
            kind = f"{outcome.method}, was on its way to a process that was killed"
        if outcome.failed and under_way and not ("connection_terminated" in outcome.why or "http_response_incomplete" in outcome.why or outcome.status == 0):
            kind = f"Avoidable: {outcome.why}"
        classes[kind] += 1
        examples.setdefault(kind, []).append(outcome)
    return classes, examples


def kill_shape(run, stack, shape, seconds):
    port, replicas = build(stack, shape)
    over = threading.Event()
    numbers = itertools.count()
    clients = [Client(port, numbers, over) for _ in range(CLIENTS)]
    kills = []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        time.sleep(KILL_EVERY_S)
        kills.append(replicas[len(kills) % 2].kill(shape == "pod"))
    over.set()
    for client in clients:
        client.join()
    outcomes = [outcome for client in clients for outcome in client.outcomes]
    executed = executions(replicas)
    classes, examples = judge(outcomes, kills, executed)
    for kind, count in classes.most_common():
        run.say(f"{shape}: {count:7} {kind}")
    bad = [kind for kind in classes if kind[0].isupper() and not kind.startswith(("GET,", "POST,"))]
    for kind in bad:
        for example in examples[kind][:3]:
            run.say(f"  {kind}: {example.method} {example.name} status {example.status}, {example.why}, took {example.ended - example.begun:.3f} s, "
                    f"began {min(abs(example.begun - ended) for _, ended in kills):.3f} s from a kill, ran {executed[f'{example.method} {example.name}']} times")
    run.check(not bad and classes["answered"] > len(kills), f"{shape}: {len(outcomes)} requests, {len(kills)} kills, every failure was one that could not be avoided")
    return {"requests": len(outcomes), "kills": len(kills), **{kind: count for kind, count in sorted(classes.items())}}


def kill(run):
    figures = {}
    for shape in ("hop", "pair", "pod"):
        with Fleet() as fleet:
            figures[shape] = kill_shape(run, run.stack(fleet=fleet), shape, run.size(100, 1.5))
    return figures
