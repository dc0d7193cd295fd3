# presets: dev release
# seconds: 40
"""Spans on their way to a collector: all protocols against a strict receiver, what happens while nobody is there, and that each span is counted once."""

import gzip
import json
import ssl
import threading

import pytest

from support.authorize import get
from support.backend import held, message
from support.fleet import eventually, take_port
from support.h2_peer import h2_server
from support.hop import Hop, service
from support.origin import simple
from support.otlp_receiver import PROTOCOLS, generate, grpc, settled, told
from support.pair import CALLER, Pair
from support.test_ca import Authority
from support.wire import Wire

SOON = {"scheduleDelay": "20ms", "exportTimeout": "60s"}


def traces(receiver, **more):
    return {"endpoint": f"http://{receiver.address}", "protocol": PROTOCOLS[receiver.protocol], "batch": SOON, **more}


def tracing_hop(fleet, traces_block, services=(), **spec):
    """A proxy that sends one span for each request to the host `backend`."""
    backend = fleet.backend()
    hop = Hop(fleet, [service("backend", [backend.address]), *services], start=False, **spec)
    hop.proxy["spec"]["telemetry"]["traces"] = traces_block
    return hop


def ask(hop, count):
    for number in range(count):
        assert get(hop.address, f"/{number}", host="backend").status == 200


