# presets: dev release
"""Formats that were written for Envoy and Istio, taken over as they are; operators against a real connection; and what others send, which breaks no line, in any form."""

import json
import re
import socket

import pytest

from support.backend import replay, reply
from support.fleet import eventually
from support.h2_peer import END_HEADERS, END_STREAM, HEADERS, H2Client, block, frame
from support.hop import Hop
from support.wire import Wire, exchange

# https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage, "Default Format String", in the words of two versions.
ENVOY = ('[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% '
         '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n')
NEW_ENVOY = ENVOY.replace("%REQ(", "%REQUEST_HEADER(").replace("%RESP(", "%RESPONSE_HEADER(")
# https://istio.io/latest/docs/tasks/observability/logs/access-log/, "Default access log format".
ISTIO = ('[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% '
         '"%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" '
         '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% '
         '%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n')
REQUEST = ("POST /a?secret=1 HTTP/1.1\r\nHost: backend\r\nUser-Agent: x\"y\r\nX-Request-Id: id-1\r\nX-Envoy-Original-Path: /b?secret=2\r\nContent-Length: 2\r\n\r\nhi")
WHEN = r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\]"
LOCAL = r"127\.0\.0\.1:\d+"


def hop_with(fleet, script=reply(200, b"hello"), **log):
    hop = Hop(fleet, {"backend": [fleet.backend(script).address]}, start=False, workers=1)
    hop.proxy["spec"]["telemetry"]["accessLog"].update(log)
    hop.start()
    return hop


def text_of(hop, count=1):
    """The first lines, once so many are there."""
    def lines():
        found = hop.access_log.read_text().splitlines(keepends=True) if hop.access_log.exists() else []
        return found if len(found) >= count and found[-1].endswith("\n") else None
    return eventually(lines)


@pytest.mark.parametrize("form, middle, behind", [(ENVOY, "200 -", ""), (NEW_ENVOY, "200 -", ""),
                                                  (ISTIO, '200 - via_upstream - "-"', rf" default/backend:80 {LOCAL} ADDRESS {LOCAL} - -")], ids=["envoy", "new-envoy", "istio"])
def test_a_default_format_is_taken_as_it_is(fleet, form, middle, behind):
    hop = hop_with(fleet, format="Text", template=form)
    assert exchange(hop.address, REQUEST).status == 200
    line = text_of(hop)[0]
    backend = re.escape(fleet.backends[0].address)
    pattern = rf'{WHEN} "POST /b HTTP/1\.1" {middle} 2 5 \d+ \d+ "-" "x\\"y" "id-1" "backend" "{backend}"{behind}\n'
    assert re.fullmatch(pattern.replace("ADDRESS", re.escape(hop.address)), line), line


