# presets: dev tsan release
"""What is tried again by choice, on real servers: statuses, gateway errors, codes of gRPC, resets, timeouts; servers that say when; and that no storm comes of it."""

import collections
import threading
import time
from pathlib import Path

import grpc
import pytest
import yaml

from support.backend import message, reply
from support.fleet import take_port
from support.grpc_echo import GrpcClient, GrpcServer, status
from support.hop import Hop, traffic
from support.pair import Pair
from support.wire import Wire, exchange

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "docs" / "examples" / "retries" / "proxy.yaml"
GENEROUS = {"percent": 100, "minPerSecond": 1000}
IN_TURN = {"type": "RoundRobin", "slowStart": "0s"}  # weights that grow would begin the turn anew


def text(method, body=b""):
    return f"{method} / HTTP/1.1\r\nHost: backend\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def retried(fleet, addresses, timeouts=None, **retry):
    """A hop with this retry group; its balancer asks each endpoint in turn, so that a first try meets each. One worker, since each has turns of its own."""
    groups = {"timeouts": timeouts} if timeouts else {}
    groups["outlierDetection"] = {"disabled": True}  # the bad one is to be asked on
    return Hop(fleet, {"backend": addresses}, policies=[traffic("backend", loadBalancer=IN_TURN, retry={"budget": GENEROUS, **retry}, **groups)], workers=1)


def two(fleet, bad, **retry):
    """(hop, the bad server, the good one)"""
    first, second = fleet.backend(bad), fleet.backend(reply(200, b"good"))
    return retried(fleet, [first.address, second.address], **retry), first, second


@pytest.mark.parametrize("retry, reason", [({"codes": [503]}, "code"), ({"conditions": ["GatewayError"]}, "gateway_error")], ids=["codes", "GatewayError"])
def test_an_answer_that_the_policy_names_is_asked_for_elsewhere(fleet, retry, reason):
    hop, bad, good = two(fleet, reply(503, b"bad", [("X-From", "bad")]), **retry)
    for _ in range(10):
        answer = exchange(hop.address, text("PUT", b"body"), "PUT")
        assert (answer.status, answer.body, answer.header("x-from")) == (200, b"good", None)
    failed = len(bad.requests)
    assert failed >= 9 and [request.body for request in good.requests] == [b"body"] * 10, "a retry takes a turn too: all but the first begin with the bad one"
    lines = hop.logged(10, end="ok", status=200)
    assert collections.Counter(line.get("retried_for") for line in lines) == ({reason: failed, None: 10 - failed} if failed < 10 else {reason: 10})
    assert hop.figure("outrigger_retries_total", reason=reason) == hop.figure("outrigger_retries_ended_total", result="answered") == failed
    assert len(bad.connections) < failed / 2, "what was not wanted was read, and its connection used again, but where its rest came late"


def test_a_post_is_sent_once_whatever_the_answer(fleet):
    """The regression that costs money: Envoy's default once repeated a payment."""
    backends = [fleet.backend(reply(503, b"bad")) for _ in range(2)]
    hop = retried(fleet, [backend.address for backend in backends], codes=[503], conditions=["GatewayError", "Reset", "Timeout"])
    for method in ("POST", "PATCH"):
        assert exchange(hop.address, text(method, b"pay"), method).status == 503
    assert sum(len(backend.requests) for backend in backends) == 2
    assert [line["retry_refused"] for line in hop.logged(2, status=503)] == ["method", "method"]
    assert hop.figure("outrigger_retries_refused_total", reason="method") == 2


def test_with_no_policy_no_answer_is_repeated(fleet):
    backends = [fleet.backend(reply(503, b"bad")) for _ in range(2)]
    hop = Hop(fleet, {"backend": [backend.address for backend in backends]})
    for method in ("GET", "PUT", "POST"):
        assert exchange(hop.address, text(method), method).status == 503
    assert sum(len(backend.requests) for backend in backends) == 3


def test_the_last_answer_goes_down_whole(fleet):
    long = b"0123456789" * 20000
    backends = [fleet.backend(reply(503, long)) for _ in range(2)]
    hop = retried(fleet, [backend.address for backend in backends], codes=[503], attempts=3, backoff={"base": "1ms", "max": "2ms"})
    answer = exchange(hop.address, text("GET"))
    assert answer.status == 503 and answer.body == long
    assert sum(len(backend.requests) for backend in backends) == 4
    assert hop.logged(end="ok", status=503, attempts=4)["retry_refused"] == "attempts"


