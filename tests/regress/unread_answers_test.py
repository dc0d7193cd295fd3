"""A client of HTTP/2 that asks and takes no answers: what waits for its window is given up after the service's idle timeout, whether or not its stream is over."""

import struct

import pytest

from support.backend import message
from support.h2_peer import CANCEL, H2Wire
from support.fleet import Fleet, eventually
from support.hop import Hop, traffic

STREAMS = 20
INITIAL_WINDOW_SIZE = 4


def as_many_as_asked(connection):
    while (request := connection.read_request()) is not None:
        connection.send(message(200, b"x" * int(request.target[1:])))


@pytest.mark.parametrize("size", [100, 60000, 300000])
def test_an_answer_that_nobody_takes_is_given_up(size):
    with Fleet() as fleet:
        hop = Hop(fleet, {"backend": [fleet.backend(as_many_as_asked).address]}, policies=[traffic("backend", timeouts={"idle": "1s"})])
        with H2Wire(hop.address, settings=struct.pack(">HI", INITIAL_WINDOW_SIZE, 0)) as client:
            for number in range(STREAMS):
                client.begin(1 + 2 * number, f"/{size}")
            codes = [client.reset(None) for _ in range(STREAMS)]
            assert None not in codes
            if size < 65536:
                assert set(codes) == {CANCEL}  # the answer was whole, and is in the codec's hands
            eventually(lambda: hop.figure("outrigger_buffer_blocks", state="used") == 0, what="the memory being given back")
            assert client.ping()


def never(connection):
    connection.wait_for_end()


def test_an_answer_that_is_taken_little_by_little_is_not_given_up():
    with Fleet() as fleet:
        services = {"backend": [fleet.backend(as_many_as_asked).address], "silent": [fleet.backend(never).address]}
        hop = Hop(fleet, services, policies=[traffic("backend", timeouts={"idle": "1s"})])
        with H2Wire(hop.address, settings=struct.pack(">HI", INITIAL_WINDOW_SIZE, 0)) as slow, H2Wire(hop.address) as clock:
            slow.begin(1, "/4")
            for number in range(4):
                # Half an idle timeout goes by: another stream's deadline says when.
                clock.begin(1 + 2 * number, authority="silent", headers=[("x-request-timeout-ms", "500")])
                assert clock.status(1 + 2 * number) == 504
                slow.send(b"\0\0\4\10\0\0\0\0\1" + struct.pack(">I", 1))
            assert slow.until(lambda kind, flags, stream, payload: kind == 0 and flags & 1) is not None