def test_operators_tell_of_both_connections(fleet):
    hop = hop_with(fleet, replay(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n"), format="Text",
                   template="%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_PORT% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_PORT% %UPSTREAM_LOCAL_ADDRESS% %UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% "
                            "%UPSTREAM_REMOTE_PORT% %CONNECTION_ID% %HOSTNAME% %REQ(HOST)% %RESP(:STATUS)% %RESPONSE_TRAILER(x-sum)% %REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%")
    with Wire(hop.address) as wire:
        ours = "%s:%d" % wire.socket.getsockname()
        assert exchange_on(wire, "GET / HTTP/1.1\r\nHost: backend\r\nTE: trailers\r\n\r\n").status == 200
    with H2Client(hop.address) as client:
        assert client.get("/", authority="backend").status == 200
    first, second = (line.split(" ") for line in text_of(hop, 2))
    host, port = fleet.backends[0].address.rsplit(":", 1)
    assert first[:4] == [ours, ours.rsplit(":", 1)[1], hop.address, hop.address.rsplit(":", 1)[1]] and re.fullmatch(LOCAL, first[4])
    assert first[5:7] == [host, port] and first[8:12] == [socket.gethostname(), "backend", "200", "42"]
    assert second[7] != first[7] and second[9:11] == ["backend", "200"], "another connection, and Host over HTTP/2 too"
    assert all(re.fullmatch(r"\d+\n?", part) for part in first[12:])


def exchange_on(wire, request):
    wire.send(request)
    return wire.response()


# What others send ------------------------------------------------------------------------------------------------------------------------------------------------------------------------------

HOSTILE = {"quotes": b'a"},{"end":"forged","x":"', "backslashes": b"\\\\\\\"\\n", "tab": b"a\tb", "utf8": b"caf\xc3\xa9 \xf0\x9f\x92\xa9", "latin1": b"\xff\xfe\xe9", "cut utf8": b"\xf0\x9f" * 2000, "c1": b"\xc2\x9b31m",
           "line separator": b"\xe2\x80\xa8 \xe2\x80\xa9", "percent": b"%s%n%{status}%%", "long": b"x" * 60000, "long quotes": b'"' * 60000}
FORMS = {"json": {}, "text": {"format": "Text", "template": '"%{user_agent}" "%REQ(X-REQUEST-ID)%" "%REQ(X-OTHER?REFERER)%" "%RESP(X-BACK)%" %{path} %{request_headers}'}}


@pytest.mark.parametrize("form", FORMS)
def test_no_value_of_a_field_breaks_a_line(fleet, form):
    """Each is sent as it is, and reaches the backend or is refused; the backend answers with it, too."""
    def answer(connection):
        while (request := connection.read_request()) is not None:
            value = next(value for name, value in request.headers if name.lower() in ("user-agent", "x-request-id", "x-other", "referer") and name[0].isupper())
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Back: " + value.encode("latin-1") + b"\r\n\r\n")
    hop = Hop(fleet, {"backend": [fleet.backend(answer).address]}, start=False, workers=1)
    hop.proxy["spec"]["telemetry"]["accessLog"].update(FORMS[form], headers=["x-other"])
    hop.proxy["spec"]["limits"] = {"headerBytes": "256Ki"}
    hop.start()
    statuses = {}
    for name, value in HOSTILE.items():
        for field in (b"User-Agent", b"X-Request-Id", b"X-Other", b"Referer"):
            statuses[name] = exchange(hop.address, b"GET /" + name.encode().replace(b" ", b"-") + b" HTTP/1.1\r\nHost: backend\r\n" + field + b": " + value + b"\r\n\r\n").status
    assert set(statuses.values()) == {200}, statuses  # all of them are values that a field may have
    raw = eventually(lambda: hop.access_log.exists() and (text := hop.access_log.read_bytes()).count(b"\n") == 4 * len(HOSTILE) and text)
    lines = raw.decode("utf-8").split("\n")  # valid UTF-8, and no more line feeds than requests
    assert lines.pop() == "" and len(lines) == 4 * len(HOSTILE) and max(len(line.encode()) for line in lines) < 4096
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", "".join(lines))
    for number, line in enumerate(lines):
        path = "/" + list(HOSTILE)[number // 4].replace(" ", "-")
        if form == "json":
            assert {"end": "ok", "status": 200, "path": path}.items() <= json.loads(line).items()
        else:
            assert re.fullmatch(r'"(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*" ' + path + r" \S+", line), line


# What is refused as it is read ------------------------------------------------------------------------------------------------------------------------------------------------------------------

REFUSED = [(b"GET /a%00b?secret=1 HTTP/1.1\r\nHost: backend\r\nX-Request-Id: id-1", {"end": "bad_request", "status": 400, "method": "GET", "path": "/a%00b", "authority": "backend", "request_id": "id-1"}),
           (b"GET /a#secret HTTP/1.1\r\nHost: backend", {"end": "bad_request", "method": "GET", "path": "/a"}),
           (b"GET http://me:secret@backend/a?secret HTTP/1.1\r\nHost: backend", {"end": "bad_request", "path": "/a", "authority": "backend"}),
           (b"POST /a HTTP/1.1\r\nHost: me:secret@backend\r\nUser-Agent: x\"y", {"end": "bad_request", "method": "POST", "path": "/a", "authority": "backend", "user_agent": 'x"y'}),
           (b"GET /a HTTP/1.1\r\nHost: a\r\nHost: b", {"end": "bad_request", "path": "/a", "authority": "a"}),
           (b"CONNECT me:secret@backend:443 HTTP/1.1\r\nHost: backend", {"end": "method_unknown", "path": "backend:443", "authority": "backend"}),
           (b"GET http://me:secret?x@backend/ HTTP/1.1\r\nHost: backend", {"end": "bad_request"}),
           (b"GET /a HTTP/1.7\r\nHost: backend", {"end": "version_unsupported", "method": "GET", "path": "/a"}),
           (b"TRACE /a HTTP/1.1\r\nHost: backend", {"end": "method_unknown", "method": "TRACE", "path": "/a"}),
           (b"GET /a HTTP/1.1\r\nHost: backend\r\nX-Big: " + b"x" * 70000, {"end": "headers_too_large", "status": 431, "path": "/a", "authority": "backend"}),
           (b"GET /long" + b"x" * 9000 + b" HTTP/1.1\r\nHost: backend", {"end": "uri_too_long", "status": 414, "method": "GET"})]


@pytest.mark.parametrize("head, wanted", REFUSED, ids=[str(number) for number in range(len(REFUSED))])
def test_who_is_refused_on_what_is_told(fleet, head, wanted):
    hop = hop_with(fleet)
    with Wire(hop.address) as wire:
        wire.send(head + b"\r\n\r\n")
        assert wire.response().status >= 400
    line = hop.logged(end=wanted["end"])
    assert wanted.items() <= line.items(), line
    assert "secret" not in hop.access_log.read_text()


@pytest.mark.parametrize("headers, wanted", [
    ([(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"backend"), (b":path", b"/a%00b?secret")], {"end": "bad_request", "path": "/a%00b", "authority": "backend"}),
    ([(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"backend"), (b":path", b"/long" + b"x" * 9000)], {"end": "uri_too_long", "authority": "backend", "method": "GET"}),
    ([(b":method", b"TRACE"), (b":scheme", b"http"), (b":authority", b"backend"), (b":path", b"/a?secret")], {"end": "method_unknown", "method": "TRACE", "path": "/a", "version": "2"})])
def test_so_it_is_over_http_2(fleet, headers, wanted):
    hop = hop_with(fleet)
    with H2Client(hop.address) as client:
        client.raw(frame(HEADERS, END_STREAM | END_HEADERS, 1, block(headers)))
        line = hop.logged(end=wanted["end"])
    assert wanted.items() <= line.items(), line
    assert "secret" not in hop.access_log.read_text()
