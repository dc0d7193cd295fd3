"""HTTP/2 by prior knowledge on the client's side of a hop, HTTP/1.1 behind it."""

import json
import socket
import struct
import threading

import h2.settings
import pytest

from support.backend import cut, echo, held, message, replay, reply
from support.fleet import eventually
from support.h2_peer import (ACK, CANCEL, END_HEADERS, END_STREAM, HEADERS, NO_ERROR, PREFACE, PRIORITY, PROTOCOL_ERROR, REFUSED_STREAM, SETTINGS, H2Client,
                             H2Wire, block, frame)
from support.hop import Hop
from support.wire import Wire


def hop_to(fleet, script=echo, **options):
    return Hop(fleet, {"backend": [fleet.backend(script).address]}, **options)


def told(answer):
    """What an echo backend saw."""
    assert answer.status == 200, answer
    return json.loads(answer.body)


# --- other people's clients ---

def test_curl_by_prior_knowledge(fleet):
    hop = hop_to(fleet)
    done = fleet.run(["curl", "-sS", "--fail", "--http2-prior-knowledge", "--connect-to", f"::{hop.address}", "-w", "%{http_version}", "http://backend/from-curl"])
    assert done.returncode == 0 and done.stdout.endswith("}2"), done
    assert '"target": "/from-curl"' in done.stdout


def test_nghttp_with_trailers_and_a_body(fleet):
    hop = hop_to(fleet)
    file = fleet.write("body", "the body")
    done = fleet.run(["nghttp", "-v", "-H", ":method: POST", "-H", ":authority: backend", "--no-content-length", "--trailer", "x-sum: 8", "-d", file,
                      f"http://{hop.address}/posted"])
    assert done.returncode == 0 and '"body": "the body"' in done.stdout, done.stdout
    assert '"trailers": [["x-sum", "8"]]' in done.stdout
    assert '"target": "/posted"' in done.stdout


def test_h2load_over_many_connections_and_streams(fleet):
    hop = hop_to(fleet, reply(200, b"x" * 100))
    done = fleet.run(["h2load", "-n", "3000", "-c", "10", "-m", "20", "--connect-to", hop.address, "http://backend/"])
    assert "3000 succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout and "3000 2xx" in done.stdout, done.stdout
    assert hop.figure("outrigger_streams_active") == 0


# --- messages ---

def test_a_request_becomes_one_of_http_1(fleet):
    with H2Client(hop_to(fleet).address) as client:
        seen = told(client.get("/path?q=1", headers=[("x-a", "1"), ("accept", "b"), ("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")]))
    headers = dict(seen["headers"])
    assert (seen["method"], seen["target"], seen["version"], headers["Host"]) == ("GET", "/path?q=1", "HTTP/1.1", "backend")
    assert [value for name, value in seen["headers"] if name.lower() == "cookie"] == ["a=1; b=2; c=3"]
    assert headers["x-a"] == "1" and headers["Via"] == "2 outrigger"


def test_a_response_becomes_one_of_http_2(fleet):
    answer = message(201, b"made", [("X-Upper", "1"), ("Set-Cookie", "a"), ("Set-Cookie", "b"), ("Connection", "x-hop"), ("x-hop", "1"), ("Keep-Alive", "timeout=3")])
    with H2Client(hop_to(fleet, replay(answer)).address) as client:
        response = client.get()
    assert (response.status, response.body) == (201, b"made")
    assert response.headers == [(":status", "201"), ("content-length", "4"), ("x-upper", "1"), ("set-cookie", "a"), ("set-cookie", "b")]


def test_trailers_go_both_ways(fleet):
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n"
    backend = fleet.backend(replay(answer))
    with H2Client(Hop(fleet, {"backend": [backend.address]}).address) as client:
        response = client.post(b"body", trailers=[("x-up", "1")], headers=[("te", "trailers")])
        assert (response.body, response.trailers) == (b"abc", [("x-sum", "3")])
        response = client.post(b"", trailers=[("x-up", "2")])
        assert response.trailers == [("x-sum", "3")]
    assert [request.trailers for request in backend.requests] == [[("x-up", "1")], [("x-up", "2")]]


