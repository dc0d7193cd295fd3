# presets: dev tsan release
# seconds: 28
"""Endpoints that are left out: since they fail in a row, or since a health check of theirs fails. Each is seen by what the proxy itself tells, and by who gets requests."""

import json
import threading

import grpc
import pytest

from support.backend import message, reply
from support.fleet import eventually, take_port
from support.grpc_echo import GrpcClient, GrpcServer
from support.hop import Hop, service, traffic
from support.pair import CALLER, Pair
from support.wire import Wire, exchange

GET = "GET / HTTP/1.1\r\nHost: backend\r\n\r\n"
IN_TURN = {"type": "RoundRobin", "panicPercent": 0}
OFF = {"disabled": True}
QUICK = {"interval": "300ms", "timeout": "300ms", "unhealthyAfter": 2, "healthyAfter": 2}


def endpoint(hop, address, key="default/backend:80"):
    """What the proxy says of one endpoint."""
    rows = next(row for row in hop.page("/clusters") if row["service"] == key)["endpoints"]
    return next(row for row in rows if row["address"] == address)


def becomes(hop, address, state):
    eventually(lambda: endpoint(hop, address)["state"] == state, what=f"{address} being {state}; it is {endpoint(hop, address)}")


def asked(backend, path="/"):
    """Requests of clients, not of checks."""
    return sum(request.target == path for request in backend.requests)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_dead_replica_is_taken_out_and_comes_back(fleet, workers):
    dead, alive = fleet.backend(reply(200, b"dead")), fleet.backend(reply(200, b"alive"))
    policy = traffic("backend", loadBalancer=IN_TURN, retry=OFF, outlierDetection=OFF, healthCheck={**QUICK, "path": "/health"})
    hop = Hop(fleet, {"backend": [dead.address, alive.address]}, policies=[policy], workers=workers)
    eventually(lambda: asked(dead, "/health") and asked(alive, "/health"))
    dead.close()
    becomes(hop, dead.address, "unhealthy")
    assert "connect_refused" in endpoint(hop, dead.address)["health"]
    for _ in range(40):
        assert exchange(hop.address, GET).body == b"alive"
    assert hop.figure("outrigger_service_endpoints", state="unhealthy") == 1 and hop.figure("outrigger_service_endpoints", state="all") == 2
    back = fleet.backend(reply(200, b"back"), port=dead.port)
    eventually(lambda: hop.figure("outrigger_service_endpoints", state="unhealthy") == 0)
    eventually(lambda: exchange(hop.address, GET).body == b"back")
    assert hop.figure("outrigger_endpoint_health_changes_total", to="unhealthy") == hop.figure("outrigger_endpoint_health_changes_total", to="healthy") == 1
    assert asked(back, "/health") >= 2, "two checks have passed before"
    request = next(request for request in alive.requests if request.target == "/health")
    assert request.header("User-Agent").startswith("outrigger-health-check/") and request.header("Host") == "backend"
    assert "event=endpoint_unhealthy" in hop.process.output() and "event=endpoint_healthy" in hop.process.output()


def test_checks_are_no_traffic(fleet):
    backend = fleet.backend(reply(204))
    hop = Hop(fleet, {"backend": [backend.address]}, policies=[traffic("backend", healthCheck=QUICK, connections={"max": 1})])
    eventually(lambda: hop.figure("outrigger_health_checks_total", result="passed") >= 5)
    row = endpoint(hop, backend.address)
    assert (row["requests"], row["connections"], row["active"]) == (0, 0, 0)
    assert hop.log() == [] and hop.figure("http_client_request_duration_seconds_count") == 0
    assert hop.figure("outrigger_limit_peak", limit="connections.max", scope="service/default/backend:80") == 0


def test_other_answers_may_be_good_ones(fleet):
    good, bad = fleet.backend(reply(418)), fleet.backend(reply(200))
    policy = traffic("backend", healthCheck={**QUICK, "path": "/a?b=c", "host": "check.example", "statuses": [418, 404]})
    hop = Hop(fleet, {"backend": [good.address, bad.address]}, policies=[policy])
    becomes(hop, bad.address, "unhealthy")
    assert "status 200" in endpoint(hop, bad.address)["health"]
    assert endpoint(hop, good.address)["state"] == "available"
    assert good.requests[0].target == "/a?b=c" and good.requests[0].header("Host") == "check.example"


class HealthServer(GrpcServer):
    """With grpc.health.v1.Health, which says of `service` what `serving` is."""

    def __init__(self, port, name):
        super().__init__(port)
        self.serving = True
        self.asked = []
        self.name = name
        handler = grpc.unary_unary_rpc_method_handler(self.check)
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler}),))

    def check(self, request, context):
        self.asked.append(request)
        if request != b"\x0a" + bytes([len(self.name)]) + self.name.encode():
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return b"\x08\x01" if self.serving else b"\x08\x02"


