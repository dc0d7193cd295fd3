# presets: dev tsan release
"""Circuit breakers on real servers: closed, open, half-open and closed again, one for all workers; what a client is told; and what a dry run tells."""

import json
import threading
from pathlib import Path

import grpc
import pytest
import yaml

from support.backend import message
from support.fleet import eventually, take_port
from support.grpc_echo import GrpcClient, GrpcServer, status
from support.hop import API, Hop, traffic
from support.wire import Wire, exchange

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "docs" / "examples" / "breakers" / "proxy.yaml"
REQUEST = b"GET / HTTP/1.1\r\nHost: backend\r\n\r\n"
POLICY = "TrafficPolicy/default/backend-traffic"


class Moody:
    """A backend that does what it is told at the moment: a status, or to wait until it is told to go on."""

    def __init__(self, fleet):
        self.status = 500
        self.holds = False
        self.go_on = threading.Event()
        self.server = fleet.backend(self.script)
        self.address = self.server.address

    def script(self, connection):
        while connection.read_request() is not None:
            if self.holds:
                self.go_on.wait(60)
            connection.send(message(self.status, b"answer"))

    @property
    def asked(self):
        return len(self.server.requests)


def broken(fleet, workers=1, services=None, **breaker):
    """(hop, its backend, which fails); no request is repeated."""
    backend = Moody(fleet)
    hop = Hop(fleet, services or {"backend": [backend.address]}, workers=workers,
              policies=[traffic("backend", circuitBreaker=breaker, retry={"disabled": True})])
    return hop, backend


def change(hop, **breaker):
    """Other numbers, while its state stays."""
    hop.documents[-1]["spec"]["circuitBreaker"].update(breaker)
    hop.reload()


def ask(hop, times=1):
    """The statuses of requests on connections of their own, so that all workers have some."""
    return [exchange(hop.address, REQUEST).status for _ in range(times)]


def state(hop, mode="enforce"):
    return hop.figure("outrigger_breaker_state", policy=POLICY, target="default/backend:80", mode=mode)


def came_to(hop, name):
    return hop.figure("outrigger_breaker_transitions_total", policy=POLICY, to=name)


@pytest.mark.parametrize("workers", [1, 2])
def test_five_failures_a_minute_one_probe(fleet, workers):
    hop, backend = broken(fleet, workers, failureThreshold=5, openFor="60s")
    assert state(hop) == 0 and hop.page("/clusters")[0]["circuit_breaker"] == "closed"
    assert ask(hop, 5) == [500] * 5
    assert ask(hop, 20) == [503] * 20
    assert backend.asked == 5, "the sixth and all behind it were not sent"
    assert state(hop) == 1 and hop.page("/clusters")[0]["circuit_breaker"] == "open"
    change(hop, openFor="1ms")  # its minute is over
    backend.status, backend.holds = 200, True
    with Wire(hop.address) as wire:
        wire.send(REQUEST)
        eventually(lambda: backend.asked == 6, what="the probe")
        assert ask(hop, 20) == [503] * 20
        assert state(hop) == 2 and hop.page("/clusters")[0]["circuit_breaker"] == "half_open"
        backend.go_on.set()
        assert wire.response().status == 200
    backend.holds = False
    assert ask(hop, 20) == [200] * 20
    assert backend.asked == 26
    assert state(hop) == 0 and [came_to(hop, name) for name in ("open", "half_open", "closed")] == [1, 1, 1]
    assert hop.figure("outrigger_policy_refusals_total", policy=POLICY, rule="circuitBreaker", target="default/backend:80", mode="enforce") == 40
    assert hop.figure("outrigger_request_ends_total", end="breaker_open") == 40
    assert hop.process.output().count("event=circuit_breaker state=open") == 1


def test_a_probe_that_fails_opens_it_again(fleet):
    hop, backend = broken(fleet, failureThreshold=1, openFor="60s")
    assert ask(hop, 3) == [500, 503, 503]
    change(hop, openFor="1ms")
    eventually(lambda: ask(hop) == [500] and came_to(hop, "open") >= 2)
    change(hop, openFor="60s")
    asked = backend.asked
    assert ask(hop, 10) == [503] * 10 and backend.asked == asked


def test_breakers_beyond_those_that_are_shown_count_together(fleet):
    count, shown = 1010, 1000
    port = take_port()  # where nobody listens
    endpoints = [f"127.0.{number // 250 + 1}.{number % 250 + 1}:{port}" for number in range(count)]
    hop = Hop(fleet, {"backend": endpoints}, workers=1,
              policies=[traffic("backend", circuitBreaker={"scope": "Endpoint", "failureThreshold": 1, "openFor": "600s"}, retry={"disabled": True},
                                loadBalancer={"type": "RoundRobin"}, outlierDetection={"disabled": True})])
    with Wire(hop.address) as wire:
        for _ in range(count):
            wire.send(REQUEST)
            assert wire.response().status in (502, 503)
    opened = {dict(labels)["target"]: value for (name, labels), value in hop.figures().items()
              if name == "outrigger_breaker_transitions_total" and ("to", "open") in labels}
    rest = hop.figure("outrigger_breaker_transitions_total", otel_metric_overflow="true")
    assert len(opened) == shown and rest == count - shown and sum(opened.values()) == shown
    assert hop.figure("outrigger_breaker_state", mode="enforce") == shown, "what counts together has no state"


