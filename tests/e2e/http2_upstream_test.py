"""HTTP/2 behind a hop: streams on few connections, what a server may say about them, and what is made of it for a client of HTTP/1.1."""

import threading

import h2.settings
import pytest

from support.backend import echo
from support.fleet import eventually
from support.h2_peer import (CANCEL, END_HEADERS, END_STREAM, GOAWAY, HEADERS, INTERNAL_ERROR, PING, PREFACE, REFUSED_STREAM, RST_STREAM, SETTINGS, H2Client, H2Server,
                             block, frame, h2_echo, h2_reply, h2_server)
from support.hop import Hop, traffic
from support.wire import Wire, exchange

GET = "GET / HTTP/1.1\r\nHost: backend\r\n\r\n"


def hop_to(fleet, *scripts, protocol="HTTP2", **options):
    """With one worker: many tests count connections, and each worker has its own."""
    return Hop(fleet, {"backend": [fleet.backend(script).address for script in scripts]}, protocol=protocol, **{"workers": 1, **options})


def raw_server(answer):
    """A script that greets, reads one frame after the other and calls answer(connection, kind, flags, stream, payload) for each."""
    def script(connection):
        assert connection.read_exactly(len(PREFACE)) == PREFACE
        connection.send(frame(SETTINGS, 0, 0))
        while True:
            header = connection.read_exactly(9)
            payload = connection.read_exactly(int.from_bytes(header[:3], "big"))
            answer(connection, header[3], header[4], int.from_bytes(header[5:9], "big"), payload)
    return script


# --- messages ---

def test_a_request_of_http_1_becomes_one_of_http_2(fleet):
    hop = hop_to(fleet, h2_server(h2_echo))
    response = exchange(hop.address, "POST /path?q=1 HTTP/1.1\r\nHost: BackEnd\r\nX-UPPER: 1\r\nConnection: x-hop\r\nX-Hop: 1\r\nContent-Length: 4\r\n\r\nbody")
    seen = dict(response.headers)
    assert (seen["seen-method"], seen["seen-path"], seen["seen-scheme"], seen["seen-authority"].lower()) == ("POST", "/path?q=1", "http", "backend")
    assert (seen["seen-x-upper"], seen["seen-content-length"], seen["seen-via"]) == ("1", "4", "1.1 outrigger")
    assert not {"seen-x-hop", "seen-connection", "seen-host", "seen-transfer-encoding"} & seen.keys()
    assert response.body == b"body"


def test_an_absolute_target_becomes_the_authority(fleet):
    seen = dict(exchange(hop_to(fleet, h2_server(h2_echo)).address, "GET http://backend:80/x HTTP/1.1\r\nHost: other\r\n\r\n").headers)
    assert (seen["seen-authority"], seen["seen-path"]) == ("backend:80", "/x") and "seen-host" not in seen


def test_a_chunked_request_with_trailers_goes_on_as_frames(fleet):
    hop = hop_to(fleet, h2_server(h2_echo))
    with Wire(hop.address) as wire:
        wire.send("POST / HTTP/1.1\r\nHost: backend\r\nTE: trailers\r\nConnection: te\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n")
        response = wire.response()
    assert (response.body, response.trailers) == (b"abcde", [("seen-x-sum", "5")])
    assert dict(response.headers)["seen-te"] == "trailers"


def test_interim_responses_are_forwarded_but_not_to_http_1_0(fleet):
    def answer(server, request):
        server.send_head(request.stream, [(":status", "103"), ("link", "</a>")])
        server.respond(request.stream, b"done")
    hop = hop_to(fleet, h2_server(answer))
    response = exchange(hop.address, GET)
    assert [(interim.status, interim.header("link")) for interim in response.interim] == [(103, "</a>")] and response.body == b"done"
    assert exchange(hop.address, "GET / HTTP/1.0\r\nHost: backend\r\n\r\n").interim == []


