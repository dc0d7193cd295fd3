"""What the demo shows of policies: a limit, a retry, a circuit breaker and a bulkhead at work on the course platform, each with the explanation that a proxy gives of itself."""

import http.client
import subprocess
import textwrap
import threading
from collections import Counter

from mesh import API, NAMESPACE
from support.fleet import BIN, eventually, split_address

OPEN_FOR = "2s"


def policy(kind, service, **spec):
    return {"apiVersion": API, "kind": kind, "metadata": {"name": f"{service}-demo", "namespace": NAMESPACE},
            "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": service}], **spec}}


POLICIES = [
    policy("RateLimitPolicy", "auth", rules=[{"name": "login", "matches": [{"method": "POST", "path": {"type": "Exact", "value": "/login"}}], "key": [{"type": "Identity"}],
                                              "limits": [{"requests": 10, "per": "1h"}]}]),
    policy("TrafficPolicy", "courses", retry={"attempts": 2, "codes": [503], "budget": {"percent": 100, "minPerSecond": 100}},
           circuitBreaker={"failureThreshold": 5, "openFor": OPEN_FOR}, outlierDetection={"disabled": True}),
    policy("BulkheadPolicy", "progress", pools=[
        {"name": "reports", "matches": [{"path": {"type": "PathPrefix", "value": "/reports"}}], "maxConcurrent": 2, "maxQueue": 2, "queueTimeout": "30s"},
        {"name": "rest", "maxConcurrent": 50, "maxQueue": 100, "queueTimeout": "1s"}]),
]


def ask(address, method, host, path, body=None):
    """(status, Proxy-Status) of one request as an application beside that sidecar would make it."""
    connection = http.client.HTTPConnection(*split_address(address), timeout=60)
    try:
        connection.request(method, path, body, {"Host": host})
        response = connection.getresponse()
        response.read()
        return response.status, response.getheader("proxy-status") or ""
    finally:
        connection.close()


def explain(sidecar, url, *words):
    done = subprocess.run([str(BIN / "outrigger"), "explain", url, "--admin", f"127.0.0.1:{sidecar.admin}", *words], capture_output=True, text=True, timeout=30, check=False)
    print(textwrap.indent((done.stdout + done.stderr).strip(), "      | "), flush=True)
    return done.stdout


def tell(application, what):
    """Says something to an application itself, behind its proxy's back."""
    assert ask(f"127.0.0.1:{application.app_port}", "PUT", "demo", what)[0] == 200


class Resilience:
    def __init__(self, mesh, check):
        self.mesh, self.check = mesh, check
        self.frontend = mesh.sidecars["frontend"]
        self.outbound = f"127.0.0.1:{self.frontend.outbound}"

    def get(self, host, path):
        return ask(self.outbound, "GET", host, path)

    def show(self):
        print("\nPolicies come: their documents are put in place, and the sidecars read them again:")
        self.mesh.apply(POLICIES)
        self.check(True, "every sidecar works by them: a limit for auth, retries and a breaker for courses, a bulkhead for progress")
        for what in (self.limit, self.retry, self.breaker, self.bulkhead):
            what()

    def limit(self):
        print("\nTwelve log-ins where ten are allowed:")
        answers = [ask(self.outbound, "POST", "auth", "/login", b'{"user": "student"}') for _ in range(12)]
        statuses = Counter(status for status, _ in answers)
        self.check(statuses == {200: 10, 429: 2}, f"{statuses[200]} were let in, {statuses[429]} were told to come again: {answers[-1][1]}")
        told = explain(self.mesh.sidecars["auth"], "http://auth/login", "--listener", "inbound", "--method", "POST", "--as", self.frontend.identity)
        self.check("tokens_left=0" in told, "and auth's sidecar says why")

    def retry(self):
        print("\nThe application of courses-2 answers 503 to everything:")
        tell(self.mesh.sidecars["courses-2"], "/mood/broken")
        statuses = Counter(self.get("courses", "/courses/1")[0] for _ in range(20))
        self.check(statuses == {200: 20}, f"20 requests answered 200: what it refused was asked of courses-1 again")

    def breaker(self):
        print("\nThen courses-1 does too:")
        tell(self.mesh.sidecars["courses-1"], "/mood/broken")
        status, why = eventually(lambda: next((answer for answer in [self.get("courses", "/courses/1")] if "breaker_open" in answer[1]), None), what="the breaker being open")
        self.check(status == 503, f"after five failures in a row the frontend's sidecar asks nobody any more: {why}")
        explain(self.frontend, "http://courses/courses/1")
        tell(self.mesh.sidecars["courses-1"], "/mood/fine")
        tell(self.mesh.sidecars["courses-2"], "/mood/fine")
        eventually(lambda: self.get("courses", "/courses/1")[0] == 200, what="the breaker being closed")
        statuses = Counter(self.get("courses", "/courses/1")[0] for _ in range(20))
        self.check(statuses == {200: 20}, f"they are well again: after {OPEN_FOR} one probe was let through, it was answered, and all others are")

    def bulkhead(self):
        print("\nEight reports that take long are asked of progress, where two may run and two may wait:")
        progress = self.mesh.sidecars["progress"]
        tell(progress, "/reports/hold")
        answers, lock = [], threading.Lock()

        def report():
            answer = self.get("progress", "/reports/all")
            with lock:
                answers.append(answer)
        threads = [threading.Thread(target=report) for _ in range(8)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(answers) >= 4, what="four of them being refused")
        status = ask(self.outbound, "PUT", "progress", "/progress/student", b'{"percent": 1}')[0]
        self.check(status == 200, "meanwhile progress is saved as ever: it has a pool of its own")
        explain(progress, "http://progress/reports/all", "--listener", "inbound", "--as", self.frontend.identity)
        tell(progress, "/reports/release")
        for thread in threads:
            thread.join()
        statuses = Counter(status for status, _ in answers)
        why = next(why for status, why in answers if status == 503)
        self.check(statuses == {200: 4, 503: 4}, f"{statuses[200]} reports were made, {statuses[503]} refused at once: {why}")
