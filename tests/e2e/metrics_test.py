"""/metrics as a scraper reads it: requests by method, status and end, durations as histograms, bytes; counters only grow; whoever scrapes delays nobody."""

import http.client
import threading

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from support.backend import held, message, reply
from support.fleet import eventually, http_get, split_address
from support.h2_peer import H2Client
from support.hop import API, Hop, service, traffic
from support.wire import Wire, exchange

SERVICE = {"direction": "outbound", "service": "default/backend:80"}


def test_requests_are_counted_by_method_status_and_end(fleet):
    hop = Hop(fleet, {"backend": [fleet.backend(lambda connection: [connection.send(message(int(request.target[1:]))) for request in iter(connection.read_request, None)]).address]})
    with Wire(hop.address) as wire, H2Client(hop.address) as client:
        for status in (200, 201, 404, 500):
            assert wire.get(f"/{status}").response().status == status
            assert wire.post(b"x", f"/{status}").response().status == status
        assert client.get("/204").status == 204
        assert wire.get("/200", host="nobody").response().status == 502
    hop.logged(10)
    figures = hop.figures()

    def count(**labels):
        labels["service"] = SERVICE["service"]
        return sum(value for (sample, found), value in figures.items() if sample == "http_client_request_duration_seconds_count" and labels.items() <= dict(found).items())
    assert count() == 9
    assert count(http_request_method="GET") == 5 and count(http_request_method="POST") == 4
    assert count(http_response_status_code="404") == 2 and count(http_response_status_code="204") == 1
    assert count(error_type="404") == 2 and count(error_type="500") == 2 and count(network_protocol_version="2") == 1
    assert count(server_address="backend", server_port="80") == 9
    assert hop.figure("outrigger_request_ends_total", **SERVICE, end="ok") == 9
    assert sum(value for (sample, found), value in figures.items() if sample == "outrigger_request_ends_total" and ("end", "host_unknown") in found) == 1
    assert hop.figure("http_client_request_duration_seconds_count", service=SERVICE["service"]) == 9


def test_the_same_figures_in_both_forms(fleet):
    """The forms are read by Prometheus' own parsers; the same samples are in both, but for what moves while they are asked for."""
    hop = Hop(fleet, {"backend": [fleet.backend(reply(200, b"x")).address]})
    assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200
    hop.logged()
    connection = http.client.HTTPConnection(*split_address(hop.metrics), timeout=60)

    def ask(accept):
        connection.request("GET", "/metrics", headers={"Accept": accept} if accept else {})
        answer = connection.getresponse()
        return answer.getheader("Content-Type"), answer.read().decode()
    kind, text = ask(None)
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    plain = {(sample.name, tuple(sorted(sample.labels.items()))) for family in text_string_to_metric_families(text) for sample in family.samples}
    kind, text = ask("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2")
    assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8" and text.endswith("\n# EOF\n")
    families = list(openmetrics.text_string_to_metric_families(text))
    assert {family.type for family in families} == {"counter", "gauge", "histogram"}
    found = {(sample.name, tuple(sorted(sample.labels.items()))) for family in families for sample in family.samples}

    def by_number(samples):
        return {(name, tuple((key, float(value) if key == "le" else value) for key, value in labels)) for name, labels in samples}
    assert by_number(found) == by_number(plain)
    connection.close()


def test_durations_are_a_histogram_in_order(fleet):
    hop = Hop(fleet, {"backend": [fleet.backend(reply(200, b"x")).address]})
    for _ in range(10):
        assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200
    hop.logged(10)
    buckets = [(float(dict(labels)["le"]), value) for (name, labels), value in hop.figures().items()
               if name == "http_client_request_duration_seconds_bucket" and dict(labels)["service"] == SERVICE["service"]]
    buckets.sort()
    assert [bound for bound, _ in buckets] == [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, float("inf")]
    counts = [value for _, value in buckets]
    assert counts == sorted(counts) and counts[-1] == 10
    logged = sum(line["duration_us"] for line in hop.log()) / 1e6
    assert abs(hop.figure("http_client_request_duration_seconds_sum") - logged) < 1e-4