@pytest.mark.parametrize("method, repeated", [("PUT", True), ("POST", False)])
def test_a_reset_is_repeated_for_methods_that_may_be(fleet, method, repeated):
    def broken(connection):
        connection.read_request()
        connection.reset()
    hop, bad, good = two(fleet, broken, conditions=["Reset"])
    answers = [exchange(hop.address, text(method, b"body"), method).status for _ in range(4)]
    assert sorted(answers) == ([200] * 4 if repeated else [200, 200, 502, 502])
    assert len(bad.requests) >= 2 and len(good.requests) == (4 if repeated else 2)
    assert hop.figure("outrigger_retries_total", reason="reset") == (len(bad.requests) if repeated else 0)


def test_a_server_that_is_too_slow_is_left_for_another(fleet):
    never = threading.Event()

    def slow(connection):
        connection.read_request()
        never.wait(60)
    bad, good = fleet.backend(slow), fleet.backend(reply(200, b"good"))
    hop = retried(fleet, [bad.address, good.address], timeouts={"request": "60s", "backendRequest": "1s"}, conditions=["Timeout"])
    assert [exchange(hop.address, text("GET")).body for _ in range(2)] == [b"good"] * 2
    never.set()
    assert len(bad.requests) == hop.figure("outrigger_retries_total", reason="timeout") >= 1
    told = [int(request.header("x-request-timeout-ms")) for request in bad.requests + good.requests]
    assert all(0 < left <= 1000 for left in told), "each try is told its own time and not the request's"


def test_a_wait_that_the_server_asks_for_is_kept(fleet):
    seen = []

    def busy(connection):
        while connection.read_request() is not None:
            seen.append(time.monotonic())
            connection.send(message(503, b"", [("Retry-After", "1")]) if len(seen) == 1 else message(200, b"now"))
    hop = retried(fleet, [fleet.backend(busy).address], codes=[503])
    assert exchange(hop.address, text("GET")).body == b"now"
    assert seen[1] - seen[0] >= 0.99
    hop.logged(end="ok", attempts=2, retried_for="code")


def test_a_wait_that_is_too_long_is_left_to_the_client(fleet):
    backend = fleet.backend(reply(503, b"later", [("Retry-After", "3600")]))
    hop = retried(fleet, [backend.address], codes=[503])
    answer = exchange(hop.address, text("GET"))
    assert (answer.status, answer.header("retry-after"), answer.body) == (503, "3600", b"later")
    assert hop.logged(end="ok", attempts=1)["retry_refused"] == "retry_after" and len(backend.requests) == 1


class Refusing(GrpcServer):
    """Fails the first `count` calls before it sends anything: its answer is the trailers alone, as gRPC servers answer what they refuse."""

    def __init__(self, port, count, code, trailing=()):
        super().__init__(port)
        self.count = count
        self.code = code
        self.trailing = trailing

    def begin(self, context):
        if len(self.calls) >= self.count:
            super().begin(context)
            return
        self.calls.append((dict(context.invocation_metadata()), context.time_remaining()))
        context.set_trailing_metadata(self.trailing)
        context.abort(self.code, "not now")


@pytest.mark.parametrize("code, trailing, calls", [
    ("UNAVAILABLE", (), 2), ("RESOURCE_EXHAUSTED", (), 2), ("INTERNAL", (), 1), ("UNAVAILABLE", (("grpc-retry-pushback-ms", "-1"),), 1),
    ("UNAVAILABLE", (("grpc-retry-pushback-ms", "20"),), 2), ("UNAVAILABLE", (("grpc-retry-pushback-ms", "60000"),), 1)])
def test_a_grpc_call_that_the_server_refuses_is_repeated_where_its_code_is_named(fleet, code, trailing, calls):
    port = take_port()
    hop = Hop(fleet, {"backend": [f"127.0.0.1:{port}"]}, protocol="GRPC",
              policies=[traffic("backend", retry={"grpcCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"], "budget": GENEROUS})])
    with Refusing(port, 1, grpc.StatusCode[code], trailing) as server, GrpcClient(hop.address, "backend") as client:
        found, _, _ = status(client.unary, b"call", timeout=60)
        assert found == (grpc.StatusCode.OK if calls == 2 else grpc.StatusCode[code])
        assert len(server.calls) == calls
        first, *others = [left for _, left in server.calls]
        assert all(left <= first for left in others), "the second try has what the first has left"
    assert hop.logged(attempts=calls).get("retried_for") == ("grpc_code" if calls == 2 else None)


