# presets: dev release
"""Spans of one trace, through a pair of sidecars to an application that only copies headers and from there on, as a strict receiver gets them: who is whose parent, names, kinds, statuses, events, links."""
# seconds: 15

import re

import pytest

from support.backend import message, replay
from support.fleet import eventually
from support.hop import Hop, traffic
from support.otlp_receiver import OtlpReceiver
from support.pair import Pair
from support.wire import exchange

SERVER, CLIENT = 2, 3
UNSET, ERROR = 0, 2


@pytest.fixture
def receiver():
    receiver = OtlpReceiver("http/protobuf")
    yield receiver
    receiver.close()


class Trace:
    """The spans of the trace that has `count` of them, in the order in which they began."""

    def __init__(self, receiver, count):
        def found():
            traces = {}
            for span in receiver.spans:
                traces.setdefault(span.trace_id, []).append(span)
            return next((spans for spans in traces.values() if len(spans) == count), None)
        self.spans = sorted(eventually(found, what=f"a trace of {count} spans"), key=lambda span: span.start_time_unix_nano)

    def of(self, kind, **attributes):
        found = [span for span in self.spans if span.kind == kind and attributes.items() <= {name.replace(".", "_"): value for name, value in values(span).items()}.items()]
        assert found, f"{kind} {attributes} in {[values(span) for span in self.spans]}"
        return found


def values(span):
    return {attribute.key: getattr(attribute.value, attribute.value.WhichOneof("value")) for attribute in span.attributes}


def events(span):
    return {event.name: values(event) for event in span.events}


def telemetry(receiver):
    return {"accessLog": {"filter": "None"}, "traces": {"endpoint": f"http://{receiver.address}", "sampling": {"numerator": 1}, "batch": {"scheduleDelay": "100ms"}}}


def test_one_trace_tells_where_a_request_went_and_why(fleet, receiver):
    spec = {"telemetry": telemetry(receiver)}
    bad, good = fleet.backend(replay(message(503, b"no"))), fleet.backend(replay(message(200, b"next")))
    retry = {"attempts": 2, "conditions": ["GatewayError"], "budget": {"percent": 100, "minPerSecond": 100}}
    onward = Hop(fleet, {"next": [bad.address, good.address]}, name="on", workers=1,
                 policies=[traffic("next", retry=retry, loadBalancer={"type": "RoundRobin"}, outlierDetection={"disabled": True})], **spec)

    def copy(connection):
        while (request := connection.read_request()) is not None:
            lines = [f"{name}: {value}" for name in ("traceparent", "tracestate") for value in request.values(name)]
            answer = exchange(onward.address, "\r\n".join(["GET /on?token=secret HTTP/1.1", "Host: next", *lines, "", ""]))
            connection.send(message(answer.status, b"done"))

    pair = Pair(fleet, fleet.backend(copy).address, near=spec, far=spec)
    while not bad.requests:  # whose turn it is first is the balancer's to choose
        assert exchange(pair.address, "GET /first HTTP/1.1\r\nHost: backend\r\nUser-Agent: me\r\n\r\n").status == 200
    trace = Trace(receiver, 4)
    near, far = trace.of(CLIENT, outrigger_service="default/backend:80")[0], trace.of(SERVER)[0]
    tries = trace.of(CLIENT, outrigger_service="default/next:80")
    assert len(tries) == 2
    assert near.parent_span_id == b"" and far.parent_span_id == near.span_id
    assert [one.parent_span_id for one in tries] == [far.span_id] * 2, "the application has copied what its sidecar told"
    assert [span.name for span in trace.spans] == ["GET"] * 4
    failed, answered = tries
    assert (failed.status.code, answered.status.code, near.status.code, far.status.code) == (ERROR, UNSET, UNSET, UNSET)
    assert values(failed)["error.type"] == "503" and "error.type" not in values(answered)
    assert values(answered)["http.request.resend_count"] == 1
    assert values(answered)["url.full"] == "http://next/on?token=REDACTED"
    assert [(link.span_id, values(link)) for link in answered.links] == [(failed.span_id, {"outrigger.link": "retry_of"})]
    assert events(answered)["outrigger.retried"]["outrigger.reason"] == "gateway_error"
    assert values(far)["url.path"] == "/first" and values(far)["user_agent.original"] == "me"
    assert values(far)["outrigger.peer_identity"] == "spiffe://school.local/ns/school/sa/frontend"
    assert far.start_time_unix_nano <= failed.start_time_unix_nano <= failed.end_time_unix_nano <= answered.end_time_unix_nano <= far.end_time_unix_nano


def test_a_refusal_is_told_where_it_was_decided(fleet, receiver):
    policy = {"apiVersion": "outrigger.dev/v1alpha1", "kind": "AuthorizationPolicy", "metadata": {"name": "nobody"},
              "spec": {"targetRefs": [{"kind": "Service", "name": "app"}], "action": "Deny", "rules": [{"name": "all", "matches": [{"path": {"type": "PathPrefix", "value": "/"}}]}]}}
    entry = {"apiVersion": "outrigger.dev/v1alpha1", "kind": "ServiceEntry", "metadata": {"name": "app"},
             "spec": {"hosts": ["app"], "ports": [{"name": "http", "port": 80, "protocol": "HTTP"}], "tls": {"mode": "None"}, "endpoints": [{"address": "127.0.0.1:9"}]}}
    hop = Hop(fleet, [entry], inbound={"in": {"forwardTo": fleet.backend().address}}, service="app", policies=[policy], telemetry=telemetry(receiver))
    assert exchange(hop.inbound["in"], "GET / HTTP/1.1\r\nHost: app\r\n\r\n").status == 403
    [span] = Trace(receiver, 1).spans
    assert (span.kind, span.status.code) == (SERVER, UNSET), "4xx is no error of a server"
    assert values(span)["http.response.status_code"] == 403 and values(span)["outrigger.end"] == "denied"
    assert events(span)["outrigger.refused"] == {"outrigger.policy": "AuthorizationPolicy/default/nobody", "outrigger.rule": "all", "outrigger.end": "denied",
                                                 "outrigger.reason": "127.0.0.1, without an identity"}


@pytest.mark.parametrize("value", [b'"quotes" and \\ backslashes', "\u00e4\u20ac\U0001f600".encode(), b"x" * 6000, b"y" * (64 << 10), b"\t tabs", b"no UTF-8: \xff\xc3(\xed\xa0\x80 \x85 \xf0\x9f"])
def test_hostile_values_never_break_a_span(fleet, receiver, value):
    policy = {"apiVersion": "outrigger.dev/v1alpha1", "kind": "TelemetryPolicy", "metadata": {"name": "t"},
              "spec": {"targetRefs": [{"kind": "Service", "name": "backend"}], "traces": {"attributes": [{"name": "hostile", "from": {"type": "Header", "name": "x-hostile"}}]}}}
    hop = Hop(fleet, {"backend": [fleet.backend().address]}, policies=[policy], limits={"headerBytes": "256Ki"}, telemetry=telemetry(receiver))
    request = b"GET /%s HTTP/1.1\r\nHost: backend\r\nUser-Agent: %s\r\nx-hostile: %s\r\n\r\n" % (b"p" * 3000, value, value)
    assert exchange(hop.address, request).status == 200
    [span] = Trace(receiver, 1).spans
    sent, told = (re.sub("\ufffd+", "\ufffd", text) for text in (value.decode(errors="replace").strip(), values(span)["hostile"]))
    assert sent[:1000] == told[:1000] and len(told.encode()) <= 1024 and len(values(span)["url.full"].encode()) == 1024
    assert span.dropped_attributes_count == 0
