"""Requests of HTTP/1 whose framing, names or targets are in doubt: refused with the reply of the error table, the connection closed, and nothing of them reaches the server.

One hop serves all cases, as one does in life: what one client sends must not disturb the next.
"""

import json
import socket
import threading

import pytest

from support.backend import message
from support.fleet import Fleet
from support.hop import Hop, undisturbed
from support.wire import Wire, exchange

SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: backend\r\n\r\n"


@pytest.fixture(scope="module")
def world():
    with Fleet() as fleet:
        backend = fleet.backend()
        yield Hop(fleet, {"backend": [backend.address], "witness": [backend.address]}), backend


def request(*lines, first="GET / HTTP/1.1", host="Host: backend", body=""):
    return "\r\n".join([first, *([host] if host else []), *lines, "", ""]) + body


def post(*lines, body="", first="POST / HTTP/1.1"):
    return request(*lines, first=first, body=body)


def refused(world, content, status=400):
    """One reply with that status, then the end; what the server saw has nothing of it."""
    hop, backend = world
    before = len(backend.requests)
    with undisturbed(hop):
        with Wire(hop.address) as wire:
            wire.send(content)
            response = wire.response("POST")
            assert response.status == status, response
            assert response.header("connection") == "close"
            assert wire.rest() == b""
    seen = backend.requests[before:]
    assert [one.target for one in seen if one.header("host") != "witness"] == []


# --- RFC 9112 section 6: where a message ends ---

