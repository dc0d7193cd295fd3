# presets: dev
"""Whatever peers make up (paths, hosts, methods, header values, gRPC methods), series and memory stay as they are, and no request is lost from the sums."""

import http.client

from prometheus_client.openmetrics import parser as openmetrics

from support.backend import reply
from support.fleet import http_get, split_address
from support.h2_peer import H2Client, h2_server
from support.hop import Hop
from support.wire import Wire, exchange

FLOOD = 400


def histograms(hop):
    """Series of histograms of requests, and how many requests they have."""
    counts = {labels: value for (name, labels), value in hop.figures().items() if name.endswith(("_request_duration_seconds_count", "_call_duration_seconds_count"))}
    return len(counts), sum(counts.values())


def resident(hop):
    return hop.figure("process_resident_memory_bytes")


def labelled(**spec):
    return {"apiVersion": "outrigger.dev/v1alpha1", "kind": "TelemetryPolicy", "metadata": {"name": "labels"},
            "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": "backend"}], **spec}}


def test_names_that_peers_make_up_make_no_series(fleet):
    hop = Hop(fleet, {"backend": [fleet.backend(reply(200, b"x")).address]})

    def flood(begin):
        with Wire(hop.address) as wire:
            for number in range(begin, begin + FLOOD):
                assert wire.get(f"/{number}?{number}").response().status == 200
                assert wire.get("/", host=f"h{number}.example").response().status == 502
                assert wire.get("/", headers=[f"x-made-up: v{number}", f"x-{number}: v"]).response().status == 200
                assert exchange(hop.address, f"M{number} / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 501
        with H2Client(hop.address) as client:
            for number in range(begin, begin + FLOOD // 4):
                answer = client.get(f"/made.Up/M{number}", "h.example", method="POST", headers=[("content-type", "application/grpc"), ("te", "trailers")])
                assert answer.header("grpc-status") == "14"

    flood(0)
    series, counted = histograms(hop)
    lines, before = len(http_get(hop.metrics, "/metrics")[1].splitlines()), resident(hop)
    flood(FLOOD)
    assert histograms(hop) == (series, 2 * counted) and series < 20
    assert len(http_get(hop.metrics, "/metrics")[1].splitlines()) == lines
    assert resident(hop) < before + (32 << 20)  # AddressSanitizer keeps for a while what was freed


def test_labels_of_a_policy_are_bounded_and_the_rest_counts_together(fleet):
    policy = labelled(metrics={"labels": [{"name": "tenant", "from": {"type": "Header", "name": "x-tenant-id"}}]})
    hop = Hop(fleet, {"backend": [fleet.backend(reply(200, b"x")).address]}, policies=[policy], telemetry={"metrics": {"maxSeries": 50}}, workers=2)
    for begin in (0, FLOOD):
        for _ in range(2):
            with Wire(hop.address) as wire:  # on either worker
                for number in range(begin, begin + FLOOD):
                    assert wire.get("/", headers=[f"x-tenant-id: t{number}"]).response().status == 200
        series, counted = histograms(hop)
        assert (series, counted) == (51, 2 * (begin + FLOOD))
    assert hop.figure("http_client_request_duration_seconds_count", tenant="t1") == 2
    assert hop.figure("http_client_request_duration_seconds_count", otel_metric_overflow="true") == 4 * FLOOD - 100


HOSTILE = [b"a\xfe", b"a\xff", b"a\xff\xfe", b'"', b"\\", b'\\"', b"}", b"a,b=\"c\"", b"\xc2\x85", b"\xc2\x9b", "h\u00fclle".encode(), b"x" * 127 + "\u00fc".encode(), b"x" * 127 + b"\xc3",
           b"x" * 128, b"x" * 129, b"x" * 4096, b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"le", b"+Inf", b"NaN"]


def strict(hop):
    """The samples of a scrape of OpenMetrics, each once, and the values of the label `tenant`."""
    connection = http.client.HTTPConnection(*split_address(hop.metrics), timeout=60)
    connection.request("GET", "/metrics", headers={"Accept": "application/openmetrics-text"})
    text = connection.getresponse().read().decode()  # UTF-8, or it raises
    connection.close()
    samples = [sample for family in openmetrics.text_string_to_metric_families(text) for sample in family.samples]
    keys = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in samples]
    assert len(keys) == len(set(keys))
    return samples


def test_values_that_break_nothing_and_are_told_apart_by_what_is_written(fleet):
    policy = labelled(metrics={"labels": [{"name": "tenant", "from": {"type": "Header", "name": "x-tenant-id"}}]})
    hop = Hop(fleet, {"backend": [fleet.backend(reply(200, b"x")).address]}, policies=[policy], workers=2)
    for _ in range(2):
        with Wire(hop.address) as wire:  # on either worker
            for value in HOSTILE:
                wire.send(b"GET / HTTP/1.1\r\nHost: backend\r\nx-tenant-id: " + value + b"\r\n\r\n")
                assert wire.response().status == 200
    counts = {sample.labels.get("tenant"): sample.value for sample in strict(hop) if sample.name == "http_client_request_duration_seconds_count"}
    assert sum(counts.values()) == 2 * len(HOSTILE)
    assert counts["a\ufffd"] == 4 and counts["a\ufffd\ufffd"] == 2  # bytes that are no UTF-8 are all alike
    assert counts["\ufffd"] == 4 and counts["h\u00fclle"] == 2  # so are controls
    assert counts["x" * 127] == 4 and counts["x" * 128] == 6  # no character is cut in two
    assert counts['a,b="c"'] == counts['\\"'] == counts["\\"] == 2
    hop.documents[-1]["spec"]["metrics"]["labels"].append({"name": "tier", "from": {"type": "Header", "name": "x-tier"}})
    hop.reload()  # those without the new label are the same as before
    with Wire(hop.address) as wire:
        assert wire.get("/", headers=["x-tenant-id: le"]).response().status == 200
    strict(hop)


def test_codes_that_grpc_does_not_have_are_one(fleet):
    def answer(server, request):
        code = dict(request.headers)[":path"].rsplit("Code", 1)[1]
        server.respond(request.stream, headers=[("content-type", "application/grpc"), ("grpc-status", code)])
    hop = Hop(fleet, {"backend": [fleet.backend(h2_server(answer)).address]}, protocol="GRPC")
    codes = [*range(0, 25), 42, 98, 99]
    with H2Client(hop.address) as client:
        for code in codes:
            client.get(f"/a.B/Code{code}", "backend", method="POST", headers=[("content-type", "application/grpc"), ("te", "trailers")])
    counts = [sample for sample in strict(hop) if sample.name == "rpc_client_call_duration_seconds_count"]
    assert sum(sample.value for sample in counts) == len(codes)
    assert sum(sample.value for sample in counts if sample.labels["rpc_status_code"] == "UNKNOWN") == len([code for code in codes if code == 2 or code > 16])
    assert len({sample.labels["rpc_status_code"] for sample in counts}) == 17


def test_histograms_of_a_target_can_be_switched_off(fleet):
    hop = Hop(fleet, {"backend": [fleet.backend(reply(200, b"x")).address]}, policies=[labelled(metrics={"disabled": True})])
    with Wire(hop.address) as wire:
        assert wire.get("/").response().status == 200
    assert histograms(hop) == (0, 0)
    assert hop.figure("outrigger_request_ends_total", end="ok") == 1
