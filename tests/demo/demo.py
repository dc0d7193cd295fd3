#!/usr/bin/python3
"""The demo: a course platform of five applications, each beside its own sidecar, everything between them mutual TLS. `./dev demo` calls it.

    demo.py [--once]

Drives traffic, takes a replica away in the middle, rotates a certificate, and prints what happened. With --once it checks it all and ends: 0 when everything
held, 1 when not. Without, the mesh stays up until Ctrl-C.
"""

import argparse
import http.client
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
os.environ.setdefault("OUTRIGGER_BIN", str(ROOT / "build" / "release" / "bin"))
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "demo")]
from mesh import Mesh  # noqa: E402
from support.fleet import Fleet, eventually, http_get, split_address  # noqa: E402

ROUNDS = 60


class Checks:
    """What must hold: prints each as it is found out."""

    def __init__(self):
        self.failed = []

    def __call__(self, held, what):
        print(f"  {'ok  ' if held else 'FAIL'} {what}", flush=True)
        if not held:
            self.failed.append(what)


class Visitor:
    """A person at the platform: one connection to the frontend; counts what came back."""

    def __init__(self, address):
        self.connection = http.client.HTTPConnection(*split_address(address), timeout=30)
        self.statuses = Counter()
        self.replicas = Counter()

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
        return page, token, progress, rank


def metric(sidecar, name):
    """The sum of all samples of a metric of one sidecar."""
    text = http_get(f"127.0.0.1:{sidecar.metrics}", "/metrics")[1].decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name)


def browse_and_check(mesh, check):
    print("Browsing courses, logging in, saving progress, a gRPC call:")
    visitor = Visitor(mesh.frontend)
    for number in range(ROUNDS):
        page, token, progress, rank = visitor.round(number)
    check(set(visitor.statuses) == {200}, f"{sum(visitor.statuses.values())} requests, all answered 200 {dict(visitor.statuses)}")
    check(set(visitor.replicas) == {"courses-1", "courses-2"}, f"both replicas of courses answered: {dict(visitor.replicas)}")
    check(f"URI={mesh.sidecars['frontend'].identity}" in page.get("caller", ""), f"courses knows its caller by certificate: {page.get('caller')}")
    check(token.get("page", {}).get("token") == f"token-of-student-{ROUNDS - 1}", "the login came back")
    check(progress.get("page", {}).get("progress", {}).get("percent") == (ROUNDS - 1) % 100, "progress was saved and read again")
    check(rank.get("rank", "").startswith(f"student-{ROUNDS - 1} is number"), f"the gRPC call was answered: {rank.get('rank')}")


def knock_without_certificate(mesh, check):
    print("Somebody without a certificate knocks at a sidecar of courses:")
    try:
        status = http_get(f"127.0.0.1:{mesh.sidecars['courses-2'].inbound}", "/courses", timeout=10)[0]
    except (OSError, http.client.HTTPException) as error:
        status = type(error).__name__
    check(not isinstance(status, int), f"no answer: {status}")


def take_replica_away(mesh, check):
    print("The replica courses-1 goes away in the middle of the traffic:")
    visitor = Visitor(mesh.frontend)
    for number in range(ROUNDS):
        if number == ROUNDS // 3:
            mesh.sidecars["courses-1"].proxy.signal(signal.SIGTERM)
        if number == 2 * ROUNDS // 3:
            mesh.sidecars["courses-1"].stop()
            visitor.replicas.clear()
        visitor.round(number)
    check(set(visitor.statuses) == {200}, f"{sum(visitor.statuses.values())} requests, all answered 200 {dict(visitor.statuses)}")
    check(set(visitor.replicas) == {"courses-2"}, f"then courses-2 served alone: {dict(visitor.replicas)}")


def serial(sidecar):
    certificates = json.loads(http_get(f"127.0.0.1:{sidecar.admin}", "/certs")[1])
    return json.dumps(certificates)


def rotate_certificate(mesh, check):
    print("The certificate of the frontend's sidecar is rotated while requests go on:")
    frontend = mesh.sidecars["frontend"]
    before = serial(frontend)
    visitor = Visitor(mesh.frontend)
    frontend.rotate()

    def rotated():
        visitor.round(sum(visitor.statuses.values()))
        return serial(frontend) != before
    eventually(rotated, what="the new certificate being in force")
    for number in range(ROUNDS // 4):
        visitor.round(number)
    check(set(visitor.statuses) == {200}, f"{sum(visitor.statuses.values())} requests meanwhile, all answered 200 {dict(visitor.statuses)}")
    check(serial(frontend) != before, "the sidecar shows another certificate at /certs")


def tell(mesh):
    print("What the sidecars counted:")
    for sidecar in mesh.sidecars.values():
        if sidecar.proxy.running():
            handshakes = metric(sidecar, "outrigger_tls_handshakes_total")
            print(f"  {sidecar.name:10} requests {metric(sidecar, 'outrigger_requests_total'):5.0f}   TLS handshakes {handshakes:3.0f}"
                  f"   retries {metric(sidecar, 'outrigger_retries_total'):2.0f}")


def tell_addresses(mesh):
    print("Look at:")
    print(f"  http://{mesh.frontend}/browse          the platform (also /rank/NAME; PUT /save/NAME; POST /login)")
    for sidecar in mesh.sidecars.values():
        if sidecar.proxy.running():
            print(f"  http://127.0.0.1:{sidecar.admin}/  admin of {sidecar.name}: /clusters /config /certs /limits      "
                  f"http://127.0.0.1:{sidecar.metrics}/metrics")


def main():
    parser = argparse.ArgumentParser(description="A course platform in a mesh of sidecars.")
    parser.add_argument("--once", action="store_true", help="do it all, check it all, and end")
    options = parser.parse_args()
    check = Checks()
    with Fleet() as fleet:
        print("Starting frontend, auth, courses (two replicas) and progress, each beside its sidecar ...", flush=True)
        mesh = Mesh(fleet)
        mesh.start()
        browse_and_check(mesh, check)
        knock_without_certificate(mesh, check)
        take_replica_away(mesh, check)
        rotate_certificate(mesh, check)
        tell(mesh)
        if not options.once:
            tell_addresses(mesh)
            print("Ctrl-C ends it.", flush=True)
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
    print(f"{len(check.failed)} checks failed" if check.failed else "everything held")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