def test_a_grpc_call_that_fails_behind_its_head_is_not_repeated(fleet):
    port = take_port()
    hop = Hop(fleet, {"backend": [f"127.0.0.1:{port}"]}, protocol="GRPC", policies=[traffic("backend", retry={"grpcCodes": ["UNAVAILABLE"], "budget": GENEROUS})])
    with GrpcServer(port) as server, GrpcClient(hop.address, "backend") as client:
        assert status(client.unary, b"call", metadata=(("fail", "UNAVAILABLE"),), timeout=60)[0] == grpc.StatusCode.UNAVAILABLE
        assert len(server.calls) == 1
    hop.logged(attempts=1, grpc_status=14)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_that_fails_everything_gets_no_storm(fleet, workers):
    """At most 1.2 times what its clients ask, however many tries the policy allows, and over all workers."""
    backends = [fleet.backend(reply(503, b"bad")) for _ in range(2)]
    hop = Hop(fleet, {"backend": [backend.address for backend in backends]}, workers=workers, policies=[
        traffic("backend", retry={"attempts": 10, "codes": [503], "backoff": {"base": "1ms", "max": "1ms"}, "budget": {"percent": 20, "interval": "1h", "minPerSecond": 0}})])
    clients, each = 4, 100

    def ask():
        with Wire(hop.address) as wire:
            for _ in range(each):
                assert wire.get().response().status == 503
    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asked = clients * each
    lines = hop.logged(asked, end="ok", status=503)
    received = sum(len(backend.requests) for backend in backends)
    assert received == sum(line["attempts"] for line in lines) <= asked * 1.2
    assert received == asked * 1.2, "and the budget is used"
    assert hop.figure("outrigger_retries_total", reason="code") == received - asked
    assert hop.figure("outrigger_retries_refused_total", reason="budget") > 0


@pytest.mark.parametrize("method, answer", [("GET", 200), ("POST", 502)])
def test_in_the_mesh_a_broken_application_is_a_reset_too(fleet, method, answer):
    """What the caller's sidecar gets is the far sidecar's 502: the far sidecar has refused nothing, its application broke."""
    def broken_once(connection):
        while connection.read_request() is not None:
            if len(backend.requests) == 1:
                connection.reset()
                return
            connection.send(message(200, b"good"))
    backend = fleet.backend(broken_once)
    pair = Pair(fleet, backend.address, policies=[traffic("backend", retry={"conditions": ["Reset"], "budget": GENEROUS})])
    assert exchange(pair.address, text(method, b"body"), method).status == answer
    assert len(backend.requests) == (2 if answer == 200 else 1)


def test_the_example_does_what_its_page_says(fleet):
    """docs/examples/retries as it stands, but for its addresses."""
    bad, good, ports = fleet.backend(reply(429, b"bad")), fleet.backend(reply(200, b"good")), (take_port(), take_port())
    places = {"127.0.0.1:8000": bad.address, "127.0.0.1:8001": good.address, "127.0.0.1:9000": f"127.0.0.1:{ports[0]}", "127.0.0.1:9001": f"127.0.0.1:{ports[1]}"}
    documents = [document for document in yaml.safe_load_all(EXAMPLE.read_text(encoding="utf-8")) if document["kind"] != "Proxy"]
    for document in documents:
        for endpoint in document["spec"].get("endpoints", ()):
            endpoint["address"] = places[endpoint["address"]]
    hop = Hop(fleet, documents)
    for _ in range(6):
        assert exchange(hop.address, text("PUT", b"x").replace(b"backend", b"catalogue"), "PUT").body == b"good"
    with Refusing(ports[0], 1000, grpc.StatusCode.UNAVAILABLE) as refusing, GrpcServer(ports[1]) as server, GrpcClient(hop.address, "quotes") as client:
        for _ in range(4):
            assert client.unary(b"call", timeout=60) == b"call"
        assert len(server.calls) == 4
        assert hop.figure("outrigger_retries_total", reason="grpc_code") == len(refusing.calls)
