#!/usr/bin/python3
"""The demo: a course platform of five applications, each beside its own sidecar, everything between them mutual TLS. `./dev demo` calls it.

    demo.py [--once]

Drives traffic, takes a replica away in the middle, rotates a certificate, then puts policies in place and shows what they do and why, follows one request as a trace, and prints what
happened. With --once it checks it all and ends: 0 when everything held, 1 when not. Without, the mesh stays up until Ctrl-C.
"""

import argparse
import http.client
import itertools
import json
import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
os.environ.setdefault("OUTRIGGER_BIN", str(ROOT / "build" / "release" / "bin"))
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "demo")]
from mesh import Mesh  # noqa: E402
from resilience import Resilience  # noqa: E402
from support.fleet import Fleet, eventually, http_get, split_address  # noqa: E402
from support.otlp_receiver import OtlpReceiver  # noqa: E402
from traces import Traces  # noqa: E402

STUDENTS = 4
ROUNDS = 60

PICTURE = """\
   you ──► sidecar ─ frontend ─ sidecar ══╦══► sidecar ─ auth
                                          ╠══► sidecar ─ courses-1
                ══ mutual TLS             ╠══► sidecar ─ courses-2
                                          ╚══► sidecar ─ progress (HTTP and gRPC)
"""


class Checks:
    """What must hold: prints each as it is found out."""

    def __init__(self):
        self.failed = []

    def __call__(self, held, what):
        print(f"  {'ok  ' if held else 'FAIL'} {what}", flush=True)
        if not held:
            self.failed.append(what)


class Student(threading.Thread):
    """A person at the platform with one connection to the frontend: goes its round again and again until told to stop; counts what came back."""

    def __init__(self, address, numbers, over):
        super().__init__(daemon=True)
        self.connection = http.client.HTTPConnection(*split_address(address), timeout=30)
        self.numbers, self.over = numbers, over
        self.statuses = Counter()
        self.replicas = Counter()
        self.rounds = 0
        self.last = None
        self.start()

    def ask(self, method, path, value=None):
        body = json.dumps(value) if value is not None else None
        self.connection.request(method, path, body)
        response = self.connection.getresponse()
        text = response.read()
        self.statuses[response.status] += 1
        return json.loads(text) if response.status == 200 else {"error": text.decode(errors="replace")}

    def round(self, number):
        page = self.ask("GET", f"/browse/{number % 3 + 1}").get("page", {})
        self.replicas[page.get("served_by")] += 1
        token = self.ask("POST", "/login", {"user": f"student-{number}"})
        progress = self.ask("PUT", f"/save/student-{number}", {"course": number % 3 + 1, "percent": number % 100})
        rank = self.ask("GET", f"/rank/student-{number}")
        self.last = number, page, token, progress, rank
        self.rounds += 1

    def run(self):
        while not self.over.is_set():
            try:
                self.round(next(self.numbers))
            except (OSError, http.client.HTTPException) as error:
                self.statuses[type(error).__name__] += 1
                self.connection.close()


class Crowd:
    """Some students at once. `wait` lets them go on for some rounds; the block ends when the last of them has finished its round."""

    def __init__(self, mesh):
        self.over = threading.Event()
        numbers = itertools.count()
        self.students = [Student(mesh.frontend, numbers, self.over) for _ in range(STUDENTS)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        for student in self.students:
            student.join()

    def wait(self, rounds):
        until = sum(student.rounds for student in self.students) + rounds
        eventually(lambda: sum(student.rounds for student in self.students) >= until, what=f"{rounds} rounds of the students")

    def statuses(self):
        return sum((student.statuses for student in self.students), Counter())

    def replicas(self):
        return sum((student.replicas for student in self.students), Counter())


def told(statuses):
    """What came back, in words."""
    return ", ".join(f"{count} requests answered {status}" for status, count in sorted(statuses.items(), key=str))


def shares(replicas):
    return ", ".join(f"{name} {count}" for name, count in sorted(replicas.items(), key=str))


def metric(sidecar, name):
    """The sum of all samples of a metric of one sidecar."""
    text = http_get(f"127.0.0.1:{sidecar.metrics}", "/metrics")[1].decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name)


def browse_and_check(mesh, check):
    print("\nStudents browse courses, log in, save their progress, and ask for their rank by gRPC:")
    with Crowd(mesh) as crowd:
        crowd.wait(ROUNDS)
    number, page, token, progress, rank = crowd.students[0].last
    check(set(crowd.statuses()) == {200}, told(crowd.statuses()))
    check(set(crowd.replicas()) == {"courses-1", "courses-2"}, f"both replicas of courses answered: {shares(crowd.replicas())}")
    check(f"URI={mesh.sidecars['frontend'].identity}" in page.get("caller", ""), f"courses knows its caller by certificate: {page.get('caller')}")
    check(token.get("page", {}).get("token") == f"token-of-student-{number}", "the login came back")
    check(progress.get("page", {}).get("progress", {}).get("percent") == number % 100, "progress was saved and read again")
    check(rank.get("rank", "").startswith(f"student-{number} is number"), f"the gRPC call was answered: {rank.get('rank')}")


