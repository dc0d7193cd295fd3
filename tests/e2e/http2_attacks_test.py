"""Clients of HTTP/2 that break its rules or wear the server down: malformed requests, floods of cheap frames, amplification. Each is stopped, and nobody else on the proxy notices."""

import contextlib

import hpack
import pytest

from support.fleet import Fleet, eventually
from support.h2_peer import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, PING, PREFACE, PRIORITY, PROTOCOL_ERROR, RST_STREAM,
                             SETTINGS, WINDOW_UPDATE, H2Client, H2Wire, block, frame)
from support.hop import Hop, undisturbed
from support.wire import Wire

GET = [(":method", "GET"), (":scheme", "http"), (":authority", "backend"), (":path", "/")]
POST = [(":method", "POST"), *GET[1:]]


@pytest.fixture(scope="module")
def world():
    with Fleet() as fleet:
        backend = fleet.backend()
        yield Hop(fleet, {"backend": [backend.address], "witness": [fleet.backend().address]}), backend


@contextlib.contextmanager
def attack(world):
    """A connection for bad frames. Behind it the proxy serves as before, and nothing reached the server that the block does not expect."""
    hop, backend = world
    before = len(backend.requests)
    with undisturbed(hop):
        with H2Wire(hop.address) as wire:
            wire.seen = lambda: backend.requests[before:]
            yield wire
        eventually(lambda: hop.figure("outrigger_streams_active") == 0)


def send_all(wire, pieces):
    """Sends until the proxy has had enough."""
    try:
        for piece in pieces:
            wire.send(piece)
    except (BrokenPipeError, ConnectionResetError):
        pass


# --- malformed requests: RFC 9113 sections 8.1 to 8.3 ---

def head(*fields, flags=END_HEADERS | END_STREAM, stream=1):
    return frame(HEADERS, flags, stream, block(list(fields)))


@pytest.mark.parametrize("fields", [
    [*GET, ("X-Upper", "1")], [*GET, ("x y", "1")], [*GET, ("x\x00", "1")], [*GET, ("x\x7f", "1")], [*GET, ("x:y", "1")], [*GET, ("", "1")], [*GET, ("x\r\ny", "1")],
    [*GET, ("x", "a\x00b")], [*GET, ("x", "a\rb")], [*GET, ("x", "a\nb")], [*GET, ("x", "a\r\nhost: evil")], [*GET, ("x", " leading")], [*GET, ("x", "trailing ")], [*GET, ("x", "\ttab")],
    [*GET, ("x", "a\x01b")], [*GET, ("connection", "close")], [*GET, ("keep-alive", "1")], [*GET, ("proxy-connection", "1")], [*GET, ("transfer-encoding", "chunked")],
    [*GET, ("upgrade", "x")], [*GET, ("te", "gzip")], [*GET, ("te", "trailers, gzip")], [*GET, (":status", "200")], [*GET, (":unknown", "1")], [*GET, (":path", "/again")],
    [*GET, (":method", "POST")], [("x-first", "1"), *GET], GET[1:], GET[:1] + GET[2:], GET[:3], [*GET[:3], (":path", "")], [*GET[:3], (":path", "relative")], [*GET[:3], (":path", "*")],
    [*GET[:3], (":path", "/a b")], [*GET[:3], (":path", "/a#b")], [*GET[:3], (":path", "/%00")], [*GET[:3], (":path", "/../a")], [*GET[:3], (":path", "/a\\b")],
    [*GET[:3], (":path", "/a\x00")], [*GET, ("host", "other")], [*GET, ("host", "backend"), ("host", "backend")], [*GET[:2], (":authority", "user@backend"), GET[3]],
    [*GET[:2], (":authority", "back end"), GET[3]], [*GET[:2], (":authority", "backend/x"), GET[3]], [*GET[:2], (":authority", ""), GET[3]], [GET[0], (":scheme", "ht tp"), *GET[2:]],
    [GET[0], (":scheme", ""), *GET[2:]], [(":method", "G T"), *GET[1:]], [(":method", ""), *GET[1:]], [(":method", "GET\r\n"), *GET[1:]], [*GET, ("content-length", "5")],
    [*GET, ("content-length", "-1")], [*GET, ("content-length", "0"), ("content-length", "1")], [*GET, ("content-length", "99999999999999999999")],
    [(":method", "CONNECT"), (":authority", "backend:80")], [(":method", "CONNECT"), *GET[1:]], [*GET, (":protocol", "websocket")],
    [(":method", "CONNECT"), *GET[1:], (":protocol", "other")], [(":method", "CONNECT"), (":authority", "backend"), (":protocol", "websocket")]], ids=lambda fields: repr(fields[-1]) + f" {len(fields)}")
