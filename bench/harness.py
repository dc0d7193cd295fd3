"""Puts the peers up, runs the cases on them in interleaved rounds and keeps every sample. Knows how to call the load programs."""
import contextlib
import json
import os
import re
import signal
import subprocess

from machine import LOAD_CORE, Failure, pinned
from peers import CONNECTIONS, TRUST_DOMAIN, Site, at, dns_name, identity
from support.fleet import Fleet, FleetError, accepts, prints, take_port
from support.test_ca import Authority

H2_CONNECTIONS, H2_STREAMS = 8, 8


class Bench:
    def __init__(self, binaries, peers, rounds, seconds, warmup):
        self.binaries, self.peers, self.rounds, self.seconds, self.warmup = binaries, peers, rounds, seconds, warmup
        self.rate = 0.0
        self.samples = {}   # row key -> peer name -> values, one per round
        self.failures = {}  # (case name, peer name) -> text
        self.notes = {}     # case name -> texts
        self.case = None

    # ---- load ----

    def program(self, name):
        return os.path.join(self.binaries, name)

    def load_arguments(self, port, **options):
        arguments = pinned(LOAD_CORE, self.program("bench-load"), "--port", port)
        if options.pop("tls", False):
            arguments += ["--ca", str(self.pki / "ca.crt"), "--cert", str(self.pki / "a.crt"), "--key", str(self.pki / "a.key"),
                          "--sni", dns_name("b"), "--alpn", "http/1.1"]
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
        done = subprocess.run(self.load_arguments(port, **options), capture_output=True, text=True, timeout=options["seconds"] + 60, check=False,
                              start_new_session=True)
        if not done.stdout:
            raise Failure(f"the load program failed: {done.stderr.strip()[-500:]}")
        result = json.loads(done.stdout)
        if result["errors"] or not result["requests"]:
            raise Failure(f"{result['errors']} requests failed, {result['requests']} succeeded: {result.get('first_error', '')}")
        return result

    def h2load(self, port, count):
        """Requests per second."""
        arguments = pinned(LOAD_CORE, "h2load", "-n", count, "-c", H2_CONNECTIONS, "-m", H2_STREAMS, "-t", 1, f"http://{at(port)}/1k")
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=self.seconds * 20 + 60, check=False, start_new_session=True)
        rate = re.search(r"finished in [^,]+, ([0-9.]+) req/s", done.stdout)
        if rate is None or f" {count} succeeded, 0 failed, 0 errored" not in done.stdout or f"status codes: {count} 2xx" not in done.stdout:
            raise Failure("h2load: " + (done.stdout + done.stderr).strip()[-600:])
        return float(rate.group(1))

    @contextlib.contextmanager
    def held(self, port, connections, tls):
        """Keeps that many connections open, each after five answered requests; the block begins when all have been idle for two seconds."""
        arguments = self.load_arguments(port, mode="idle", connections=connections, requests=5, warmup=0, seconds=120, settle=2, tls=tls)
        with Fleet() as fleet:
            process = fleet.start("load", arguments, prints('"held"'), exit_codes=(0,), timeout=120)
            yield
            process.stop()
            lost = json.loads(process.output().splitlines()[-1])["lost"]
        if lost:
            raise Failure(f"{lost} held connections were closed")

    # ---- peers ----

    def note(self, text):
        notes = self.notes.setdefault(self.case.name, [])
        if text not in notes:
            notes.append(text)

    @contextlib.contextmanager
    def stack(self, case, peer):
        """The peer in the case's shape for the time of the block. A measurement that fails in it gets the proxies' last words."""
        failure = None
        with Fleet() as fleet:
            try:
                yield None if case.shape == "none" else getattr(peer, case.shape)(Site(fleet, self.pki, self.backend_port, case.connections or CONNECTIONS))
            except Failure as caught:
                words = [f"{process.name}: {process.output().strip()[-300:]}" for process in fleet.processes if process.output().strip()]
                failure = Failure("; ".join([str(caught), *words]))
        if failure:
            raise failure

    def peers_of(self, case):
        if case.shape == "none":
            return [peer for peer in self.peers if peer.name == "ours"]
        return [peer for peer in self.peers if hasattr(peer, case.shape) and (peer.name != "relay" or case.relay)]

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

    def try_on(self, case, peer, action):
        """What `action` gives, or None after a failure, which puts the peer out of the case."""
        try:
            return action()
        except (Failure, FleetError) as failure:
            self.give_up(case, peer, failure)
            return None

    def run_alone(self, case):
        def measure(peer):
            with self.stack(case, peer) as stack:
                self.keep(case, peer, case.measure(self, stack))

        for turn in range(case.rounds or self.rounds):
            for peer in self.order(case, turn):
                self.try_on(case, peer, lambda peer=peer: measure(peer))

    def run_paired(self, case):
        """All stacks stay up and take turns at half the rate that the slowest peer carries."""
        with contextlib.ExitStack() as up:
            stacks, knees = {}, []
            for peer in self.peers_of(case):
                stacks[peer.name] = self.try_on(case, peer, lambda peer=peer: up.enter_context(self.stack(case, peer)))
            for peer in self.order(case, 0):
                knees.append(self.try_on(case, peer, lambda peer=peer: case.knee(self, stacks[peer.name])))
            self.rate = min((knee for knee in knees if knee), default=0) / 2
            self.note(f"{self.rate:.0f} requests per second, half of what the slowest carries")
            for turn in range(case.rounds or self.rounds):
                for peer in self.order(case, turn):
                    values = self.try_on(case, peer, lambda peer=peer: case.measure(self, stacks[peer.name]))
                    if values:
                        self.keep(case, peer, values)

    def certificates(self, folder):
        folder.mkdir()
        authority = Authority(TRUST_DOMAIN)
        (folder / "ca.crt").write_bytes(authority.bundle_pem)
        for name in ("a", "b"):
            svid = authority.issue(identity(name), names=[dns_name(name)])
            svid.write(folder, name)
            (folder / f"{name}.pem").write_bytes(svid.certificate_pem + svid.key_pem)  # as HAProxy wants them
        return folder

    def run(self, cases, progress):
        with Fleet() as fleet:
            self.pki = self.certificates(fleet.folder / "pki")
            self.backend_port = take_port()
            fleet.start("backend", pinned(LOAD_CORE, self.program("bench-backend"), self.backend_port), accepts(at(self.backend_port)),
                        exit_codes=(-signal.SIGTERM,))
            for case in cases:
                self.case = case
                try:
                    (self.run_paired if case.paired else self.run_alone)(case)
                except FleetError as failure:  # a stack that did not end in order spoils what it measured
                    for peer in self.peers_of(case):
                        self.give_up(case, peer, failure)
                progress(case)
