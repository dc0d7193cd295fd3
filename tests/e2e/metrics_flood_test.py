# presets: dev
"""Whatever peers make up (paths, hosts, methods, header values, gRPC methods), series and memory stay as they are, and no request is lost from the sums."""

from support.backend import reply
from support.fleet import http_get
from support.h2_peer import H2Client
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


def test_histograms_of_a_target_can_be_switched_off(fleet):
    hop = Hop(fleet, {"backend": [fleet.backend(reply(200, b"x")).address]}, policies=[labelled(metrics={"disabled": True})])
    with Wire(hop.address) as wire:
        assert wire.get("/").response().status == 200
    assert histograms(hop) == (0, 0)
    assert hop.figure("outrigger_request_ends_total", end="ok") == 1