def test_a_malformed_request_is_refused_and_never_forwarded(world, fields):
    with attack(world) as wire:
        wire.send(head(*fields))
        found = wire.until(lambda kind, flags, stream, payload: kind in (RST_STREAM, HEADERS, GOAWAY) and stream in (0, 1))
        if found[0] == HEADERS:
            assert int(dict(wire.decoder.decode(found[3]))[":status"]) in (400, 405, 501, 502)
        elif found[0] == RST_STREAM:
            assert int.from_bytes(found[3], "big") in (PROTOCOL_ERROR, 7)
        if found[0] != GOAWAY:
            wire.begin(3, "/good")
            assert wire.status(3) == 200, "other streams of the connection go on"
            assert [request.target for request in wire.seen()] == ["/good"]
        else:
            assert wire.seen() == []


@pytest.mark.parametrize("trailers, flags", [([(":path", "/")], END_HEADERS | END_STREAM), ([("X-Upper", "1")], END_HEADERS | END_STREAM), ([("x", "a\nb")], END_HEADERS | END_STREAM),
                                             ([("x-sum", "1")], END_HEADERS), ([("connection", "close")], END_HEADERS | END_STREAM)], ids=str)
def test_malformed_trailers_are_refused(world, trailers, flags):
    """Trailers with no END_STREAM took a proxy down once."""
    with attack(world) as wire:
        wire.send(head(*POST, flags=END_HEADERS) + frame(DATA, 0, 1, b"body") + frame(HEADERS, flags, 1, block(trailers)))
        found = wire.until(lambda kind, flags, stream, payload: kind in (RST_STREAM, HEADERS, GOAWAY))
        if found[0] == HEADERS:
            assert int(dict(wire.decoder.decode(found[3]))[":status"]) == 400
    assert [request for request in world[1].requests if request.body == b"body" and request.trailers] == []


@pytest.mark.parametrize("length, body", [("5", b"four"), ("3", b"four"), ("0", b"x")])
def test_a_length_that_is_not_what_came_is_refused(world, length, body):
    with attack(world) as wire:
        wire.send(head(*POST, ("content-length", length), flags=END_HEADERS) + frame(DATA, END_STREAM, 1, body))
        found = wire.until(lambda kind, flags, stream, payload: kind in (RST_STREAM, HEADERS))
        if found[0] == HEADERS:
            assert int(dict(wire.decoder.decode(found[3]))[":status"]) == 400
        assert wire.ping(), "the connection goes on"
        assert wire.seen() == []


# --- errors of the connection: RFC 9113 section 5.4.1 ---

@pytest.mark.parametrize("frames", [
    frame(DATA, 0, 1, b"idle"), frame(RST_STREAM, 0, 1, b"\0\0\0\0"), frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1"), frame(HEADERS, END_HEADERS | END_STREAM, 2, block(GET)),
    frame(HEADERS, END_HEADERS | END_STREAM, 0, block(GET)), frame(5, END_HEADERS, 1, b"\0\0\0\2" + block(GET)), frame(SETTINGS, 0, 1), frame(SETTINGS, 0, 0, b"x"), frame(SETTINGS, ACK, 0, b"\0" * 6),
    frame(SETTINGS, 0, 0, b"\0\2\0\0\0\2"), frame(SETTINGS, 0, 0, b"\0\4\xff\xff\xff\xff"), frame(SETTINGS, 0, 0, b"\0\5\0\0\0\1"), frame(PING, 0, 0, b"short"), frame(PING, 0, 1, b"12345678"),
    frame(GOAWAY, 0, 1, b"\0" * 8), frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\0"), frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"), frame(WINDOW_UPDATE, 0, 0, b"\0\0\1"),
    frame(CONTINUATION, END_HEADERS, 1, block(GET)), head(*GET, flags=END_STREAM) + frame(PING, 0, 0, b"12345678"), head(*GET, flags=END_STREAM) + frame(CONTINUATION, END_HEADERS, 3),
    frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x80"), frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x3f\xff\xff\xff\x7f"), frame(HEADERS, END_HEADERS | END_STREAM | 8, 1, b"\xff" + block(GET)),
    frame(DATA, 8, 1, b"\x05abc"), frame(DATA, 0, 0, b"x"), b"\x00\x40\x01" + frame(DATA, 0, 1, b"")[3:] + b"x" * 16385, b"\xff\xff\xff" + frame(HEADERS, 4, 1)[3:] + b"x" * 20000,
    frame(PRIORITY, 0, 0, b"\0" * 5), frame(PRIORITY, 0, 1, b"\0" * 4), frame(RST_STREAM, 0, 0, b"\0\0\0\0"),
], ids=lambda frames: f"{len(frames)} " + frames[:24].hex())
def test_a_broken_connection_is_ended_with_a_reason(world, frames):
    with attack(world) as wire:
        wire.ping()
        send_all(wire, [frames])
        wire.until(lambda kind, flags, stream, payload: kind in (GOAWAY, RST_STREAM))
        if wire.frames and wire.frames[-1][0] == GOAWAY:
            assert int.from_bytes(wire.frames[-1][3][4:8], "big") != 0
            assert wire.until_kind(99) is None, "and closed"
        assert wire.seen() == []


