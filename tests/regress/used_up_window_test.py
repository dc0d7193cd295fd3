"""A body as long as the window that it is sent into: a sender that has no window left may wait for some before it says, by an empty frame, that this was the end."""

import pytest

from support.backend import reply
from support.fleet import Fleet
from support.h2_peer import DATA, END_HEADERS, END_STREAM, HEADERS, SETTINGS, WINDOW_UPDATE, H2Wire, block, frame
from support.hop import Hop, service

FIRST_WINDOW = 16384
STREAM_WINDOW = 65536


def test_a_request_that_fills_the_first_window_can_be_ended():
    with Fleet() as fleet:
        backend = fleet.backend(reply(200, b"ok"))
        hop = Hop(fleet, {"backend": [backend.address]})
        with H2Wire(hop.address) as wire:
            wire.begin(method="POST", headers=[("content-length", str(FIRST_WINDOW))], flags=END_HEADERS)
            wire.send(frame(DATA, 0, 1, bytes(FIRST_WINDOW)))
            assert wire.until_kind(WINDOW_UPDATE, 1) is not None
            wire.send(frame(DATA, END_STREAM, 1))
            assert wire.status() == 200
        assert len(backend.requests[0].body) == FIRST_WINDOW


@pytest.fixture
def careful():
    """A server that says the end of its response only once it has been given more window for it."""
    with Fleet() as fleet:
        def script(connection):
            def next_frame():
                head = connection.read_exactly(9)
                return head[3], int.from_bytes(head[5:9], "big"), connection.read_exactly(int.from_bytes(head[:3], "big"))
            connection.read_exactly(24)
            connection.send(frame(SETTINGS, 0, 0))
            while next_frame()[0] != HEADERS:
                pass
            connection.send(frame(HEADERS, END_HEADERS, 1, block([(":status", "200"), ("content-length", str(STREAM_WINDOW))])))
            for _ in range(STREAM_WINDOW // 16384):
                connection.send(frame(DATA, 0, 1, bytes(16384)))
            while next_frame()[:2] != (WINDOW_UPDATE, 1):
                pass
            connection.send(frame(DATA, END_STREAM, 1))
            connection.wait_for_end()
        yield Hop(fleet, [service("backend", [fleet.backend(script).address], protocol="HTTP2")])


def test_a_response_that_fills_the_window_can_be_ended(careful):
    with H2Wire(careful.address) as wire:
        wire.send(frame(WINDOW_UPDATE, 0, 0, (STREAM_WINDOW).to_bytes(4, "big")))
        wire.begin()
        wire.send(frame(WINDOW_UPDATE, 0, 1, (STREAM_WINDOW).to_bytes(4, "big")))
        assert wire.until(lambda kind, flags, stream, payload: kind == DATA and flags & END_STREAM) is not None
    careful.logged(end="ok")