def test_expect_is_forwarded_and_100_comes_back(fleet):
    def answer(server, request):
        server.send_head(request.stream, [(":status", "100")])
        server.wait(lambda: request.ended)
        server.respond(request.stream, request.body)
    with Wire(hop_to(fleet, h2_server(answer, early=True)).address) as wire:
        wire.send("POST / HTTP/1.1\r\nHost: backend\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert wire.head().status == 100
        assert wire.send("body").response().body == b"body"


@pytest.mark.parametrize("method, status", [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_a_response_that_has_no_body_ends_with_its_head(fleet, method, status):
    hop = hop_to(fleet, h2_reply(b"", status, [("content-length", "5")] if status != 204 else []))
    with Wire(hop.address) as wire:
        for _ in range(2):
            response = wire.send(f"{method} / HTTP/1.1\r\nHost: backend\r\n\r\n").response(method)
            assert (response.status, response.header("content-length")) == (status, None if status == 204 else "5")


def test_a_response_to_http_1_0_of_no_stated_length_ends_with_the_connection(fleet):
    with Wire(hop_to(fleet, h2_reply(b"body", trailers=[("x-t", "1")])).address) as wire:
        response = wire.send("GET / HTTP/1.0\r\nHost: backend\r\nConnection: keep-alive\r\n\r\n").response()
        assert response.body == b"body" and response.header("transfer-encoding") is None and wire.is_ended()


def test_http_2_on_both_sides_keeps_everything(fleet):
    with H2Client(hop_to(fleet, h2_server(h2_echo)).address) as client:
        answer = client.post(b"body", "/p", trailers=[("x-t", "1")], headers=[("x-a", "1"), ("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers")])
    assert (answer.status, answer.body, answer.trailers) == (200, b"body", [("seen-x-t", "1")])
    assert answer.header("seen-path") == "/p" and answer.header("seen-x-a") == "1" and answer.header("seen-via") == "2 outrigger"
    assert "; ".join(answer.values("seen-cookie")) == "a=1; b=2"


def test_push_is_refused_from_the_start(fleet):
    seen = {}

    def answer(server, request):
        seen.update(server.h2.remote_settings)
        server.respond(request.stream, b"x")
    assert exchange(hop_to(fleet, h2_server(answer)).address, GET).status == 200
    assert seen[h2.settings.SettingCodes.ENABLE_PUSH] == 0


# --- streams on connections ---

def test_many_requests_share_one_connection(fleet):
    hop = hop_to(fleet, h2_reply(b"x"))
    for _ in range(3):
        with Wire(hop.address) as wire:
            for _ in range(5):
                assert wire.get().response().status == 200
    assert len(fleet.backends[0].connections) == 1


def test_requests_at_a_time_share_one_connection(fleet):
    event = threading.Event()
    heads = []

    def script(connection):
        server = H2Server(connection)
        server.wait(lambda: len([message for message in server.messages.values() if message.ended]) == 20)
        heads.append(len(server.messages))
        for stream in list(server.messages):
            server.respond(stream, b"%d" % stream)
        event.set()
        server.wait_for_end()
    hop = hop_to(fleet, script, workers=1)  # with more, each has a connection of its own
    # One that opens the connection, so that the others find it.
    wires = [Wire(hop.address) for _ in range(20)]
    wires[0].get()
    eventually(lambda: hop.figure("outrigger_upstream_connections_total") == 1)
    for wire in wires[1:]:
        wire.get()
    assert sorted(int(wire.response().body) for wire in wires) == [2 * count + 1 for count in range(20)]
    assert heads == [20]
    for wire in wires:
        wire.close()


def test_no_more_streams_than_the_server_allows(fleet):
    most = []

    def answer(server, request):
        most.append(len([message for message in server.messages.values() if message.headers and not getattr(message, "answered", False)]))
        request.answered = True
        server.respond(request.stream, b"x")
    script = h2_server(answer, settings={h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 3})
    hop = hop_to(fleet, script, policies=[traffic("backend", connections={"max": 1})])
    assert exchange(hop.address, GET).status == 200  # so that the limit is known
    done = fleet.run(["h2load", "-n", "300", "-c", "3", "-m", "20", "--connect-to", hop.address, "http://backend/"])
    assert "300 succeeded, 0 failed" in done.stdout, done.stdout
    assert max(most) <= 3
    assert hop.figure("outrigger_upstream_connections_total") == 1


def test_a_policy_may_allow_fewer(fleet):
    event = threading.Event()
    servers = []

    def answer(server, request):
        servers.append(server)
        event.wait()
        server.respond(request.stream, b"x")
    hop = hop_to(fleet, h2_server(answer), policies=[traffic("backend", connections={"maxStreams": 1})])
    wires = [Wire(hop.address) for _ in range(4)]
    for wire in wires:
        wire.get()
    eventually(lambda: len(set(servers)) == 4, what="a connection for each")
    event.set()
    assert [wire.response().status for wire in wires] == [200] * 4
    for wire in wires:
        wire.close()


def test_a_slow_stream_holds_up_no_other(fleet):
    event = threading.Event()

    def answer(server, request):
        if request.header(":path") != "/slow":
            server.respond(request.stream, b"fast")
        if event.is_set() or request.header(":path") == "/wake":
            server.respond(1, b"slow")
    hop = hop_to(fleet, h2_server(answer))
    with Wire(hop.address) as slow, Wire(hop.address) as fast:
        slow.get("/slow")
        eventually(lambda: fleet.backends[0].requests)
        for _ in range(5):
            assert fast.get("/fast").response().body == b"fast"
        assert fast.get("/wake").response().body == b"fast"
        assert slow.response().body == b"slow"
    assert len(fleet.backends[0].connections) == 1


def test_a_stream_whose_client_reads_nothing_holds_up_no_other(fleet):
    large = b"x" * 20_000_000

    def answer(server, request):
        if request.header(":path") == "/large":
            threading.Thread(target=feed, args=(server, request.stream), daemon=True).start()
        else:
            server.respond(request.stream, b"small")

    def feed(server, stream):
        server.send_head(stream, [(":status", "200")])
        server.h2.send_data(stream, large[:16384])
        server.flush()
    hop = hop_to(fleet, h2_server(answer))
    with Wire(hop.address, receive_buffer=4096) as slow, Wire(hop.address) as fast:
        slow.get("/large")
        assert slow.head().status == 200
        for _ in range(10):
            assert fast.get("/small").response().body == b"small"


def test_a_client_that_goes_resets_its_stream_alone(fleet):
    resets = []

    def script(connection):
        server = H2Server(connection)
        while server.pump() is not None:
            for message in list(server.messages.values()):
                if message.reset is not None and message.stream not in resets:
                    resets.append(message.stream)
                    assert message.reset == CANCEL
                elif message.ended and message.header(":path") == "/other" and not hasattr(message, "answered"):
                    message.answered = True
                    server.respond(message.stream, b"other")
    hop = hop_to(fleet, script)
    with Wire(hop.address) as other:
        assert other.get("/other").response().status == 200
        gone = Wire(hop.address)
        gone.get("/held")
        eventually(lambda: hop.figure("outrigger_streams_active") == 1)
        gone.break_off()
        eventually(lambda: resets == [3], what="the reset of one stream")
        assert other.get("/other").response().status == 200
    hop.logged(end="client_gone", path="/held")
    assert len(fleet.backends[0].connections) == 1


# --- what a server says ---

def test_a_refused_stream_is_tried_elsewhere_even_a_post(fleet):
    refused = []

    def refuse(server, request):
        refused.append(request)
        server.reset_stream(request.stream, REFUSED_STREAM)
    hop = hop_to(fleet, h2_server(refuse), h2_server(h2_echo), policies=[traffic("backend", loadBalancer={"type": "RoundRobin"})])
    with Wire(hop.address) as wire:
        for count in range(4):
            response = wire.post(b"body %d" % count).response()
            assert (response.status, response.body) == (200, b"body %d" % count)
    assert refused and hop.figure("outrigger_retries_total") == len(refused)
    assert hop.logged(attempts=2)["end"] == "ok"


def test_a_stream_that_is_refused_everywhere_is_502(fleet):
    hop = hop_to(fleet, h2_server(lambda server, request: server.reset_stream(request.stream, REFUSED_STREAM)))
    response = exchange(hop.address, GET)
    assert response.status == 502
    hop.logged(end="upstream_reset", attempts=2)


@pytest.mark.parametrize("code", [INTERNAL_ERROR, CANCEL])
def test_a_stream_that_was_reset_is_not_repeated(fleet, code):
    hop = hop_to(fleet, h2_server(lambda server, request: server.reset_stream(request.stream, code)))
    with Wire(hop.address) as wire:
        assert wire.get().response().status == 502
        hop.logged(end="upstream_reset", attempts=1)
        assert wire.get().response().status == 502
    assert len(fleet.backends[0].requests) == 2 and len(fleet.backends[0].connections) == 1


def test_a_response_that_is_reset_in_the_middle_is_cut(fleet):
    def answer(server, request):
        server.send_head(request.stream, [(":status", "200")])
        server.send_body(request.stream, b"half", end=False)
        server.reset_stream(request.stream, INTERNAL_ERROR)
    hop = hop_to(fleet, h2_server(answer))
    with Wire(hop.address) as wire:
        assert wire.get().head().status == 200
        assert wire.rest() in (b"4\r\nhalf\r\n", b"")
    with H2Client(hop.address) as client:
        assert client.get().reset == INTERNAL_ERROR
    hop.logged(2, end="response_incomplete")


def test_goaway_lets_streams_finish_and_new_ones_go_to_a_new_connection(fleet):
    event = threading.Event()

    def answer(server, request):
        if server.connection.number == 0:
            server.raw(frame(GOAWAY, 0, 0, request.stream.to_bytes(4, "big") + b"\0\0\0\0"))
            event.wait()
            server.raw(frame(HEADERS, END_HEADERS | END_STREAM, request.stream, block([(":status", "200"), ("x-old", "1")])))
        else:
            server.respond(request.stream, b"new")
    hop = hop_to(fleet, h2_server(answer))
    with Wire(hop.address) as old, Wire(hop.address) as new:
        old.get("/old")
        eventually(lambda: fleet.backends[0].requests)
        eventually(lambda: new.get("/new").response().body == b"new")
        event.set()
        assert old.response().header("x-old") == "1"
    assert len(fleet.backends[0].connections) == 2


def test_streams_above_goaway_were_not_processed_and_are_repeated(fleet):
    def answer(connection, kind, _flags, stream, _payload):
        if kind != HEADERS:
            return
        if connection.number == 0:
            connection.send(frame(GOAWAY, 0, 0, (stream - 2 if stream > 1 else 0).to_bytes(4, "big") + b"\0\0\0\0"))
        else:
            connection.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, block([(":status", "200")])))
    hop = hop_to(fleet, raw_server(answer))
    response = exchange(hop.address, "POST / HTTP/1.1\r\nHost: backend\r\nContent-Length: 4\r\n\r\nbody")
    assert response.status == 200
    hop.logged(attempts=2, end="ok")


def test_a_connection_that_breaks_fails_what_may_have_been_processed(fleet):
    def answer(server, request):
        server.connection.reset()
        raise ConnectionError
    hop = hop_to(fleet, h2_server(answer))
    response = exchange(hop.address, "POST / HTTP/1.1\r\nHost: backend\r\nContent-Length: 4\r\n\r\nbody")
    assert response.status == 502 and "connection_terminated" in response.header("proxy-status")
    hop.logged(end="upstream_reset", attempts=1)
    assert len(fleet.backends[0].requests) == 1


def test_a_server_that_falls_silent_is_asked_and_given_up(fleet):
    pings = []

    def answer(connection, kind, flags, _stream, payload):
        if kind == PING and not flags:
            pings.append(payload)
    hop = hop_to(fleet, raw_server(answer), policies=[traffic("backend", connections={"keepalive": "100ms"})])
    response = exchange(hop.address, "POST / HTTP/1.1\r\nHost: backend\r\nContent-Length: 0\r\n\r\n")
    assert response.status == 502 and len(pings) == 1
    assert hop.figure("outrigger_upstream_connections_closed_total", reason="no_answer") == 1


def test_a_server_that_answers_pings_may_take_its_time(fleet):
    """A stranger is asked once, and once more for a stream that begins in its silence: gRPC servers take more for an attack. It answers both requests when the second comes."""
    pings, streams = [], []

    def answer(connection, kind, flags, stream, payload):
        if kind == PING and not flags:
            pings.append(payload)
            connection.send(frame(PING, 1, 0, payload))
        if kind == HEADERS:
            streams.append(stream)
            if len(streams) == 2:
                for number in streams:
                    connection.send(frame(HEADERS, END_HEADERS | END_STREAM, number, block([(":status", "200")])))
    hop = hop_to(fleet, raw_server(answer), policies=[traffic("backend", connections={"keepalive": "50ms"})])
    with Wire(hop.address) as first, Wire(hop.address) as second:
        first.send(GET)
        eventually(lambda: pings, what="a sign of life being asked for")
        assert second.send(GET).response().status == 200 and first.response().status == 200
    assert 1 <= len(pings) <= 2 and streams == [1, 3]


def malformed(*fields, flags=END_HEADERS | END_STREAM):
    def answer(connection, kind, _flags, stream, _payload):
        if kind == HEADERS:
            connection.send(frame(HEADERS, flags, stream, block(list(fields))))
    return raw_server(answer)


@pytest.mark.parametrize("fields", [
    [(":status", "200"), ("X-Upper", "1")], [("x-first", "1"), (":status", "200")], [(":status", "200"), ("connection", "close")], [("x-none", "1")],
    [(":status", "200"), (":status", "200")], [(":status", "200"), (":path", "/")], [(":status", "abc")], [(":status", "099")], [(":status", "200"), ("a", "b\r\nc: d")],
    [(":status", "200"), ("transfer-encoding", "chunked")], [(":status", "101")], [(":status", "200"), ("content-length", "x")],
    [(":status", "200"), ("content-length", "5")]], ids=str)
def test_a_malformed_response_is_502_and_its_connection_goes_on(fleet, fields):
    hop = hop_to(fleet, malformed(*fields))
    with Wire(hop.address) as wire:
        response = wire.get().response()
        assert response.status == 502 and "http_protocol_error" in response.header("proxy-status"), response
        assert wire.get().response().status == 502
    hop.logged(2, end="response_malformed")


def test_a_server_that_is_none_of_http_2_is_502(fleet):
    hop = hop_to(fleet, lambda connection: connection.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") or connection.wait_for_end())
    assert exchange(hop.address, GET).status == 502
    hop.logged(status=502, end="response_malformed")


def test_a_window_of_the_server_is_respected_and_waited_for(fleet):
    received = []

    def answer(connection, kind, flags, stream, payload):
        if kind == SETTINGS and not flags:
            connection.send(frame(SETTINGS, 0, 0, b"\x00\x04\x00\x00\x00\x05"))
        elif kind == 0:
            received.append(payload)
            if sum(map(len, received)) == 10:
                connection.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, block([(":status", "200")])))
            elif len(payload) > 0:
                connection.send(frame(8, 0, stream, (1).to_bytes(4, "big")))
    hop = hop_to(fleet, raw_server(answer))
    assert exchange(hop.address, "POST / HTTP/1.1\r\nHost: backend\r\nContent-Length: 10\r\n\r\n0123456789").status == 200
    assert b"".join(received) == b"0123456789"


def test_protocol_http_speaks_http_1_and_grpc_http_2(fleet):
    seen = []

    def script(connection):
        first = connection.socket.recv(3, 2)  # MSG_PEEK
        seen.append(first)
        (h2_server(h2_echo) if first == b"PRI" else echo)(connection)
    hop = hop_to(fleet, script, protocol="HTTP")
    with H2Client(hop.address) as client:
        assert client.get().status == 200
        assert client.post(b"", headers=[("content-type", "application/grpc"), ("te", "trailers")]).status == 200
    assert seen == [b"GET", b"PRI"]


def test_a_reset_after_the_whole_response_takes_nothing_away(fleet):
    def answer(connection, kind, _flags, stream, _payload):
        if kind == HEADERS:
            connection.send(frame(HEADERS, END_HEADERS, stream, block([(":status", "200")])) + frame(0, END_STREAM, stream, b"whole")
                            + frame(RST_STREAM, 0, stream, b"\0\0\0\0"))
    hop = hop_to(fleet, raw_server(answer))
    with Wire(hop.address) as wire:
        wire.send("POST / HTTP/1.1\r\nHost: backend\r\nContent-Length: 100\r\n\r\npart")
        assert wire.response().body == b"whole"
    hop.logged(end="ok")
