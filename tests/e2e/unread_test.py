"""Clients that ask and do not read their answers: what waits for them is bounded, and nothing of it is lost once they read."""

import select

import pytest

from support.hop import Hop
from support.wire import Wire

# Requests with something in them: what the kernel holds of them and of their answers, some MiB each, must not be all.
REQUESTS = 40000
PADDING = "x" * 460
BLOCK = 16384

# What may wait for one client outside of the kernel: its answers, a read of its further requests, and the pages that are asked meanwhile.
HELD_MAX = 20 * BLOCK


def ask_without_reading(wire, content):
    """Sends until all was taken, or the proxy has stopped to read and the kernel is full; returns what was not taken."""
    rest = memoryview(content)
    wire.socket.setblocking(False)
    while rest and select.select([], [wire.socket], [], 2)[1]:
        rest = rest[wire.socket.send(rest):]
    wire.socket.setblocking(True)
    return rest


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_answers_that_nobody_reads_are_bounded_and_not_lost(fleet, method):
    hop = Hop(fleet)
    request = f"{method} / HTTP/1.1\r\nHost: nobody\r\nX-Padding: {PADDING}\r\n\r\n".encode()
    with Wire(hop.address, receive_buffer=4096) as wire:
        rest = ask_without_reading(wire, request * REQUESTS)
        assert rest, "the proxy took all requests of a client that reads nothing"
        assert hop.figure("outrigger_buffer_blocks_peak") * BLOCK <= HELD_MAX
        begun = (len(request) * REQUESTS - len(rest)) // len(request)
        for _ in range(begun):
            assert wire.response(method).status == 502
        if cut := len(rest) % len(request):
            wire.send(bytes(rest[:cut]))
            assert wire.response(method).status == 502
        assert wire.send(request).response(method).status == 502