def knock_without_certificate(mesh, check):
    print("\nSomebody without a certificate sends a request to the sidecar of courses-2:")
    try:
        status = http_get(f"127.0.0.1:{mesh.sidecars['courses-2'].inbound}", "/courses", timeout=10)[0]
    except (OSError, http.client.HTTPException) as error:
        status = type(error).__name__
    check(not isinstance(status, int), f"it is cut off without an answer ({status})")


def take_replica_away(mesh, check):
    print("\nThe replica courses-1 goes away in the middle of the traffic:")
    with Crowd(mesh) as crowd:
        crowd.wait(ROUNDS // 3)
        mesh.sidecars["courses-1"].stop()
        crowd.wait(2 * STUDENTS)  # who was answered before has counted it now
        before = crowd.replicas()
        crowd.wait(ROUNDS // 3)
        since = crowd.replicas() - before
    check(set(crowd.statuses()) == {200}, told(crowd.statuses()))
    check(set(since) == {"courses-2"}, f"from then on courses-2 served alone: {shares(since)}")


def serial(sidecar):
    """Which certificate a sidecar shows at its admin page: all that is said of it."""
    return http_get(f"127.0.0.1:{sidecar.admin}", "/certs")[1]


def rotate_certificate(mesh, check):
    print("\nThe certificate of the frontend's sidecar is replaced while requests go on:")
    frontend = mesh.sidecars["frontend"]
    before = serial(frontend)
    with Crowd(mesh) as crowd:
        frontend.rotate()
        eventually(lambda: serial(frontend) != before, what="the new certificate being in force")
        crowd.wait(ROUNDS // 3)
    check(set(crowd.statuses()) == {200}, told(crowd.statuses()))
    check(serial(frontend) != before, "the sidecar shows the new certificate at /certs, and makes new connections with it")


def tell_addresses(mesh):
    print(f"  the platform     http://{mesh.frontend}/browse  (also /browse/1, /rank/NAME; POST /login, PUT /save/NAME)")
    for sidecar in mesh.sidecars.values():
        if sidecar.proxy.running():
            print(f"  {sidecar.name:16} http://127.0.0.1:{sidecar.admin}/clusters?format=text  (also /config /certs /limits /explain)  "
                  f"http://127.0.0.1:{sidecar.metrics}/metrics")


def tell_counts(mesh):
    print("\nWhat the sidecars counted:")
    print(f"  {'':16} {'requests':>8} {'TLS handshakes':>16} {'retries':>8}")
    for sidecar in mesh.sidecars.values():
        if sidecar.proxy.running():
            figures = [metric(sidecar, name) for name in ("outrigger_request_ends_total", "outrigger_tls_handshakes_total", "outrigger_retries_total")]
            print(f"  {sidecar.name:16} {figures[0]:8.0f} {figures[1]:16.0f} {figures[2]:8.0f}")


def stay(mesh):
    """Until Ctrl-C."""
    print("\nThe mesh stays up until Ctrl-C. Look at:")
    tell_addresses(mesh)
    sys.stdout.flush()
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # only now: processes that are started inherit it
    signal.sigwait(ends)
    print("\nStopping: each sidecar drains first.", flush=True)


def main():
    parser = argparse.ArgumentParser(description="A course platform in a mesh of sidecars.")
    parser.add_argument("--once", action="store_true", help="do it all, check it all, and end")
    options = parser.parse_args()
    check = Checks()
    with Fleet() as fleet:
        print(PICTURE, "Starting the applications, each beside its sidecar, with certificates made on the spot. Addresses:", sep="\n", flush=True)
        receiver = OtlpReceiver()
        mesh = Mesh(fleet, receiver.address)
        mesh.start()
        tell_addresses(mesh)
        browse_and_check(mesh, check)
        knock_without_certificate(mesh, check)
        take_replica_away(mesh, check)
        rotate_certificate(mesh, check)
        mesh.sidecars["courses-1"].start()
        Resilience(mesh, check).show()
        Traces(mesh, receiver, check).show()
        tell_counts(mesh)
        if not options.once:
            stay(mesh)
    print(f"\n{len(check.failed)} checks failed" if check.failed else "\nEverything held.")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
