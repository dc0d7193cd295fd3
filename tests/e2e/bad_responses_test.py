"""Servers of HTTP/1 that answer badly: the client is told 502 or sees its response cut, never something that was not meant for it, and the server's connection is not used again."""

import threading

import pytest

from support.backend import message, replay
from support.fleet import Fleet, eventually
from support.h2_peer import H2Client
from support.hop import Hop, service, undisturbed
from support.wire import Wire


@pytest.fixture(scope="module")
def world():
    with Fleet() as fleet:
        backend = fleet.backend(lambda connection: connection.backend.behave(connection))
        yield Hop(fleet, [service("backend", [backend.address]), service("witness", [fleet.backend().address])]), backend


def behaves(backend, answer):
    """From now on each connection answers one request with these bytes and is then read to its end: an answer that leaves it in order says `Connection: close`."""
    def behave(connection):
        if connection.read_request() is not None:
            connection.send(answer)
            connection.wait_for_end()
    backend.behave = behave


def count(hop):
    return hop.figure("outrigger_upstream_connections_total")


FINE = message(200, b"fine", [("Connection", "close")])
OK = "HTTP/1.1 200 OK\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize("answer", [
    OK + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", OK + "Content-Length: 5, 6\r\n\r\nhello!", OK + "Content-Length: +5\r\n\r\nhello", OK + "Content-Length: -1\r\n\r\nhello",
    OK + "Content-Length: x\r\n\r\nhello", OK + "Content-Length: 18446744073709551616\r\n\r\nhello", OK + "Content-Length:\r\n\r\nhello",
    OK + "Content-Length: 5\r\n" + CHUNKED + "\r\n5\r\nhello\r\n0\r\n\r\n", OK + CHUNKED + "Content-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    OK + "X: 1\r\n folded\r\nContent-Length: 0\r\n\r\n", OK + "X\x00: 1\r\nContent-Length: 0\r\n\r\n", OK + "X: a\x00b\r\nContent-Length: 0\r\n\r\n", OK + "X: a\rb\r\nContent-Length: 0\r\n\r\n",
    OK + "No colon\r\nContent-Length: 0\r\n\r\n", OK + ": 1\r\nContent-Length: 0\r\n\r\n", OK + "X Y: 1\r\nContent-Length: 0\r\n\r\n", OK + " X: 1\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 600 High\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 20 Short\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 2000 Long\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 abc No\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 \x00\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n", "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "ICY 200 OK\r\n\r\n", "200 OK\r\n\r\n", "<html>hello</html>", "\x15\x03\x01\x00\x02\x02\x46", "\x00", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    OK + "X: " + "y" * 70000 + "\r\nContent-Length: 0\r\n\r\n", OK + "x: y\r\n" * 5000 + "Content-Length: 0\r\n\r\n",
], ids=lambda answer: repr(answer[:60]))
def test_a_head_in_doubt_is_502_and_its_connection_is_not_used_again(world, answer):
    hop, backend = world
    behaves(backend, answer.encode("latin-1"))
    with undisturbed(hop), Wire(hop.address) as wire:
        before = count(hop)
        for number in range(2):
            response = wire.get().response()
            assert response.status == 502 and "http_protocol_error" in response.header("proxy-status"), response
            assert count(hop) == before + number + 1
        behaves(backend, FINE)
        assert wire.get().response().body == b"fine"


@pytest.mark.parametrize("body", ["x\r\nhello\r\n0\r\n\r\n", "-1\r\nhello\r\n0\r\n\r\n", "5\r\nhelloX\r\n0\r\n\r\n", "5\r\nhello\r\n0\r\nNo colon\r\n\r\n", "ffffffffffffffffff\r\nhello",
                                  "5;" + "x" * 100000 + "\r\nhello\r\n0\r\n\r\n"], ids=lambda body: repr(body[:30]))
def test_a_chunk_in_doubt_cuts_the_response(world, body):
    hop, backend = world
    behaves(backend, (OK + CHUNKED + "\r\n" + body).encode())
    with undisturbed(hop):
        with Wire(hop.address) as wire:
            response = wire.get().head()
            assert response.status in (200, 502)
            if response.status == 200:
                assert not wire.rest().endswith(b"0\r\n\r\n")
        with H2Client(hop.address) as client:
            answer = client.get()
            assert answer.status == 502 or answer.reset is not None