def test_counters_only_grow_and_gauges_return(fleet):
    event = threading.Event()
    hop = Hop(fleet, {"backend": [fleet.backend(held(event, message(200, b"x"))).address]})
    _, body = http_get(hop.metrics, "/metrics")
    kinds = {family.name: family.type for family in text_string_to_metric_families(body.decode())}
    before = hop.figures()
    wires = [Wire(hop.address).get() for _ in range(5)]
    eventually(lambda: hop.figure("outrigger_streams_active") == 5)
    during = hop.figures()
    event.set()
    for wire in wires:
        assert wire.response().status == 200
        wire.close()
    eventually(lambda: hop.figure("outrigger_streams_active") == hop.figure("outrigger_downstream_connections_active") == 0)
    after = hop.figures()
    for earlier, later in ((before, during), (during, after)):
        for (name, labels), value in earlier.items():
            family = name.removesuffix("_total")
            if kinds.get(family) == "counter":
                assert later.get((name, labels), 0) >= value, name
    assert after[("outrigger_streams_total", ())] == 5


def test_inbound_requests_are_of_the_server_side(fleet):
    hop = Hop(fleet, inbound={"in": {"forwardTo": fleet.backend().address}}, outbound=False)
    assert exchange(hop.inbound["in"], "GET / HTTP/1.1\r\nHost: whatever\r\n\r\n").status == 200
    hop.logged(direction="inbound")
    assert hop.figure("outrigger_request_ends_total", direction="inbound") == 1
    assert hop.figure("http_server_request_duration_seconds_count", url_scheme="http", http_response_status_code="200") == 1


def half(event):
    """Answers at once; /slow with half a body, the other half once `event` is set."""
    def script(connection):
        while (request := connection.read_request()) is not None:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx")
            if request.target == "/slow":
                event.wait()
            connection.send(b"x")
    return script


def test_series_of_a_service_that_workers_leave_one_by_one_do_not_fall(fleet):
    """A download holds the service on one worker after it left the documents: what the other worker has counted stays in the series until that is over too, then all moves to the overflow at once."""
    event = threading.Event()
    backend, other = fleet.backend(half(event)).address, fleet.backend(reply(200, b"x")).address
    hop = Hop(fleet, [service("backend", [backend]), service("other", [other])], workers=2)

    def counts():
        figures = hop.figures()
        names = ("http_client_request_duration_seconds_count", "outrigger_request_ends_total")
        return [(sum(value for (sample, labels), value in figures.items() if sample == name and ("service", "default/backend:80") in labels),
                 sum(value for (sample, labels), value in figures.items() if sample == name and ("otel_metric_overflow", "true") in labels)) for name in names]

    with Wire(hop.address) as one, Wire(hop.address) as two:  # each has a worker
        for wire, count in ((one, 6), (two, 3)):
            for _ in range(count):
                assert wire.get("/").response().status == 200
        two.get("/slow").take_until(b"\r\n\r\n")
        before = hop.documents
        assert counts() == [(9, 0)] * 2
        hop.reload([document for document in before if document["metadata"]["name"] != "backend"])
        for _ in range(3):
            assert counts() == [(9, 0)] * 2
        hop.reload(before)  # the other worker begins a part of the same series
        assert one.get("/").response().status == 200
        assert counts() == [(10, 0)] * 2
        hop.reload([document for document in before if document["metadata"]["name"] != "backend"])
        assert counts() == [(10, 0)] * 2
        event.set()
        two.take(2)
        seen = []
        eventually(lambda: seen.append(counts()) or seen[-1] == [(0, 11)] * 2)
        assert all(sum(of) >= 10 for both in seen for of in both)
    hop.reload(before)
    assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200
    eventually(lambda: counts() == [(1, 11)] * 2)