def test_a_stated_length_stays_stated(fleet):
    with H2Client(hop_to(fleet).address) as client:
        seen = told(client.post(b"four", headers=[("content-length", "4")]))
        assert ["Content-Length", "4"] in seen["headers"] and "Transfer-Encoding" not in dict(seen["headers"])
        seen = told(client.post(b"four"))
        assert ["Transfer-Encoding", "chunked"] in seen["headers"]
        seen = told(client.get())
        assert not {"Content-Length", "Transfer-Encoding"} & dict(seen["headers"]).keys()


@pytest.mark.parametrize("status", [204, 304])
def test_a_response_that_has_no_body_ends_with_its_head(fleet, status):
    with H2Client(hop_to(fleet, replay(b"HTTP/1.1 %d No\r\nETag: x\r\n\r\n" % status)).address) as client:
        for _ in range(2):
            response = client.get()
            assert (response.status, response.body, response.header("etag")) == (status, b"", "x")


def test_head_has_the_length_of_a_body_and_no_body(fleet):
    with H2Client(hop_to(fleet, replay(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")).address) as client:
        for _ in range(2):
            response = client.get(method="HEAD")
            assert (response.status, response.body, response.header("content-length")) == (200, b"", "1234")


def test_interim_responses_are_forwarded(fleet):
    answer = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + message(200, b"done")
    with H2Client(hop_to(fleet, replay(answer)).address) as client:
        response = client.get()
    assert response.interim == [[(":status", "103"), ("link", "</a>")], [(":status", "102")]] and response.body == b"done"


def test_expect_is_forwarded_and_100_comes_from_the_server(fleet):
    with H2Client(hop_to(fleet).address) as client:
        stream = client.request(method="POST", headers=[("expect", "100-continue"), ("content-length", "4")], end=False)
        client.wait(lambda: client.message(stream).interim, "100 Continue")
        assert client.message(stream).interim == [[(":status", "100")]]
        client.send_body(stream, b"body")
        assert told(client.answer(stream))["body"] == "body"


def test_options_of_a_whole_server(fleet):
    with H2Client(hop_to(fleet).address) as client:
        assert told(client.get("*", method="OPTIONS"))["target"] == "*"


def test_a_host_beside_the_same_authority_is_one(fleet):
    with H2Client(hop_to(fleet).address) as client:
        seen = told(client.get(headers=[("host", "backend")]))
        assert [value for name, value in seen["headers"] if name.lower() == "host"] == ["backend"]


def test_a_host_may_stand_for_the_authority(fleet):
    with H2Client(hop_to(fleet).address) as client:
        stream = client.h2.get_next_available_stream_id()
        client.send_head(stream, [(":method", "GET"), (":scheme", "http"), (":path", "/"), ("host", "backend")], end=True)
        assert dict(told(client.answer(stream))["headers"])["Host"] == "backend"


# --- streams ---

def test_a_slow_stream_holds_up_no_other(fleet):
    event = threading.Event()
    hop = Hop(fleet, {"slow": [fleet.backend(held(event, message(200, b"slow"))).address], "fast": [fleet.backend().address]})
    with H2Client(hop.address) as client:
        slow = [client.request(authority="slow") for _ in range(50)]
        for _ in range(5):
            assert client.get(authority="fast").status == 200
        assert not any(client.message(stream).headers for stream in slow)
        event.set()
        assert [client.answer(stream).body for stream in slow] == [b"slow"] * 50


def streams_refused(hop):
    return next(row for row in hop.page("/limits") if row["limit"] == "streamsPerConnection")["hits"]


def test_streams_above_the_limit_are_refused_and_the_others_answered(fleet):
    event = threading.Event()
    hop = hop_to(fleet, held(event, message(200, b"late")), limits={"streamsPerConnection": 10})
    with H2Client(hop.address) as client:
        streams = [client.request() for _ in range(12)]  # before the limit is known
        for stream in streams[10:]:
            assert client.answer(stream).reset == REFUSED_STREAM
        event.set()
        assert [client.answer(stream).body for stream in streams[:10]] == [b"late"] * 10
        assert client.h2.remote_settings.max_concurrent_streams == 10
        assert client.get().status == 200
    assert hop.figure("outrigger_streams_total") == 11
    assert streams_refused(hop) == 2


def test_a_client_that_knows_the_limit_and_does_not_keep_it_is_sent_away(fleet):
    event = threading.Event()
    hop = hop_to(fleet, held(event, message(200, b"late")), limits={"streamsPerConnection": 10})
    with H2Wire(hop.address) as wire:
        wire.send(frame(SETTINGS, ACK, 0))
        for count in range(11):
            wire.begin(2 * count + 1)
        assert wire.goaway() == PROTOCOL_ERROR
    assert streams_refused(hop) == 1
    event.set()


def test_a_stream_that_is_reset_cancels_its_request(fleet):
    gone = threading.Event()

    def script(connection):
        connection.read_head()
        connection.wait_for_end()
        gone.set()
    hop = Hop(fleet, {"backend": [fleet.backend(script).address], "other": [fleet.backend().address]})
    with H2Client(hop.address) as client:
        stream = client.request("/held")
        eventually(lambda: fleet.backends[0].connections and fleet.backends[0].connections[0].requests)
        client.reset_stream(stream)
        assert gone.wait(60), "the connection of a cancelled request is closed"
        assert client.get(authority="other").status == 200
    hop.logged(end="client_gone", path="/held")
    assert hop.figure("outrigger_streams_reset_total", by="client") == 1


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_all_requests_of_a_connection_that_is_gone_are_cancelled(fleet, reset):
    event = threading.Event()
    hop = hop_to(fleet, held(event, message(200, b"x")))
    client = H2Client(hop.address)
    for _ in range(5):
        client.request()
    client.ping()
    eventually(lambda: sum(len(connection.requests) for connection in fleet.backends[0].connections) == 5)
    if reset:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.socket.close()
    hop.logged(5, end="client_gone")
    event.set()


def test_a_stream_that_waits_for_a_window_ends_with_its_connection(fleet):
    hop = hop_to(fleet, reply(200, b"x" * 1000000))
    with H2Client(hop.address, holds=True) as client:
        stream = client.request()
        client.wait(lambda: len(client.message(stream).body) == 65535, "a full window")
        client.ping()
    hop.logged(end="client_gone")


def test_a_window_that_is_small_is_respected(fleet):
    hop = hop_to(fleet, reply(200, b"0123456789" * 10))
    with H2Client(hop.address, settings={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 7}, holds=True) as client:
        stream = client.request()
        client.wait(lambda: len(client.message(stream).body) == 7, "as much as the window lets through")
        client.ping()
        assert client.message(stream).body == b"0123456"
        for size in (1, 50, 42):
            client.h2.increment_flow_control_window(size, stream)
            client.flush()
        assert client.answer(stream).body == b"0123456789" * 10


def test_a_window_of_nothing_can_be_opened_by_settings(fleet):
    hop = hop_to(fleet, reply(200, b"x" * 100))
    with H2Client(hop.address, settings={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0}) as client:
        stream = client.request()
        client.wait(lambda: client.message(stream).headers, "the head")
        client.ping()
        assert client.message(stream).body == b""
        client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1000})
        client.flush()
        assert client.answer(stream).body == b"x" * 100


def test_a_stream_whose_client_reads_nothing_holds_up_no_other(fleet):
    hop = Hop(fleet, {"large": [fleet.backend(reply(200, b"x" * 1000000)).address], "small": [fleet.backend(reply(200, b"small")).address]})
    with H2Client(hop.address, holds=True) as client:
        client.h2.increment_flow_control_window(1 << 30)
        client.flush()
        stalled = [client.request(authority="large") for _ in range(50)]
        client.wait(lambda: all(len(client.message(stream).body) == 65535 for stream in stalled), "full windows")
        for _ in range(20):
            assert client.get(authority="small").body == b"small"


def test_an_early_response_ends_the_request_without_an_error(fleet):
    def script(connection):
        connection.read_head()
        connection.send(message(413, b"enough"))
        connection.wait_for_end()
    hop = hop_to(fleet, script)
    with H2Client(hop.address) as client:
        stream = client.request(method="POST", end=False)
        client.send_body(stream, b"part", end=False)
        client.wait(lambda: client.message(stream).reset is not None, "the end of the request")
        response = client.message(stream)
        assert (response.status, response.body, response.reset) == (413, b"enough", NO_ERROR)


def test_a_response_that_is_cut_resets_its_stream_alone(fleet):
    hop = Hop(fleet, {"cut": [fleet.backend(cut(message(200, b"0123456789"), 45)).address], "other": [fleet.backend().address]})
    with H2Client(hop.address) as client:
        response = client.get(authority="cut")
        assert response.status == 200 and response.reset not in (None, NO_ERROR, CANCEL) and not response.ended
        assert client.get(authority="other").status == 200
    hop.logged(end="response_incomplete", status=200)


# --- connections ---

def test_pings_are_answered_and_unknown_frames_passed_over(fleet):
    with H2Client(hop_to(fleet).address) as client:
        client.raw(frame(0x7F, 0xFF, 0, b"whatever") + frame(0xFA, 0, 1, b"x"))
        client.ping()
        assert client.get().status == 200


def test_priorities_are_taken(fleet):
    with H2Wire(hop_to(fleet).address) as wire:
        wire.send(frame(PRIORITY, 0, 5, b"\x00\x00\x00\x03\x10"))
        head = block([(":method", "GET"), (":scheme", "http"), (":authority", "backend"), (":path", "/")])
        wire.send(frame(HEADERS, END_STREAM | END_HEADERS | 0x20, 1, b"\x80\x00\x00\x00\xff" + head))
        assert wire.status() == 200


def test_requests_in_one_packet_with_the_preface_are_served(fleet):
    with H2Wire(hop_to(fleet).address, greet=False) as wire:
        head = block([(":method", "GET"), (":scheme", "http"), (":authority", "backend"), (":path", "/")])
        wire.send(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_STREAM | END_HEADERS, 1, head) + frame(HEADERS, END_STREAM | END_HEADERS, 3, head))
        assert {wire.until_kind(HEADERS)[2] for _ in range(2)} == {1, 3}


