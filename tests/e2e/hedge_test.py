# presets: dev tsan release
"""Hedged requests on real servers: one that hangs now and then is answered by another, a POST is not, and no more than the share is asked twice."""

import threading

import pytest

from support.backend import message, reply
from support.hop import Hop, traffic
from support.wire import exchange

GENEROUS = {"percent": 100, "minPerSecond": 1000}


def text(method, body=b""):
    return f"{method} / HTTP/1.1\r\nHost: backend\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.fixture
def hanging(fleet):
    """A server that takes requests and answers none until it is let go."""
    let_go = threading.Event()

    def script(connection):
        connection.read_request()
        let_go.wait(60)
        connection.send(message(200, b"late"))
    yield fleet.backend(script), let_go
    let_go.set()


def hop_of(fleet, addresses, **hedge):
    return Hop(fleet, {"backend": addresses}, policies=[traffic("backend", loadBalancer={"type": "RoundRobin"}, retry={"budget": GENEROUS},
                                                                hedge={"after": "Delay", "delay": "50ms", "percent": 100, **hedge})], workers=1)  # each has turns of its own


def test_a_server_that_hangs_is_not_waited_for(fleet, hanging):
    bad, good = hanging[0], fleet.backend(reply(200, b"good"))
    hop = hop_of(fleet, [bad.address, good.address])
    for _ in range(4):
        assert exchange(hop.address, text("PUT", b"body"), "PUT").body == b"good"
    assert {request.body for request in bad.requests + good.requests} == {b"body"}
    assert hop.figure("outrigger_retries_total", reason="hedge") >= len(bad.requests) >= 2
    assert hop.figure("outrigger_retries_ended_total", result="answered") >= 1
    hop.logged(end="ok", attempts=2, retried_for="hedge")


def test_a_post_is_sent_to_one_alone(fleet, hanging):
    bad, let_go = hanging
    hop = hop_of(fleet, [bad.address, fleet.address()])
    timer = threading.Timer(1, let_go.set)
    timer.start()
    assert exchange(hop.address, text("POST", b"pay"), "POST").body == b"late"
    timer.join()
    assert len(bad.requests) == 1 and hop.figure("outrigger_retries_total", reason="hedge") == 0


def test_a_dry_run_counts_and_sends_nothing(fleet, hanging):
    bad, let_go = hanging
    good = fleet.backend(reply(200, b"good"))
    hop = hop_of(fleet, [bad.address, good.address], mode="DryRun")
    timer = threading.Timer(1, let_go.set)
    timer.start()
    assert {exchange(hop.address, text("GET")).body for _ in range(2)} == {b"late", b"good"}, "each in its turn"
    timer.join()
    assert len(bad.requests) == len(good.requests) == 1
    assert hop.figure("outrigger_hedges_dry_run_total") >= 1 and hop.figure("outrigger_retries_total", reason="hedge") == 0