@pytest.mark.parametrize("compression", ["None", "Gzip"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_each_span_comes_once(fleet, receiver_of, protocol, compression):
    receiver = receiver_of(protocol)
    hop = tracing_hop(fleet, traces(receiver, compression=compression, headers=[{"name": "x-tenant", "value": "a"}]), service="front")
    hop.start()
    ask(hop, 20)
    assert settled(hop, 20) == (20, 20, 0, {})
    assert len({span.span_id for span in receiver.spans}) == len(receiver.spans) == 20
    assert receiver.resource["service.name"] == "front" and receiver.resource["service.namespace"] == "default"
    assert all(fields["x-tenant"] == "a" for fields in receiver.requests)
    if protocol != "grpc":
        assert {fields.get("content-encoding") for fields in receiver.requests} == {"gzip" if compression == "Gzip" else None}
    # It tells of itself nowhere else: neither in the log nor among the requests of a service.
    assert len(hop.log()) == 20
    assert hop.figure("outrigger_telemetry_export_retries_total") == 0


def test_grpc_says_that_its_message_is_compressed(fleet):
    """Which a library for gRPC takes as it comes: seen on the wire."""
    requests = []

    def answer(server, request):
        requests.append(request)
        server.respond(request.stream, headers=[("content-type", "application/grpc")], trailers=[("grpc-status", "0")])

    receiver = fleet.backend(h2_server(answer))
    hop = tracing_hop(fleet, {"endpoint": f"http://{receiver.address}", "protocol": "GRPC", "compression": "Gzip", "batch": SOON})
    hop.start()
    ask(hop, 1)
    assert settled(hop, 1) == (1, 1, 0, {})
    body = requests[0].body
    assert requests[0].header("grpc-encoding") == "gzip" and body[0] == 1 and int.from_bytes(body[1:5], "big") == len(body) - 5
    message = generate()[0].ExportTraceServiceRequest.FromString(gzip.decompress(body[5:]))
    assert len(message.resource_spans[0].scope_spans[0].spans) == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_receiver_that_comes_back_gets_what_waits(fleet, receiver_of, protocol):
    receiver = receiver_of(protocol)
    hop = tracing_hop(fleet, traces(receiver))
    hop.start()
    ask(hop, 5)
    settled(hop, 5)
    receiver.stop()
    ask(hop, 30)
    eventually(lambda: hop.figure("outrigger_telemetry_export_retries_total") > 0, what="a retry")
    assert "event=export_retry signal=traces" in hop.process.output()
    ask(hop, 5)
    receiver.start()
    made, exported, waiting, dropped = settled(hop, 40)
    assert (made, exported, waiting, dropped) == (40, 40, 0, {})
    assert len(receiver.spans) == 40


def test_what_the_queue_has_no_room_for_is_counted(fleet, receiver_of):
    receiver = receiver_of()
    hop = tracing_hop(fleet, traces(receiver, batch={**SOON, "maxQueueSize": 16, "maxBatchSize": 8}))
    receiver.answers.append("hang")
    hop.start()
    ask(hop, 60)
    made, exported, waiting, dropped = eventually(lambda: (figures := told(hop))[0] == 60 and figures, what="60 spans are made")
    assert exported == 0 and dropped == {"queue_full": 60 - waiting} and 16 <= waiting <= 24
    receiver.stop()
    receiver.start()
    made, exported, waiting, now = settled(hop, 60)
    assert now == dropped and exported == len(receiver.spans) == 60 - dropped["queue_full"]


def test_answers_are_read_as_the_protocol_says(fleet, receiver_of):
    receiver = receiver_of()
    hop = tracing_hop(fleet, traces(receiver))
    hop.start()
    for answers, wanted in [([receiver.partial(1, "too old")], {"partial_success": 1}), ([400], {"partial_success": 1, "not_retryable": 1}),
                            ([413], {"partial_success": 1, "not_retryable": 1, "too_large": 1}),
                            ([503, (429, {"Retry-After": "1"}, b""), "die"], {"partial_success": 1, "not_retryable": 1, "too_large": 1})]:
        receiver.answers += answers
        made = told(hop)[0]
        ask(hop, 1)
        assert settled(hop, made + 1)[3] == wanted
        assert receiver.answers == []
    assert hop.figure("outrigger_telemetry_export_retries_total") == 3
    assert "export_partial" in hop.process.output() and "export_failed" in hop.process.output()


def test_a_quota_of_grpc_says_when(fleet, receiver_of):
    receiver = receiver_of("grpc")
    hop = tracing_hop(fleet, traces(receiver))
    hop.start()
    receiver.answers += [(grpc.StatusCode.RESOURCE_EXHAUSTED, receiver.retry_info(1)), grpc.StatusCode.UNAVAILABLE]
    ask(hop, 1)
    assert settled(hop, 1) == (1, 1, 0, {})
    receiver.answers.append(grpc.StatusCode.RESOURCE_EXHAUSTED)
    ask(hop, 1)
    assert settled(hop, 2) == (2, 1, 0, {"not_retryable": 1})
    receiver.answers.append(receiver.partial(1))
    ask(hop, 1)
    assert settled(hop, 3) == (3, 1, 0, {"not_retryable": 1, "partial_success": 1})


def test_at_the_end_what_waits_is_sent(fleet, receiver_of):
    receiver = receiver_of()
    hop = tracing_hop(fleet, traces(receiver, batch={"scheduleDelay": "1h"}))
    hop.start()
    ask(hop, 7)
    hop.process.stop()
    assert len(receiver.spans) == 7
    assert "event=export_ended signal=traces made=7 exported=7" in hop.process.output()


def test_at_the_end_a_stream_that_lasts_holds_nothing_back(fleet, receiver_of):
    receiver, event = receiver_of(), threading.Event()
    hop = tracing_hop(fleet, traces(receiver, batch={"scheduleDelay": "1h"}), limits={"drainTimeout": "4s"})
    slow = fleet.backend(held(event, message(200, b"done")))
    hop.documents.append(service("slow", [slow.address]))
    hop.start()
    ask(hop, 3)
    with Wire(hop.address) as wire:
        wire.get(host="slow")
        eventually(lambda: slow.connections and slow.connections[0].requests)
        hop.process.stop()
    event.set()
    assert "complete=false" in hop.process.output()
    assert len(receiver.spans) == 3
    assert "event=export_ended signal=traces made=4 exported=3" in hop.process.output()


def test_without_a_collector_the_end_does_not_hang(fleet):
    hop = tracing_hop(fleet, {"endpoint": f"http://127.0.0.1:{take_port()}", "batch": {"scheduleDelay": "1h"}})
    hop.start()
    ask(hop, 3)
    hop.process.stop()
    assert "event=export_ended signal=traces made=3 exported=0" in hop.process.output()


def test_a_reload_leads_elsewhere_and_switches_off(fleet, receiver_of):
    first, second = receiver_of(), receiver_of("http/json")
    hop = tracing_hop(fleet, traces(first))
    hop.start()
    ask(hop, 3)
    settled(hop, 3)
    hop.proxy["spec"]["telemetry"]["traces"] = traces(second)
    hop.reload()
    ask(hop, 4)
    settled(hop, 7)
    assert len(first.spans) == 3 and len(second.spans) == 4
    del hop.proxy["spec"]["telemetry"]["traces"]
    hop.reload()
    ask(hop, 5)
    assert told(hop)[0] == 7
    hop.proxy["spec"]["telemetry"]["traces"] = traces(first)
    hop.reload()
    ask(hop, 2)
    settled(hop, 9)
    assert len(first.spans) == 5


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_reload_away_from_a_collector_that_hangs_takes_effect_at_once(fleet, receiver_of, protocol):
    """While a request is under way: it is taken back, and sent to where the new documents say. What waits by any time-out would fail this."""
    first, second = receiver_of(protocol), receiver_of("http/json")
    patient = {"timeout": "1h", "batch": {**SOON, "exportTimeout": "1h"}}
    hop = tracing_hop(fleet, traces(first, **patient))
    first.answers.append("hang")
    hop.start()
    ask(hop, 3)
    eventually(lambda: first.requests, what="a request hangs")
    ask(hop, 4)
    hop.proxy["spec"]["telemetry"]["traces"] = traces(second, **patient)
    hop.reload()
    assert settled(hop, 7) == (7, 7, 0, {})
    assert len(second.spans) == 7 and first.spans == []
    second.answers.append("hang")
    ask(hop, 2)
    eventually(lambda: second.answers == [], what="a request hangs")
    del hop.proxy["spec"]["telemetry"]["traces"]
    hop.reload()
    assert settled(hop, 9) == (9, 7, 0, {"disabled": 2})


def test_variables_say_what_documents_do_not(fleet, receiver_of):
    receiver = receiver_of("grpc")
    hop = tracing_hop(fleet, {"batch": SOON})
    hop.start(environment={"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{receiver.address}", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                           "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20hunter2", "OTEL_SERVICE_NAME": "mine",
                           "OTEL_RESOURCE_ATTRIBUTES": "k8s.pod.name=p-1", "OTEL_EXPORTER_OTLP_COMPRESSION": "brotli"})
    ask(hop, 3)
    settled(hop, 3)
    assert receiver.resource["service.name"] == "mine" and receiver.resource["k8s.pod.name"] == "p-1"
    assert {fields["authorization"] for fields in receiver.requests} == {"Bearer hunter2"}
    assert "environment: OTEL_EXPORTER_OTLP_COMPRESSION: brotli is no compression" in hop.process.output()
    assert "hunter2" not in hop.process.output() and "hunter2" not in json.dumps(hop.page("/config"))


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_collector_in_the_mesh_is_reached_by_mutual_tls(fleet, receiver_of, protocol):
    receiver = receiver_of(protocol)
    backend = fleet.backend()
    pair = Pair(fleet, receiver.address, protocol="GRPC" if protocol == "grpc" else "HTTP",
                near={"telemetry": {"traces": {"endpoint": "http://backend", "protocol": PROTOCOLS[protocol], "batch": SOON}, "accessLog": {"filter": "None"}}})
    pair.near.reload([*pair.near.documents, service("plain", [backend.address])])
    for number in range(4):
        assert get(pair.address, f"/{number}", host="plain").status == 200
    assert settled(pair.near, 4) == (4, 4, 0, {})
    assert len(receiver.spans) == 4
    line = pair.far.logged(path="/v1/traces" if protocol == "http/protobuf" else "/opentelemetry.proto.collector.trace.v1.TraceService/Export")
    assert line["peer_identity"] == CALLER and line["tls"]
    assert line.get("grpc_status") == (0 if protocol == "grpc" else None)
    assert pair.near.figure("outrigger_telemetry_export_retries_total") == 0


def test_a_collector_with_tls_is_verified(fleet, receiver_of):
    authority, stranger = Authority(), Authority()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(names=["collector.example"], extended=("server",)).write(fleet.folder / "collector"))
    receiver = receiver_of(tls=context)
    for number, roots in enumerate([authority, stranger]):
        bundle = fleet.write(f"roots{number}.pem", roots.bundle_pem)
        entry = service("collector", [receiver.address], port=443, hosts=["collector.example"], tls=simple(bundle))
        hop = tracing_hop(fleet, traces(receiver, endpoint="https://collector.example"), [entry], name=f"hop{number}")
        hop.start()
        ask(hop, 2)
        if roots is authority:
            settled(hop, 2)
        else:
            eventually(lambda: "event=export_retry signal=traces" in hop.process.output(), what="a retry")
            assert 'reason="tls_failed"' in hop.process.output()
    assert len(receiver.spans) == 2