def test_a_preface_byte_by_byte_is_served(fleet):
    with H2Wire(hop_to(fleet).address, greet=False) as wire:
        head = block([(":method", "GET"), (":scheme", "http"), (":authority", "backend"), (":path", "/")])
        wire.send_slowly(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_STREAM | END_HEADERS, 1, head))
        assert wire.status() == 200


def test_a_client_may_say_goaway_and_still_gets_its_answers(fleet):
    event = threading.Event()
    hop = hop_to(fleet, held(event, message(200, b"late")))
    with H2Client(hop.address) as client:
        stream = client.request()
        eventually(lambda: fleet.backends[0].connections and fleet.backends[0].connections[0].requests)
        client.raw(frame(7, 0, 0, b"\x00" * 8))
        event.set()
        assert client.answer(stream).body == b"late"
        client.wait_for_end()


def test_a_client_may_end_its_side_and_still_gets_its_answers(fleet):
    hop = hop_to(fleet)
    with H2Client(hop.address) as client:
        streams = [client.request() for _ in range(3)]
        client.socket.shutdown(socket.SHUT_WR)
        assert [client.answer(stream).status for stream in streams] == [200] * 3
        client.wait_for_end()


def test_an_upgrade_to_h2c_is_not_taken(fleet):
    with Wire(hop_to(fleet).address) as wire:
        response = wire.get(headers=["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"]).response()
        assert response.status == 200 and response.version == "HTTP/1.1"
        assert "Upgrade" not in dict(json.loads(response.body)["headers"])


def test_a_malformed_request_is_reset_and_others_go_on(fleet):
    with H2Client(hop_to(fleet).address) as client:
        bad = client.request(method="POST", headers=[("content-length", "10")], end=False)
        client.h2.send_data(bad, b"four", end_stream=True)
        client.flush()
        assert client.answer(bad).reset == PROTOCOL_ERROR or client.message(bad).status == 400
        assert client.get().status == 200
    assert all(request.body == b"" for request in fleet.backends[0].requests)
