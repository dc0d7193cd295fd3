"""Large bodies through a plain hop, in both directions and over every pairing of versions: nothing is lost or changed, little is held, slow ends slow down the other."""

import hashlib
import random
import re
import threading

import pytest

from support.backend import message
from support.fleet import eventually
from support.h2_peer import H2Client, h2_server
from support.hop import Hop
from support.wire import Wire

MIB = 1 << 20
PIECE = random.Random(1).randbytes(MIB)
BLOCK = 16384

# What a hop may hold of one body: what a policy lets wait in a stream on either side, two outputs, one read, the buffer for a retry, and a window that has grown.
HELD_MAX = 4 * MIB


def content(count):
    """`count` MiB in which no two are alike."""
    return [PIECE[position * 997:] + PIECE[:position * 997] for position in range(count)]


def digest(pieces):
    found = hashlib.sha256()
    for piece in pieces:
        found.update(piece)
    return found.hexdigest()


def sink(connection):
    """Answers each request with the digest of its body, which is read piece by piece."""
    while (request := connection.read_head()) is not None:
        found = hashlib.sha256()
        left = int(request.header("content-length") or 0)
        if request.header("transfer-encoding"):
            while left := int(connection.read_until(b"\r\n"), 16):
                found.update(connection.read_exactly(left))
                connection.read_exactly(2)
            connection.read_until(b"\r\n")
        while left > 0:
            found.update(connection.read_exactly(min(left, BLOCK)))
            left -= min(left, BLOCK)
        connection.send(message(200, found.hexdigest().encode()))


def source(count, chunked):
    """Answers each request with `count` MiB."""
    def script(connection):
        while connection.read_request() is not None:
            if chunked:
                connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for piece in content(count):
                    connection.send(b"%x\r\n" % len(piece) + piece + b"\r\n")
                connection.send(b"0\r\n\r\n")
            else:
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (count * MIB))
                for piece in content(count):
                    connection.send(piece)
    return script