def test_what_a_client_is_told(fleet):
    hop, _ = broken(fleet, failureThreshold=1, openFor="60s")
    ask(hop)
    answer = exchange(hop.address, REQUEST)
    assert answer.status == 503 and 1 <= int(answer.header("retry-after")) <= 60
    assert answer.header("proxy-status") == f'outrigger; error=destination_unavailable; details="breaker_open; {POLICY}: circuitBreaker"'
    assert json.loads(answer.body)["detail"] == "breaker_open: open"
    line = hop.logged(end="breaker_open")
    assert line["policy"] == f"{POLICY}: circuitBreaker" and line["detail"] == "open" and line["status"] == 503


def explained(hop):
    """(what is decided, what the filter `breaker` says; None: there is none)"""
    answer = hop.page("/explain?host=backend&path=/")
    step = next((row for row in answer["filters"] if row["filter"] == "breaker"), None)
    return answer["outcome"], step and {figure["name"]: figure["value"] for figure in step["figures"]}


def test_it_is_explained_and_to_ask_takes_no_probe(fleet):
    hop, backend = broken(fleet, failureThreshold=2, openFor="60s")
    ask(hop)
    outcome, figures = explained(hop)
    assert outcome["decision"] == "forwarded"
    assert figures == {"state": "closed", "failures_in_a_row": 1, "window_requests": 1, "window_failures": 1, "window_slow": 0}
    ask(hop)
    outcome, figures = explained(hop)
    assert (outcome["decision"], outcome["end"], outcome["status"], outcome["by"], outcome["policy"]) == ("refused", "breaker_open", 503, "breaker", POLICY)
    assert figures["state"] == "open" and 0 < figures["open_for_ms"] <= 60000
    change(hop, openFor="1ms")
    backend.status = 200
    for _ in range(3):
        outcome, figures = explained(hop)
        assert outcome["decision"] == "forwarded" and figures == {"state": "half_open"}
    assert came_to(hop, "half_open") == 0 and hop.figure("outrigger_policy_refusals_total") == 0
    assert ask(hop) == [200] and state(hop) == 0


def test_a_client_that_goes_leaves_the_probe_to_another(fleet):
    hop, backend = broken(fleet, failureThreshold=1, openFor="60s")
    ask(hop)
    change(hop, openFor="1ms")
    backend.status, backend.holds = 200, True
    with Wire(hop.address) as wire:
        wire.send(REQUEST)
        eventually(lambda: backend.asked == 2, what="the probe")
        assert ask(hop) == [503]
        wire.break_off()
    hop.logged(end="client_gone")
    backend.go_on.set()
    assert ask(hop) == [200]
    assert state(hop) == 0 and came_to(hop, "closed") == 1


def test_a_share_of_failures(fleet):
    hop, backend = broken(fleet, workers=2, failurePercent=50, minRequests=10, window="1h", openFor="60s")
    backend.status = 200
    assert ask(hop, 5) == [200] * 5
    backend.status = 502
    assert ask(hop, 6) == [502] * 5 + [503], "five of ten"
    backend.status = 200
    assert ask(hop) == [503]


def test_calls_of_grpc_are_judged_by_their_code(fleet):
    port = take_port()
    hop = Hop(fleet, {"backend": [f"127.0.0.1:{port}"]}, protocol="GRPC",
              policies=[traffic("backend", circuitBreaker={"failureThreshold": 3, "openFor": "60s"}, retry={"disabled": True})])
    with GrpcServer(port) as server, GrpcClient(hop.address, "backend") as client:
        def call(code=None):
            return status(client.unary, b"call", metadata=(("fail", code),) if code else (), timeout=60)
        for code in ("NOT_FOUND", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "CANCELLED", "UNIMPLEMENTED"):
            assert call(code)[0] == grpc.StatusCode[code]
        for code in ("UNAVAILABLE", "INTERNAL", "DATA_LOSS"):
            assert call(code)[0] == grpc.StatusCode[code]
        code, details, trailing = call()
        assert code == grpc.StatusCode.UNAVAILABLE and details == "breaker_open: open" and 0 < int(trailing["grpc-retry-pushback-ms"]) <= 60000
        assert len(server.calls) == 8
        change(hop, openFor="1ms")
        assert call()[0] == grpc.StatusCode.OK and state(hop) == 0


def test_a_dry_run_refuses_nobody(fleet):
    hop, backend = broken(fleet, failureThreshold=2, openFor="60s", mode="DryRun")
    assert ask(hop, 5) == [500] * 5 and backend.asked == 5
    assert state(hop, "dry_run") == 1 and hop.figure("outrigger_policy_refusals_total", mode="dry_run") == 3
    assert sorted(line.get("dry_run", "") for line in hop.logged(5, status=500)) == [""] * 2 + [f"{POLICY}: circuitBreaker: breaker_open"] * 3
    change(hop, mode="Enforce")
    assert ask(hop, 3) == [500, 500, 503], "what is enforced begins with a state of its own"


