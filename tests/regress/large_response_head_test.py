"""A response whose head is larger than what its client's connection may be sent, since the limit was lowered under a connection to the server that knew the old one,
costs that stream and nothing else: the proxy aborted."""

import pytest

from support.backend import message
from support.h2_peer import H2Client
from support.hop import Hop
from support.wire import Wire

LARGE = ("X-Large", "x" * 200000)


def growing(connection):
    """Answers with a small head first, then with large ones."""
    for fields in ([], *[[LARGE]] * 9):
        if connection.read_request() is None:
            return
        connection.send(message(200, b"ok", fields))


@pytest.mark.parametrize("version", ["http1", "http2"])
def test_a_head_that_cannot_be_sent_costs_its_stream_alone(fleet, version):
    hop = Hop(fleet, {"backend": [fleet.backend(growing).address]}, limits={"headerBytes": "1Mi"})
    with Wire(hop.address) as wire:
        assert wire.get().response().status == 200
    hop.proxy["spec"]["limits"] = {"headerBytes": "1Ki"}
    hop.reload()
    if version == "http2":
        with H2Client(hop.address) as client:
            assert client.get().reset is not None
    else:
        with Wire(hop.address) as wire:
            assert wire.get().response().status == 200  # HTTP/1 has no such bound
    assert hop.process.running()