def held(hop):
    """The most bytes that the hop ever held in blocks."""
    return hop.figure("outrigger_buffer_blocks_peak") * BLOCK


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_64_mb_go_up(fleet, chunked):
    hop = Hop(fleet, {"backend": [fleet.backend(sink).address]})
    pieces = content(64)
    with Wire(hop.address) as wire:
        if chunked:
            wire.send("PUT / HTTP/1.1\r\nHost: backend\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in pieces:
                wire.send(b"%x\r\n" % len(piece)).send(piece).send(b"\r\n")
            wire.send("0\r\n\r\n")
        else:
            wire.send(f"PUT / HTTP/1.1\r\nHost: backend\r\nContent-Length: {64 * MIB}\r\n\r\n")
            for piece in pieces:
                wire.send(piece)
        assert wire.response().body.decode() == digest(pieces)
        assert wire.get().response().status == 200
    assert hop.logged(method="PUT")["request_bytes"] == 64 * MIB
    assert held(hop) <= HELD_MAX


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_64_mb_come_down(fleet, chunked):
    hop = Hop(fleet, {"backend": [fleet.backend(source(64, chunked)).address]})
    with Wire(hop.address) as wire:
        response = wire.get().response()
        assert len(response.body) == 64 * MIB and hashlib.sha256(response.body).hexdigest() == digest(content(64))
    assert hop.logged(end="ok")["response_bytes"] == 64 * MIB
    assert held(hop) <= HELD_MAX


def test_curl_sends_and_fetches_files(fleet):
    hop = Hop(fleet, {"up": [fleet.backend(sink).address], "down": [fleet.backend(source(16, True)).address]})
    file = fleet.write("file", b"".join(content(16)))
    for version in ("--http1.1", "--http2-prior-knowledge"):
        done = fleet.run(["curl", "-sS", "--fail", version, "--connect-to", f"::{hop.address}", "-T", file, "http://up/"])
        assert (done.returncode, done.stdout) == (0, digest(content(16))), done.stderr
        done = fleet.run(["curl", "-sS", "--fail", version, "--connect-to", f"::{hop.address}", "-o", fleet.folder / "got", "http://down/"])
        assert done.returncode == 0, done.stderr
        assert (fleet.folder / "got").read_bytes() == file.read_bytes()


@pytest.mark.parametrize("down", ["1.1", "2"])
@pytest.mark.parametrize("up", ["HTTP1", "HTTP2"])
def test_8_mb_go_both_ways_in_every_pairing(fleet, down, up):
    def mirror(connection):
        while (request := connection.read_request()) is not None:
            connection.send(message(200, request.body))
    backend = fleet.backend(mirror if up == "HTTP1" else h2_server(lambda server, request: server.respond(request.stream, request.body)))
    hop = Hop(fleet, {"backend": [backend.address]}, protocol=up)
    body = b"".join(content(8))
    if down == "2":
        with H2Client(hop.address) as client:
            assert client.post(body).body == body
    else:
        with Wire(hop.address) as wire:
            assert wire.post(body).response().body == body
    assert hop.logged(end="ok")["response_bytes"] == 8 * MIB
    assert held(hop) <= HELD_MAX


@pytest.mark.parametrize("up", ["HTTP1", "HTTP2"])
def test_a_client_that_reads_nothing_holds_up_its_server_and_little_is_kept(fleet, up):
    sent = []

    def send_all(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in content(64):
            connection.send(b"%x\r\n" % len(piece) + piece + b"\r\n")
            sent.append(piece)
        connection.send(b"0\r\n\r\n")

    def answer(server, request):
        server.send_head(request.stream, [(":status", "200")])
        for piece in content(64):
            server.send_body(request.stream, piece, end=False)
            sent.append(piece)
        server.send_body(request.stream, b"")
    backend = fleet.backend(send_all if up == "HTTP1" else h2_server(answer))
    hop = Hop(fleet, {"slow": [backend.address], "other": [fleet.backend().address]}, protocol=up)
    hop.documents[2]["spec"]["ports"][0]["protocol"] = "HTTP1"
    hop.reload()
    with Wire(hop.address, receive_buffer=4096) as wire:
        wire.get(host="slow")
        assert wire.head().status == 200
        with Wire(hop.address) as other:
            for _ in range(20):
                assert other.get(host="other").response().status == 200
        assert len(sent) < 64
        body = hashlib.sha256()
        while piece := wire.chunk():
            body.update(piece)
        assert body.hexdigest() == digest(content(64))
    assert held(hop) <= HELD_MAX


@pytest.mark.parametrize("down", ["1.1", "2"])
def test_a_server_that_reads_nothing_holds_up_its_client_and_little_is_kept(fleet, down):
    event = threading.Event()

    def late(connection):
        request = connection.read_head()
        event.wait()
        left = int(request.header("content-length"))
        while left:
            left -= len(connection.read_exactly(min(left, BLOCK)))
        connection.send(message(200, b"all"))
    hop = Hop(fleet, {"backend": [fleet.backend(late).address]})
    pieces, sent = content(64), []

    def send(client):
        if down == "2":
            stream = client.request(method="PUT", headers=[("content-length", str(64 * MIB))], end=False)
            for position, piece in enumerate(pieces):
                client.send_body(stream, piece, end=position == 63)
                sent.append(piece)
        else:
            client.send(f"PUT / HTTP/1.1\r\nHost: backend\r\nContent-Length: {64 * MIB}\r\n\r\n")
            for piece in pieces:
                client.send(piece)
                sent.append(piece)
    client = H2Client(hop.address) if down == "2" else Wire(hop.address)
    with client:
        sender = threading.Thread(target=send, args=(client,))
        sender.start()
        # What fits into sockets and windows goes; then nothing moves any more.
        moved = [-1, 0]

        def stands_still():
            hop.figures()
            moved.append(len(sent))
            return len(moved) > 50 and len(set(moved[-50:])) == 1
        eventually(stands_still, what="a client that is held up")
        assert len(sent) < 32
        event.set()
        sender.join()
        body = client.answer(1).body if down == "2" else client.response().body
        assert body == b"all"
    assert held(hop) <= HELD_MAX


def test_many_bodies_at_once_on_one_http2_connection(fleet):
    hop = Hop(fleet, {"backend": [fleet.backend(source(1, False)).address]})
    done = fleet.run(["h2load", "-n", "40", "-c", "1", "-m", "20", "--connect-to", hop.address, "http://backend/"])
    assert re.search(r"status codes: 40 2xx", done.stdout), done.stdout
    assert f"({40 * MIB}) data" in done.stdout