def test_grpc_servers_are_asked_by_grpc(fleet):
    with HealthServer(take_port(), "test.Echo") as one, HealthServer(take_port(), "test.Echo") as other, HealthServer(take_port(), "another") as third:
        policy = traffic("backend", loadBalancer=IN_TURN, healthCheck={**QUICK, "type": "GRPC", "grpcService": "test.Echo"})
        hop = Hop(fleet, {"backend": [one.address, other.address, third.address]}, protocol="GRPC", policies=[policy])
        one.serving = False
        becomes(hop, one.address, "unhealthy")
        becomes(hop, third.address, "unhealthy")
        assert "NOT_SERVING" in endpoint(hop, one.address)["health"] and "grpc-status 5" in endpoint(hop, third.address)["health"]
        with GrpcClient(hop.address, "backend") as client:
            for _ in range(6):
                client.unary(b"x")
        assert len(one.calls) == 0 and len(other.calls) == 6
        one.serving = True
        becomes(hop, one.address, "available")
        with GrpcClient(hop.address, "backend") as client:
            for _ in range(6):
                client.unary(b"x")
        assert len(one.calls) == 3


def test_of_tcp_a_connection_is_enough(fleet):
    silent = fleet.backend(lambda connection: connection.wait_for_end())
    nobody = fleet.address()
    hop = Hop(fleet, [service("backend", [silent.address, nobody], protocol="TCP", port=81)], policies=[traffic("backend", healthCheck={**QUICK, "type": "TCP"})])
    eventually(lambda: endpoint(hop, nobody, "default/backend:81")["state"] == "unhealthy")
    assert endpoint(hop, silent.address, "default/backend:81")["state"] == "available"
    assert silent.requests == []


def test_over_mutual_tls_checks_go_by_the_identity_of_the_proxy(fleet):
    well = threading.Event()
    well.set()

    def script(connection):
        while connection.read_request() is not None:
            connection.send(message(200 if well.is_set() else 503, b"answer"))

    backend = fleet.backend(script)
    pair = Pair(fleet, backend.address, replicas=2, policies=[traffic("backend", healthCheck={**QUICK, "path": "/health"}, outlierDetection=OFF)])
    eventually(lambda: pair.near.figure("outrigger_health_checks_total", result="passed") >= 4)
    assert f"URI={CALLER}" in backend.requests[0].header("x-forwarded-client-cert")
    for far in pair.fars:
        assert endpoint(pair.near, far.inbound["in"])["state"] == "available"
    well.clear()
    for far in pair.fars:
        becomes(pair.near, far.inbound["in"], "unhealthy")
    well.set()
    for far in pair.fars:
        becomes(pair.near, far.inbound["in"], "available")


def test_who_is_somebody_else_is_not_healthy(fleet):
    backend = fleet.backend(reply(200))
    pair = Pair(fleet, backend.address, expected="spiffe://school.local/ns/school/sa/other", policies=[traffic("backend", healthCheck=QUICK)])
    becomes(pair.near, pair.far.inbound["in"], "unhealthy")
    assert "identity_mismatch" in endpoint(pair.near, pair.far.inbound["in"])["health"]
    assert backend.requests == []


def ejecting(**outlier):
    return traffic("backend", loadBalancer=IN_TURN, retry=OFF, outlierDetection={"ejectFor": "1h", "maxEjectFor": "1h", **outlier})


@pytest.mark.parametrize("workers", [1, 2])
def test_five_failures_in_a_row_eject_whatever_worker_saw_them(fleet, workers):
    bad, good = fleet.backend(reply(503)), fleet.backend(reply(200))
    hop = Hop(fleet, {"backend": [bad.address, good.address]}, policies=[ejecting()], workers=workers)
    with Wire(hop.address) as one, Wire(hop.address) as other:  # one for each worker, where there are two
        for _ in range(40):
            for wire in (one, other):
                wire.get(host="backend").response()
    assert len(bad.requests) == 5 and len(good.requests) == 75
    row = endpoint(hop, bad.address)
    assert row["state"] == "ejected" and "status 503" in row["health"] and "ejection 1" in row["health"]
    assert hop.figure("outrigger_endpoint_ejections_total", result="enforced") == hop.figure("outrigger_service_endpoints", state="ejected") == 1
    assert hop.logged(ejected=bad.address)["status"] == 503
    explained = json.dumps(hop.page("/explain?host=backend&path=/"))
    assert '"ejected"' in explained and bad.address in explained
    assert "event=endpoint_ejected" in hop.process.output()
    # Documents that are read anew change nothing.
    hop.reload([*hop.documents, service("more", [good.address])])
    for _ in range(20):
        assert exchange(hop.address, GET).status == 200
    assert len(bad.requests) == 5


