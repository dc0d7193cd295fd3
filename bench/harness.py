"""Puts the peers up, runs the cases on them in interleaved rounds and keeps every sample. Knows how to call the load programs."""
import contextlib
import json
import os
import re
import subprocess
import tempfile

from machine import LOAD_CORE, Failure, Ports, Process
from peers import CONNECTIONS, Site
from pki import TRUST_DOMAIN, Authority

H2_CONNECTIONS, H2_STREAMS = 8, 8


class Bench:
    def __init__(self, binaries, peers, rounds, seconds, warmup):
        self.binaries, self.peers, self.rounds, self.seconds, self.warmup = binaries, peers, rounds, seconds, warmup
        self.rate = 0.0
        self.ports = Ports()
        self.samples = {}   # row key -> peer name -> values, one per round
        self.failures = {}  # (case name, peer name) -> text
        self.notes = {}     # case name -> texts
        self.case = None
        self.attempt = 0

    # ---- load ----

    def program(self, name):
        return os.path.join(self.binaries, name)

    def load_arguments(self, port, **options):
        arguments = ["taskset", "-c", str(LOAD_CORE), self.program("bench-load"), "--port", str(port)]
        if options.pop("tls", False):
            leaf = os.path.join(self.pki, "a")
            arguments += ["--ca", os.path.join(self.pki, "ca.crt"), "--cert", leaf + ".crt", "--key", leaf + ".key",
                          "--sni", f"b.{TRUST_DOMAIN}", "--alpn", "http/1.1"]
        if options.pop("resume", False):
            arguments.append("--resume")
        if options.get("body"):
            options["method"] = "POST"
        for name, value in options.items():
            arguments += ["--" + name, str(value)]
        return arguments

    def load(self, port, watch, **options):
        """Runs the load program for a warm-up and a counted phase; any failed request is a failed measurement."""
        options.setdefault("seconds", self.seconds)
        options.setdefault("warmup", self.warmup)
        if watch:
            options["watch"] = ",".join(map(str, watch))
        done = subprocess.run(self.load_arguments(port, **options), capture_output=True, text=True, timeout=options["seconds"] + 60, check=False)
        if not done.stdout:
            raise Failure(f"the load program failed: {done.stderr.strip()[-500:]}")
        result = json.loads(done.stdout)
        if result["errors"] or not result["requests"]:
            raise Failure(f"{result['errors']} requests failed, {result['requests']} succeeded: {result.get('first_error', '')}")
        return result

    def h2load(self, port, count):
        """Requests per second."""
        arguments = ["taskset", "-c", str(LOAD_CORE), "h2load", "-n", str(count), "-c", str(H2_CONNECTIONS), "-m", str(H2_STREAMS), "-t", "1",
                     f"http://127.0.0.1:{port}/1k"]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=self.seconds * 20 + 60, check=False)
        rate = re.search(r"finished in [^,]+, ([0-9.]+) req/s", done.stdout)
        if rate is None or f" {count} succeeded, 0 failed, 0 errored" not in done.stdout or f"status codes: {count} 2xx" not in done.stdout:
            raise Failure("h2load: " + (done.stdout + done.stderr).strip()[-600:])
        return float(rate.group(1))

    @contextlib.contextmanager
    def held(self, port, connections, tls):
        """Keeps that many connections open, each after five answered requests, for the time of the block."""
        arguments = self.load_arguments(port, mode="idle", connections=connections, requests=5, warmup=0, seconds=60, tls=tls)
        process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            if '"held"' not in process.stdout.readline():
                raise Failure("the connections could not be held open")
            yield
        finally:
            process.stdin.close()
            result = json.loads(process.stdout.readline() or '{"lost": 0}')
            process.wait(20)
        if result["lost"]:
            raise Failure(f"{result['lost']} held connections were closed")

    # ---- peers ----

    def note(self, text):
        notes = self.notes.setdefault(self.case.name, [])
        if text not in notes:
            notes.append(text)

    @contextlib.contextmanager
    def stack(self, case, peer):
        self.attempt += 1
        folder = os.path.join(self.folder, f"{self.attempt}-{case.name}-{peer.name}")
        os.makedirs(folder)
        taken = []

        def take_port():
            taken.append(self.ports.take())
            return taken[-1]
        site = Site(folder, self.pki, self.backend_port, take_port, case.connections or CONNECTIONS)
        stack = getattr(peer, case.shape)(site)
        try:
            yield stack
        except Failure as failure:
            logs = "; ".join(f"{process.name}: {process.log()}" for process in stack.processes if process.log())
            raise Failure(f"{failure} {logs}".strip()) from failure
        finally:
            stack.stop()
            self.ports.release(taken)

    def peers_of(self, case):
        return [peer for peer in self.peers if peer.name != "relay" or case.relay]

    def keep(self, case, peer, values):
        for row, value in zip(case.rows, values):
            self.samples.setdefault(row.key, {}).setdefault(peer.name, []).append(value)

    def give_up(self, case, peer, failure):
        self.failures[(case.name, peer.name)] = str(failure)
        for row in case.rows:
            self.samples.get(row.key, {}).pop(peer.name, None)

    def order(self, case, turn):
        """Each round begins with another peer, so that none always comes after the same one."""
        peers = [peer for peer in self.peers_of(case) if (case.name, peer.name) not in self.failures]
        turn %= max(1, len(peers))
        return peers[turn:] + peers[:turn]

    def run_alone(self, case):
        for turn in range(case.rounds or self.rounds):
            for peer in self.order(case, turn):
                try:
                    with self.stack(case, peer) as stack:
                        self.keep(case, peer, case.measure(self, stack))
                except Failure as failure:
                    self.give_up(case, peer, failure)

    def run_paired(self, case):
        """All stacks stay up and take turns: A B C A B C ..."""
        with contextlib.ExitStack() as up:
            stacks = {}
            for peer in self.peers_of(case):
                try:
                    stacks[peer.name] = up.enter_context(self.stack(case, peer))
                except Failure as failure:
                    self.give_up(case, peer, failure)
            if case.prepare and stacks:
                case.prepare(self, [stack for name, stack in stacks.items() if name != "relay"] or list(stacks.values()))
            for turn in range(case.rounds or self.rounds):
                for peer in self.order(case, turn):
                    try:
                        self.keep(case, peer, case.measure(self, stacks[peer.name]))
                    except Failure as failure:
                        self.give_up(case, peer, failure)

    def run(self, cases, progress):
        with tempfile.TemporaryDirectory(prefix="outrigger-bench-") as folder:
            self.folder = folder
            self.pki = os.path.join(folder, "pki")
            os.makedirs(self.pki)
            authority = Authority(self.pki)
            authority.issue("a")
            authority.issue("b")
            self.backend_port = self.ports.take()
            backend = Process([self.program("bench-backend"), str(self.backend_port)], LOAD_CORE, folder, "backend", self.backend_port)
            try:
                for case in cases:
                    self.case = case
                    (self.run_paired if case.paired else self.run_alone)(case)
                    progress(case)
            finally:
                backend.stop()