@pytest.mark.parametrize("lines, body", [
    (["Content-Length: 4", "Transfer-Encoding: chunked"], "0\r\n\r\n" + SMUGGLED),
    (["Transfer-Encoding: chunked", "Content-Length: 4"], "0\r\n\r\n" + SMUGGLED),
    (["Content-Length: 5", "Content-Length: 6"], "hello"),
    (["Content-Length: 5, 6"], "hello"),
    (["Content-Length: +5"], "hello"),
    (["Content-Length: -5"], "hello"),
    (["Content-Length: 0x5"], "hello"),
    (["Content-Length: 5 5"], "hello"),
    (["Content-Length: 5;"], "hello"),
    (["Content-Length:"], "hello"),
    (["Content-Length: 18446744073709551616"], "hello"),
    (["Content-Length: 99999999999999999999999999"], "hello"),
    (["Content-Length: \x0b5"], "hello"),
    (["Content-Length : 5"], "hello"),
    (["Content-Length\t: 5"], "hello"),
    (["Transfer-Encoding : chunked"], "0\r\n\r\n"),
    (["Transfer-Encoding: chunked, identity"], "0\r\n\r\n"),
    (["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], "0\r\n\r\n"),
    (["Transfer-Encoding: identity"], "hello"),
    (["Transfer-Encoding: chunked\x0b"], "0\r\n\r\n"),
    (["Transfer-Encoding: \x00chunked"], "0\r\n\r\n"),
    (["Transfer-Encoding:"], "hello"),
    (["Transfer-Encoding: ,"], "hello"),
    (["Transfer-Encoding: \"chunked\""], "0\r\n\r\n"),
], ids=str)
def test_a_length_in_doubt_is_refused(world, lines, body):
    refused(world, post(*lines, body=body))


@pytest.mark.parametrize("coding", ["xchunked", "gzip", "chunked, gzip", "gzip, chunked", "chunked, chunked", "identity, chunked", "chunked;q=1"])
def test_a_coding_that_is_not_chunked_alone_is_refused(world, coding):
    hop, backend = world
    before = len(backend.requests)
    with Wire(hop.address) as wire:
        response = wire.send(post(f"Transfer-Encoding: {coding}", body="0\r\n\r\n" + SMUGGLED)).response()
        assert response.status in (400, 501) and response.header("connection") == "close" and wire.rest() == b""
    assert len(backend.requests) == before


def test_a_length_that_is_repeated_alike_is_one(world):
    hop, backend = world
    for lines in (["Content-Length: 5", "Content-Length: 5"],):
        response = exchange(hop.address, post(*lines, body="hello"))
        assert response.status == 400 or json.loads(response.body)["body"] == "hello"
        if response.status == 200:
            assert len(backend.requests[-1].values("content-length")) == 1


def test_a_coding_of_http_1_0_is_refused(world):
    refused(world, post("Transfer-Encoding: chunked", first="POST / HTTP/1.0", body="0\r\n\r\n" + SMUGGLED))


@pytest.mark.parametrize("body", [
    "g\r\nhello\r\n0\r\n\r\n", "-1\r\nhello\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "+5\r\nhello\r\n0\r\n\r\n", "5\nhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n",
    "5\r\nhelloX\r\n0\r\n\r\n", "5 5\r\nhello\r\n0\r\n\r\n", "\r\n5\r\nhello\r\n0\r\n\r\n", "10000000000000000\r\nhello", "fffffffffffffffff\r\nhello",
    "5\r\rhello\r\n0\r\n\r\n", "5;a\nb\r\nhello\r\n0\r\n\r\n", "5;a=\x00\r\nhello\r\n0\r\n\r\n",
], ids=repr)
def test_a_chunk_in_doubt_is_refused(world, body):
    """The head may have gone on by then, but never a whole message."""
    hop, backend = world
    before = len(backend.requests)
    with undisturbed(hop), Wire(hop.address) as wire:
        wire.send(post("Transfer-Encoding: chunked", body=body + SMUGGLED))
        response = wire.response()
        assert response.status == 400 and response.header("connection") == "close" and wire.rest() == b""
    assert [one.target for one in backend.requests[before:] if one.header("host") != "witness"] == []


@pytest.mark.parametrize("trailer", ["Content-Length: 5", "Transfer-Encoding: chunked", "Host: elsewhere", "outrigger-protocol: 2", "X-Forwarded-Client-Cert: URI=spiffe://a/b",
                                     "Connection: close"])
def test_trailers_cannot_say_what_heads_say(world, trailer):
    hop, backend = world
    response = exchange(hop.address, post("Transfer-Encoding: chunked", body=f"0\r\n{trailer}\r\nX-Fine: 1\r\n\r\n"))
    assert response.status in (200, 400)
    if response.status == 200:
        assert dict(json.loads(response.body)["trailers"]).keys() <= {"X-Fine"}
        assert dict(json.loads(response.body)["headers"])["Host"] == "backend"


@pytest.mark.parametrize("trailer", ["no colon", " folded: 1", "X: a\x00b", "X : 1", "X: a\rb", ": 1"], ids=repr)
def test_trailers_in_doubt_are_refused(world, trailer):
    hop, backend = world
    before = len(backend.requests)
    with Wire(hop.address) as wire:
        response = wire.send(post("Transfer-Encoding: chunked", body=f"0\r\n{trailer}\r\n\r\n" + SMUGGLED)).response()
        assert response.status == 400 and wire.rest() == b""
    assert len(backend.requests) == before


def test_extensions_of_chunks_have_a_bound(world):
    refused(world, post("Transfer-Encoding: chunked", body=f"5;{'x' * 100000}\r\nhello\r\n0\r\n\r\n"))


def test_many_chunks_with_extensions_have_a_bound(world):
    refused(world, post("Transfer-Encoding: chunked", body="1;abcdefghij=klmnopqrstuvwxyz\r\nx\r\n" * 10000))


# --- RFC 9112 sections 2.2 and 5: lines and fields ---

@pytest.mark.parametrize("content", [
    request(" folded"), request("X-A: 1", " folded: 1"), request("X-A: 1", "\tfolded"), request("No colon"), request(": no name"), request("X A: 1"), request("X-A : 1"),
    request("X-A\x00: 1"), request("X-A: a\x00b"), request("X-A: a\rb"), request("X-A: a\x0bb"), request("X-A: a\x7fb"), request("X\x80: 1"), request("X(: 1"), request("\"X\": 1"),
    "GET / HTTP/1.1\nHost: backend\n\n", "GET / HTTP/1.1\r\nHost: backend\nX: 1\r\n\r\n", "GET / HTTP/1.1\r\nHost: backend\r\n\n", "GET / HTTP/1.1\r\n Host: backend\r\n\r\n",
    "GET  / HTTP/1.1\r\nHost: backend\r\n\r\n", "GET / HTTP/1.1 \r\nHost: backend\r\n\r\n", "GET /a b HTTP/1.1\r\nHost: backend\r\n\r\n", "GET\t/ HTTP/1.1\r\nHost: backend\r\n\r\n",
    "GET / http/1.1\r\nHost: backend\r\n\r\n", "GET / HTTP/1.1x\r\nHost: backend\r\n\r\n", "GET / HTTP/1\r\nHost: backend\r\n\r\n", "GET / HTTP/11.1\r\nHost: backend\r\n\r\n",
    "GET / \r\nHost: backend\r\n\r\n", "GET\r\nHost: backend\r\n\r\n", " GET / HTTP/1.1\r\nHost: backend\r\n\r\n", "\x00GET / HTTP/1.1\r\nHost: backend\r\n\r\n",
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\x00" * 40 + "\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n\r\n",
], ids=repr)
def test_a_head_in_doubt_is_refused(world, content):
    hop, backend = world
    before = len(backend.requests)
    with undisturbed(hop), Wire(hop.address) as wire:
        response = wire.send(content.encode("latin-1") + SMUGGLED.encode()).response()
        assert response.status in (400, 501, 505) and response.header("connection") == "close" and wire.rest() == b"", response
    assert [one.target for one in backend.requests[before:] if one.header("host") != "witness"] == []


def test_http_0_9_is_not_answered_as_such(world):
    hop, backend = world
    with Wire(hop.address) as wire:
        assert wire.send("GET /\r\n\r\n").response().status in (400, 505)
        assert wire.rest() == b""


@pytest.mark.parametrize("lines", [[], ["Host: backend", "Host: backend"], ["Host: backend", "Host: other"], ["Host: a b"], ["Host: a/b"], ["Host: user@backend"], ["Host: backend:x"],
                                   ["Host: backend:99999"], ["Host: back\\end"], ["Host: [::1"], ["Host: backend,other"], ["Host: "], ["Host: backend#x"], ["Host: backend?x"], ["Host: %62ackend"]],
                         ids=str)
def test_a_host_in_doubt_is_refused(world, lines):
    hop, backend = world
    before = len(backend.requests)
    with undisturbed(hop), Wire(hop.address) as wire:
        response = wire.send(request(*lines, host=None)).response()
        assert response.status in (400, 502), response
        if response.status == 400:
            assert response.header("connection") == "close" and wire.is_ended()
    assert [one.target for one in backend.requests[before:] if one.header("host") != "witness"] == []


@pytest.mark.parametrize("target", ["/a#b", "/#", "/%00", "/a%0", "/a%", "/a%zz", "/a\\b", "/a%5Cb", "/a%5cb", "/..", "/../a", "/a/../..", "/%2e%2e/a", "/a/..;x/b", "/a/%2e%2e;x/b", "/a%0d%0ab",
                                    "/a%7fb", "a", "?x", "http:///x", "http://", "http://user@backend/", "//", "http://backend:x/", "*"], ids=repr)
def test_a_target_in_doubt_is_refused(world, target):
    hop, backend = world
    before = len(backend.requests)
    with Wire(hop.address) as wire:
        response = wire.send(request(first=f"GET {target} HTTP/1.1")).response()
        if target == "//":
            assert response.status == 200 and backend.requests[-1].target == "//"
            return
        assert response.status == 400, response
    assert len(backend.requests) == before


# What stands in threats.md, and in peers' own tests, as normalised differently by different parts.
@pytest.mark.parametrize("target, canonical", [
    ("/app/../admin", "/admin"), ("/app/./x", "/app/x"), ("/app/%2E./admin", "/admin"), ("/app/%2e%2e/admin", "/admin"), ("/app//", "/app//"), ("/app/%2f", "/app/%2F"),
    ("/app%2fx", "/app%2Fx"), ("/xyz%30..//abc", "/xyz0..//abc"), ("/%61pp", "/app"), ("/app/%7ex", "/app/~x"), ("/a%c3%a9", "/a%C3%A9"), ("/a/..", "/"), ("/a/.", "/a/"), ("/a;b/c", "/a;b/c"),
    ("/a?b=../c%2e%2e#".rstrip("#"), "/a?b=../c%2e%2e"), ("/a/b/../../c", "/c"), ("/...", "/..."), ("/a..b", "/a..b"), ("/a%20b", "/a%20b"), ("/a%2Bb", "/a%2Bb"), ("/?", "/?"), ("/a%3Fb", "/a%3Fb"),
])
def test_one_form_of_a_path_is_forwarded(world, target, canonical):
    hop, _ = world
    response = exchange(hop.address, request(first=f"GET {target} HTTP/1.1"))
    assert response.status == 200 and json.loads(response.body)["target"] == canonical


# --- methods ---

@pytest.mark.parametrize("first, status", [("CONNECT backend:80 HTTP/1.1", (405, 501)), ("TRACE / HTTP/1.1", (405, 501, 200)), ("BREW / HTTP/1.1", (501,)), ("get / HTTP/1.1", (400, 501)),
                                           ("G\x00T / HTTP/1.1", (400, 501)), ("PRI * HTTP/2.0", (400, 405, 501, 505))])
def test_methods_that_are_not_passed_on(world, first, status):
    hop, backend = world
    before = len(backend.requests)
    with Wire(hop.address) as wire:
        assert wire.send(request(first=first)).response().status in status
    if first.split()[0] != "TRACE":
        assert len(backend.requests) == before


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_methods_that_are_passed_on(world, method):
    hop, backend = world
    assert exchange(hop.address, post("Content-Length: 0", first=f"{method} / HTTP/1.1")).status == 200
    assert backend.requests[-1].method == method


# --- upgrades ---

def test_bytes_behind_an_upgrade_that_is_not_taken_are_the_next_request(world):
    hop, backend = world
    with Wire(hop.address) as wire:
        wire.send(request("Connection: upgrade", "Upgrade: websocket") + "GET /next HTTP/1.1\r\nHost: backend\r\n\r\n")
        assert json.loads(wire.response().body)["target"] == "/"
        assert json.loads(wire.response().body)["target"] == "/next"


def test_an_upgrade_with_a_body_cannot_smuggle(world):
    hop, backend = world
    with Wire(hop.address) as wire:
        wire.send(post("Connection: upgrade", "Upgrade: websocket", f"Content-Length: {len(SMUGGLED)}", body=SMUGGLED))
        response = wire.response()
        assert response.status in (200, 400)
        if response.status == 200:
            seen = json.loads(response.body)
            assert seen["body"] == SMUGGLED and "Upgrade" not in dict(seen["headers"])
            assert json.loads(wire.get("/next").response().body)["target"] == "/next"
    assert "/smuggled" not in [one.target for one in backend.requests]


@pytest.mark.parametrize("lines, body", [([], ""), (["Content-Length: 4"], "body")], ids=["bare", "with a body"])
@pytest.mark.parametrize("behind, status", [("GET /next HTTP/1.1\r\nHost: backend\r\n\r\n", 200), ("\x81\x05hello", 400)], ids=["request", "frame"])
def test_bytes_behind_an_upgrade_wait_for_its_answer(fleet, lines, body, behind, status):
    """CVE-2025-64763, CVE-2026-73548, CVE-2026-58055: until the server has answered nothing of them reaches it, and what they bring about reaches no other client."""
    asked, answers, early = threading.Event(), threading.Event(), []

    def script(connection):
        while (request := connection.read_request()) is not None:
            if request.target == "/upgrade":
                asked.set()
                answers.wait(60)
                try:
                    early.append(bytes(connection.received) + connection.socket.recv(65536, socket.MSG_DONTWAIT))
                except BlockingIOError:
                    early.append(bytes(connection.received))
            connection.send(message(200, request.target.encode()))
    hop = Hop(fleet, {"backend": [fleet.backend(script).address], "witness": [fleet.backend().address]})
    with undisturbed(hop):
        with Wire(hop.address) as wire:
            wire.send(post("Connection: upgrade", "Upgrade: websocket", *lines, first="GET /upgrade HTTP/1.1", body=body + behind))
            asked.wait(60)
            assert exchange(hop.address, request(host="Host: witness")).status == 200, "by then all that goes on has gone on"
            answers.set()
            assert wire.response().body == b"/upgrade"
            response = wire.response()
            assert response.status == status and (response.body == b"/next" or wire.rest() == b"")
        with Wire(hop.address) as other:
            for path in ("/one", "/two"):
                assert other.get(path).response().body == path.encode()
    assert early == [b""]


def test_nothing_was_ever_smuggled(world):
    assert "/smuggled" not in [one.target for one in world[1].requests]