def test_what_a_long_stream_counts_stays_with_its_service(fleet):
    """The first request that a service ever has ends after two reloads that left the service in the documents: it is in the service's series, then and after one reload more."""
    event = threading.Event()
    hop = Hop(fleet, {"backend": [fleet.backend(half(event)).address]}, workers=1)
    with Wire(hop.address) as wire:
        wire.get("/slow").take_until(b"\r\n\r\n")
        for number in range(2):
            hop.reload(hop.documents + [service(f"other{number}", ["127.0.0.1:9"])])
        eventually(lambda: hop.figure("outrigger_worker_snapshots") == 1)
        event.set()
        wire.take(2)
        hop.logged()
    for number in range(2):
        assert hop.figure("outrigger_request_ends_total", **SERVICE, end="ok") == 1
        assert hop.figure("http_client_request_duration_seconds_count", service=SERVICE["service"]) == 1
        assert hop.figure("outrigger_request_ends_total", otel_metric_overflow="true") == 0
        if number == 0:
            hop.reload(hop.documents + [service("last", ["127.0.0.1:9"])])
            eventually(lambda: hop.figure("outrigger_worker_snapshots") == 1)


def test_counters_of_policies_and_health_outlive_those(fleet):
    """A policy or service that goes leaves what it counted to the overflow; one that comes back begins at 0."""
    fault = {"apiVersion": API, "kind": "FaultPolicy", "metadata": {"name": "broken"},
             "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": "backend"}], "rules": [{"name": "all", "abort": {"status": 418}}]}}
    checked = traffic("backend", healthCheck={"interval": "100ms", "path": "/health"})
    backend, other = service("backend", [fleet.backend(reply(200, b"x")).address]), service("other", [fleet.backend(reply(200, b"x")).address])
    hop = Hop(fleet, [backend, other], policies=[fault, checked], workers=2)
    refusals, checks = "outrigger_policy_refusals_total", "outrigger_health_checks_total"

    def of(name):
        return [hop.figure(name, **labels) for labels in ({}, {"otel_metric_overflow": "true"})]
    for _ in range(5):
        assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 418
    eventually(lambda: of(checks)[0] >= 3)
    assert of(refusals) == [5, 0] and of(checks)[1] == 0
    hop.reload([hop.proxy, other])
    eventually(lambda: of(refusals) == [5, 5])
    eventually(lambda: of(checks)[0] == of(checks)[1] >= 3)
    hop.reload([hop.proxy, backend, other, fault])
    assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 418
    assert of(refusals) == [6, 5] and hop.figure(refusals, policy="FaultPolicy/default/broken") == 1


def test_directions_are_those_of_the_listeners(fleet):
    """Also of requests that no service is found for."""
    hop = Hop(fleet, {"backend": [fleet.backend(reply(200, b"x")).address]}, inbound={"in": {"forwardTo": fleet.backend().address}})
    assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: nobody\r\n\r\n").status == 502
    assert exchange(hop.inbound["in"], "GET / HTTP/1.1\r\nHost: whatever\r\n\r\n").status == 200
    hop.logged(2)
    assert hop.figure("outrigger_request_ends_total", direction="outbound", service="unknown", end="host_unknown") == 1
    assert hop.figure("outrigger_request_ends_total", direction="inbound", end="ok") == 1


def test_scrapes_and_traffic_go_on_together(fleet):
    hop = Hop(fleet, {"backend": [fleet.backend(reply(200, b"x")).address]})
    load = fleet.start("load", ["h2load", "-n", "3000", "-c", "4", "-m", "5", "--connect-to", hop.address, "http://backend/"])
    last = 0
    while load.running():
        now = hop.figure("outrigger_streams_total")
        assert now >= last
        last = now
    load.wait()
    assert "3000 2xx" in load.output()
    assert hop.figure("outrigger_streams_total") == 3000


def test_endpoints_make_no_series(fleet):
    """How many there are, and where, name servers may say: series are bounded by the documents."""
    def series(*endpoints):
        backend = fleet.backend(reply(200, b"x"))
        hop = Hop(fleet, {"backend": [backend.address, *endpoints]}, name=f"hop{len(endpoints)}", policies=[traffic("backend", connections={"max": 2}, loadBalancer={"type": "RoundRobin"})])
        for _ in range(len(endpoints) + 1):
            exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n")
        shown = hop.figures()
        assert ("outrigger_limit", (("limit", "connections.max"), ("scope", "service/default/backend:80"))) in shown
        text = http_get(hop.metrics, "/metrics")[1].decode()
        assert backend.address not in text and "127.0.0.9:" not in text
        return {labels for name, labels in shown if name.startswith("outrigger_limit")}

    assert series() == series(*(f"127.0.0.9:{port}" for port in range(1, 31)))