def test_the_default_ejects(fleet):
    nobody, good = fleet.address(), fleet.backend(reply(200))
    hop = Hop(fleet, {"backend": [nobody, good.address]}, policies=[traffic("backend", loadBalancer=IN_TURN)])
    # It is avoided for a second after each failure: what comes meanwhile goes to the other.
    eventually(lambda: exchange(hop.address, GET).status == 200 and endpoint(hop, nobody)["state"] == "ejected", timeout=60)
    assert "connect_refused" in endpoint(hop, nobody)["health"]


def test_an_ejected_endpoint_returns(fleet):
    broken = threading.Event()
    broken.set()

    def script(connection):
        while connection.read_request() is not None:
            connection.send(message(503 if broken.is_set() else 200))

    bad, good = fleet.backend(script), fleet.backend(reply(200))
    hop = Hop(fleet, {"backend": [bad.address, good.address]}, policies=[ejecting(ejectFor="300ms")], workers=1)
    eventually(lambda: exchange(hop.address, GET) and hop.figure("outrigger_service_endpoints", state="ejected") == 1)
    broken.clear()
    eventually(lambda: hop.figure("outrigger_service_endpoints", state="ejected") == 0)  # by itself, without a request
    assert "event=endpoint_returned" in hop.process.output()
    before = len(bad.requests)
    for _ in range(10):
        assert exchange(hop.address, GET).status == 200
    assert len(bad.requests) == before + 5


def test_half_of_them_at_most_and_never_the_only_one(fleet):
    backends = [fleet.backend(reply(503)) for _ in range(4)]
    hop = Hop(fleet, {"backend": [backend.address for backend in backends], "single": [backends[0].address]}, policies=[ejecting()])
    for _ in range(80):
        exchange(hop.address, GET)
        exchange(hop.address, GET.replace("backend", "single"))
    assert hop.figure("outrigger_service_endpoints", state="ejected") == 2
    assert hop.figure("outrigger_endpoint_ejections_total", result="refused") > 0
    assert endpoint(hop, backends[0].address, "default/single:80")["state"] == "available"


def test_a_deadline_that_the_caller_brings_counts_for_nothing(fleet):
    never = threading.Event()
    backends = [fleet.backend(lambda connection: connection.read_request() and never.wait(30)) for _ in range(2)]
    hop = Hop(fleet, {"backend": [backend.address for backend in backends]}, policies=[ejecting(failureThreshold=1)])
    for _ in range(6):
        assert exchange(hop.address, GET.replace("\r\n\r\n", "\r\nX-Request-Timeout-Ms: 20\r\n\r\n")).status == 504
    assert hop.figure("outrigger_endpoint_ejections_total") == 0
    never.set()


def test_a_dry_run_ejects_nobody(fleet):
    bad, good = fleet.backend(reply(503)), fleet.backend(reply(200))
    hop = Hop(fleet, {"backend": [bad.address, good.address]}, policies=[ejecting(mode="DryRun")], workers=1)
    for _ in range(20):
        exchange(hop.address, GET)
    assert len(bad.requests) == len(good.requests) == 10
    assert hop.figure("outrigger_endpoint_ejections_total", result="dry_run") == 1 and hop.figure("outrigger_endpoint_ejections_total", result="enforced") == 0
    assert endpoint(hop, bad.address)["state"] == "available" and endpoint(hop, bad.address)["health"].startswith("dry run: ")


def crowd(hop, clients, requests):
    """So many clients, each with so many requests one after the other."""
    def run():
        with Wire(hop.address) as wire:
            for _ in range(requests):
                wire.get(host="backend").response()
    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def slow(seconds, status=200):
    """Takes its time over each answer, as many as come at once."""
    pause = threading.Event()

    def script(connection):
        while connection.read_request() is not None:
            pause.wait(seconds)
            connection.send(message(status))
    return script


def test_least_connections_over_unequal_backends(fleet):
    quick, slower, slowest = (fleet.backend(slow(seconds)) for seconds in (0.01, 0.04, 0.16))
    hop = Hop(fleet, {"backend": [quick.address, slower.address, slowest.address]}, policies=[traffic("backend", loadBalancer={"type": "LeastRequest"})])
    crowd(hop, clients=12, requests=40)
    counts = [len(backend.requests) for backend in (quick, slower, slowest)]
    assert sum(counts) == 480 and counts[0] > counts[1] > counts[2] > 0, counts
    assert counts[0] > 2 * counts[2], counts


@pytest.mark.parametrize("balancer", ["LeastRequest", "PeakEWMA"])
@pytest.mark.parametrize("status", [503, 500, 429])
def test_who_refuses_at_once_gets_less_and_not_more(fleet, balancer, status):
    refusing, serving = fleet.backend(reply(status)), fleet.backend(slow(0.02))
    policy = traffic("backend", loadBalancer={"type": balancer}, retry=OFF, outlierDetection=OFF)
    hop = Hop(fleet, {"backend": [refusing.address, serving.address]}, policies=[policy])
    crowd(hop, clients=4, requests=50)
    assert len(refusing.requests) < 60, f"{len(refusing.requests)} of 200 went to who refuses"