@pytest.mark.parametrize("greeting", [b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", PREFACE[:-1] + b"x", PREFACE + b"GET / HTTP/1.1\r\nHost: backend\r\n\r\n", PREFACE + frame(PING, 0, 0, b"12345678"),
                                      b"PRI * HTTP/2.0\r\n\r\n" * 3, PREFACE + b"\0" * 100], ids=repr)
def test_a_greeting_that_is_none_ends_the_connection(world, greeting):
    hop, backend = world
    before = len(backend.requests)
    with undisturbed(hop), Wire(hop.address) as wire:
        wire.send(greeting)
        wire.rest()
    assert len(backend.requests) == before


def test_frames_behind_goaway_are_not_parsed_to_death(world):
    with attack(world) as wire:
        wire.ping()
        send_all(wire, [frame(PING, 0, 1, b"12345678") + (frame(SETTINGS, 0, 0, b"xyz") + frame(HEADERS, 0, 2, b"\x80\xff") + frame(WINDOW_UPDATE, 0, 0, b"\0")) * 100])
        assert wire.goaway() == PROTOCOL_ERROR


# --- floods ---

def test_rapid_reset_is_stopped(world):
    """CVE-2023-44487."""
    hop, backend = world
    before = hop.figure("outrigger_streams_total")
    with attack(world) as wire:
        send_all(wire, (head(*GET, stream=2 * number + 1) + frame(RST_STREAM, 0, 2 * number + 1, b"\0\0\0\x08") for number in range(20000)))
        assert wire.goaway() in (ENHANCE_YOUR_CALM, 2, None)
        wire.rest()
    assert hop.figure("outrigger_streams_total") - before < 5000


def test_resets_that_the_proxy_is_made_to_send_are_stopped(world):
    """MadeYouReset: the server resets, by a window update of nothing on a stream that was just begun."""
    hop, _ = world
    before = hop.figure("outrigger_streams_total")
    with attack(world) as wire:
        send_all(wire, (head(*POST, stream=2 * number + 1, flags=END_HEADERS) + frame(WINDOW_UPDATE, 0, 2 * number + 1, b"\0\0\0\0") for number in range(20000)))
        wire.goaway()
        wire.rest()
    assert hop.figure("outrigger_streams_total") - before < 5000


def test_a_flood_of_continuations_is_stopped(world):
    """CVE-2024-28182."""
    with attack(world) as wire:
        wire.send(frame(HEADERS, END_STREAM, 1, block(GET)))
        send_all(wire, (frame(CONTINUATION, 0, 1, block([("x", "y" * 100)])) for _ in range(50000)))
        wire.goaway()
        wire.rest()
        assert wire.seen() == []


def test_a_flood_of_empty_continuations_is_stopped(world):
    with attack(world) as wire:
        wire.send(frame(HEADERS, END_STREAM, 1, block(GET)))
        send_all(wire, (frame(CONTINUATION, 0, 1) * 100 for _ in range(500)))
        wire.goaway()
        wire.rest()