@pytest.mark.parametrize("answer, status, body", [
    (OK + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", None, b"hello"), (OK + "Transfer-Encoding: gzip\r\n\r\nhello", 502, None), (OK + "\r\nhello", 200, b"hello"),
    ("HTTP/1.0 200 OK\r\n\r\nhello", 200, b"hello"), ("HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello"), ("HTTP/1.1 299 Odd but good\r\nContent-Length: 5\r\n\r\nhello", 299, b"hello"),
    (OK + "Content-Length : 5\r\n\r\nhello", None, b"hello"), (OK.replace("\r\n", "\n") + "Content-Length: 5\n\nhello", None, b"hello"),
], ids=repr)
def test_what_can_be_understood_in_one_way_alone_is_passed_on(world, answer, status, body):
    hop, backend = world

    def behave(connection):
        connection.read_request()
        connection.send(answer.encode())
    backend.behave = behave
    with Wire(hop.address) as wire:
        response = wire.get().response()
        if status is None:
            assert response.status == 502 or response.body == body, "either is right"
        else:
            assert response.status == status and body in (None, response.body), response


def test_bytes_behind_a_response_are_never_taken_for_the_next_one(world):
    hop, backend = world
    with undisturbed(hop), Wire(hop.address) as wire:
        for first, body in ((message(200, b"mine"), b"mine"), (message(204), b""), (message(304), b"")):
            behaves(backend, first + message(200, b"poison"))
            for _ in range(5):
                response = wire.get().response()
                assert (response.status, response.body) in ((int(first.split()[1]), body), (502, response.body)) and response.body != b"poison"


def test_bytes_behind_the_answer_to_head_are_never_taken_for_the_next_one(world):
    hop, backend = world
    behaves(backend, message(200, b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"))
    with Wire(hop.address) as wire:
        for _ in range(3):
            assert wire.send("HEAD / HTTP/1.1\r\nHost: backend\r\n\r\n").response("HEAD").status in (200, 502)
        behaves(backend, FINE)
        assert wire.get().response().body == b"fine"


def test_a_server_that_speaks_while_idle_loses_its_connection(fleet):
    def script(connection):
        connection.read_request()
        connection.send(message(200, b"mine"))
        asked.wait(60)
        connection.send(message(200, b"poison"))
        connection.wait_for_end()
    asked = threading.Event()
    hop = Hop(fleet, {"backend": [fleet.backend(script).address]})
    with Wire(hop.address) as wire:
        assert wire.get().response().body == b"mine"
        assert hop.figure("outrigger_upstream_connections_idle") == 1
        asked.set()
        eventually(lambda: hop.figure("outrigger_upstream_connections_closed_total", reason="protocol_error") == 1)
        assert wire.get().response().body == b"mine"


def test_a_flood_of_interim_responses_has_a_bound(world):
    hop, backend = world
    behaves(backend, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 10000 + message(200, b"late", [("Connection", "close")]))
    with undisturbed(hop), Wire(hop.address) as wire:
        response = wire.get().response()
        assert response.status == 502 or (len(response.interim) < 100 and response.body == b"late")


def test_an_endless_head_has_a_bound(world):
    hop, backend = world

    def behave(connection):
        connection.read_request()
        connection.send(OK.encode())
        for _ in range(100):
            connection.send(b"x: " + b"y" * 1000 + b"\r\n")
        connection.wait_for_end()
    backend.behave = behave
    with undisturbed(hop), Wire(hop.address) as wire:
        assert wire.get().response().status == 502


def test_a_body_of_an_interim_response_is_no_body(world):
    """llhttp would read it."""
    hop, backend = world
    behaves(backend, b"HTTP/1.1 103 Early Hints\r\nContent-Length: 38\r\n\r\n" + message(200, b"HTTP/1.1 200 OK", [("Connection", "close")]))
    with undisturbed(hop), Wire(hop.address) as wire:
        response = wire.get().response()
        assert response.status == 502 or response.body == b"HTTP/1.1 200 OK"


def test_200_to_an_upgrade_is_no_tunnel(fleet):
    backend = fleet.backend(replay(message(200, b"no")))
    with Wire(Hop(fleet, {"backend": [backend.address]}).address) as wire:
        wire.get(headers=["Connection: upgrade", "Upgrade: websocket"]).get("/next")
        assert [wire.response().body for _ in range(2)] == [b"no", b"no"]
    assert backend.requests[-1].target == "/next"


def test_servers_that_were_bad_leave_nothing_behind(world):
    hop, backend = world
    behaves(backend, FINE)
    with Wire(hop.address) as wire:
        assert wire.get().response().body == b"fine"
    eventually(lambda: hop.figure("outrigger_streams_active") == 0)
    eventually(lambda: hop.figure("outrigger_upstream_connections_active") <= 3)