IN_TURN = {"type": "RoundRobin", "slowStart": "0s"}


@pytest.mark.parametrize("workers", [1, 2])
def test_of_endpoints_the_bad_one_is_left_out(fleet, workers):
    bad, good = Moody(fleet), Moody(fleet)
    good.status = 200
    breaker = {"failureThreshold": 5, "openFor": "60s", "scope": "Endpoint"}
    hop = Hop(fleet, {"backend": [bad.address, good.address]}, workers=workers,
              policies=[traffic("backend", circuitBreaker=breaker, retry={"disabled": True}, loadBalancer=IN_TURN)])
    statuses = ask(hop, 60)
    assert statuses.count(500) == bad.asked == 5 and statuses.count(200) == good.asked == 55
    target = f"default/backend:80 {bad.address}"
    assert hop.figure("outrigger_breaker_state", target=target) == 1
    endpoints = {endpoint["address"]: endpoint["state"] for endpoint in hop.page("/clusters")[0]["endpoints"]}
    assert endpoints == {bad.address: "breaker open", good.address: "available"}
    good.status = 500
    statuses = ask(hop, 10)
    assert statuses == [500] * 5 + [503] * 5, "none is left, and no panic asks them"
    answer = exchange(hop.address, REQUEST)
    assert answer.status == 503 and 1 <= int(answer.header("retry-after")) <= 60
    assert hop.logged(end="breaker_open")["policy"] == f"{POLICY}: circuitBreaker"
    if workers == 1:  # another worker may not have met them yet
        outcome, step = explained(hop)
        assert (outcome["decision"], outcome["end"], outcome["by"], step) == ("refused", "breaker_open", "endpoints", None)
    bad.status = good.status = 200
    change(hop, openFor="1ms")
    eventually(lambda: ask(hop, 4) == [200] * 4 and came_to(hop, "closed") == 2)
    assert hop.figure("outrigger_breaker_state", target=target) == 0


def test_the_example(fleet):
    """docs/examples/breakers as it stands, but for its addresses."""
    payments, reports, *catalogue = [Moody(fleet) for _ in range(4)]
    catalogue[1].status = 200
    places = {"127.0.0.1:8000": payments.address, "127.0.0.1:8001": reports.address,
              "127.0.0.1:8002": catalogue[0].address, "127.0.0.1:8003": catalogue[1].address}
    documents = [document for document in yaml.safe_load_all(EXAMPLE.read_text(encoding="utf-8")) if document["kind"] != "Proxy"]
    for document in documents:
        for endpoint in document["spec"].get("endpoints", ()):
            endpoint["address"] = places[endpoint["address"]]
    hop = Hop(fleet, documents)
    statuses = {host: [exchange(hop.address, REQUEST.replace(b"backend", host.encode())).status for _ in range(25)] for host in ("payments", "reports")}
    assert statuses == {"payments": [500] * 5 + [503] * 20, "reports": [500] * 25}
    assert hop.figure("outrigger_policy_refusals_total", policy="TrafficPolicy/default/reports", mode="dry_run") == 5
    statuses = [exchange(hop.address, REQUEST.replace(b"backend", b"catalogue")).status for _ in range(40)]
    assert statuses.count(500) == catalogue[0].asked <= 3 and statuses.count(200) == 40 - catalogue[0].asked


def test_breakers_of_many_endpoints_leave_the_figures_of_others(fleet):
    """/metrics has room for so many rows: endpoints have room of their own."""
    count, rules = 1200, [f"r{index}" for index in range(20)]
    limit = {"apiVersion": API, "kind": "RateLimitPolicy", "metadata": {"name": "limit"}, "spec": {
        "targetRefs": [{"kind": "Service", "name": "backend"}], "rules": [{"name": name, "limits": [{"requests": 1000000, "per": "1s"}]} for name in rules]}}
    hop = Hop(fleet, {"backend": [f"127.1.{index // 250}.{index % 250 + 1}:1" for index in range(count)]}, workers=1, policies=[limit, traffic(
        "backend", circuitBreaker={"failureThreshold": 100, "scope": "Endpoint"}, loadBalancer={"type": "RoundRobin"}, retry={"disabled": True},
        outlierDetection={"disabled": True})])
    with Wire(hop.address) as wire:
        for _ in range(count):
            wire.send(REQUEST)
            assert wire.response().status == 502
    shown = [dict(labels) for name, labels in hop.figures() if name == "outrigger_policy_refusals_total"]
    assert all("otel_metric_overflow" not in labels for labels in shown)  # there was no refusal
    assert sorted(labels["rule"] for labels in shown if labels["policy"] == "RateLimitPolicy/default/limit") == sorted(rules)
    breakers = [labels for labels in shown if labels["rule"] == "circuitBreaker"]
    assert len(breakers) == 1000