@pytest.mark.parametrize("cheap", [frame(SETTINGS, 0, 0, b"\0\3\0\0\0\1"), frame(SETTINGS, 0, 0), frame(PING, 0, 0, b"12345678"), frame(PRIORITY, 0, 1, b"\0\0\0\0\1"),
                                   frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1"), frame(0x42, 0, 0, b""), frame(SETTINGS, ACK, 0)], ids=lambda cheap: cheap[3:5].hex() + str(len(cheap)))
def test_a_flood_of_cheap_frames_is_stopped(world, cheap):
    """Stopped, or, where the kernel's buffers hold all that comes back unread, at least survived."""
    with attack(world) as wire:
        send_all(wire, (cheap * 1000 for _ in range(100)))
        with contextlib.suppress(OSError):
            wire.end()
        wire.rest()


def test_a_flood_of_empty_data_is_stopped(world):
    """CVE-2019-9518."""
    with attack(world) as wire:
        wire.begin(1, method="POST", flags=END_HEADERS)
        send_all(wire, (frame(DATA, 0, 1) * 1000 for _ in range(100)))
        wire.goaway()
        wire.rest()


def test_settings_of_many_entries_are_stopped(world):
    with attack(world) as wire:
        send_all(wire, (frame(SETTINGS, 0, 0, b"\0\3\0\0\0\1" * 2000) for _ in range(100)))
        wire.rest()


# --- sizes and amplification ---

def refused(wire, stream=1):
    """431 or a reset or the end of the connection: all are right."""
    found = wire.until(lambda kind, flags, on, payload: kind in (RST_STREAM, GOAWAY) or (kind == HEADERS and on == stream))
    assert found is None or found[0] != HEADERS or int(dict(wire.decoder.decode(found[3]))[":status"]) in (414, 431), found


def long_head(wire, encoded, stream=1):
    """A head of any length in frames of 16 KiB."""
    pieces = [encoded[at:at + 16384] for at in range(0, len(encoded), 16384)]
    frames = [frame(HEADERS if number == 0 else CONTINUATION, (END_STREAM if number == 0 else 0) | (END_HEADERS if number == len(pieces) - 1 else 0), stream, piece)
              for number, piece in enumerate(pieces)]
    send_all(wire, frames)


@pytest.mark.parametrize("fields", [[("cookie", "x")] * 5000, [("x", "y" * 100000)], [("x" * 70000, "y")], [("x", "y")] * 101, [("cookie", "a" * 15000)] * 5, [("x", "")] * 3000],
                         ids=["crumbs", "value", "name", "number", "cookies", "empty"])
def test_large_heads_are_refused_by_their_decoded_size(world, fields):
    """CVE-2026-47774: crumbs of cookies count as well."""
    with attack(world) as wire:
        long_head(wire, block([*GET, *fields]))
        refused(wire)
        assert wire.seen() == []


def test_references_into_the_dynamic_table_are_counted_at_their_size(world):
    """An HPACK bomb: 4 KB that are named again by one byte, thousands of times."""
    with attack(world) as wire:
        encoder = hpack.Encoder()
        encoded = encoder.encode([*GET, ("x-bomb", "y" * 4000)])
        long_head(wire, encoded + encoder.encode([("x-bomb", "y" * 4000)]) * 15000)
        refused(wire)
        assert wire.seen() == []


@pytest.mark.parametrize("fields", [[*GET[:2], (":authority", "a" * 1000000), GET[3]], [*GET[:3], ("host", "a" * 1000000)], [*GET[:3], (":path", "/" + "a" * 1000000)], [(":method", "G" * 100000), *GET[1:]]],
                         ids=["authority", "host", "path", "method"])
def test_pseudo_fields_have_a_bound(world, fields):
    """CVE-2026-73550."""
    with attack(world) as wire:
        long_head(wire, block(fields))
        found = wire.until(lambda kind, flags, on, payload: kind in (RST_STREAM, GOAWAY, HEADERS))
        assert found is None or found[0] != HEADERS or int(dict(wire.decoder.decode(found[3]))[":status"]) in (400, 414, 431, 501)
        assert wire.seen() == []


def test_frames_of_one_byte_are_served_in_little_memory(world):
    hop, backend = world
    with attack(world) as wire:
        wire.begin(1, method="POST", flags=END_HEADERS)
        for _ in range(50):
            wire.send(frame(DATA, 0, 1, b"x") * 200)
        wire.send(frame(DATA, END_STREAM, 1, b""))
        assert wire.status() == 200
        assert len(wire.seen()[0].body) == 10000
    assert hop.figure("outrigger_buffer_blocks_peak") * 16384 < 4 << 20


def test_padding_counts_against_the_window_and_is_given_back(world):
    hop, backend = world
    with H2Client(hop.address) as client:
        stream = client.request(method="POST", end=False)
        for _ in range(1000):
            client.wait(lambda: client.h2.local_flow_control_window(stream) >= 257, "room")
            client.h2.send_data(stream, b"x", pad_length=255)
            client.flush()
        client.h2.end_stream(stream)
        client.flush()
        assert client.answer(stream).status == 200
    assert backend.requests[-1].body == b"x" * 1000


def test_more_than_the_window_is_an_error(world):
    with attack(world) as wire:
        wire.begin(1, method="POST", authority="nobody", flags=END_HEADERS)
        wire.until_kind(HEADERS, 1)
        send_all(wire, (frame(DATA, 0, 1, b"x" * 16384) for _ in range(20)))
        wire.ping()


def test_what_was_tried_left_nothing_behind(world):
    hop, _ = world
    eventually(lambda: hop.figure("outrigger_streams_active") == 0 and hop.figure("outrigger_downstream_connections_active") == 0)
