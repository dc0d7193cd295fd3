"""SIGTERM and its like: who is being served is served to the end, who comes is told to go elsewhere, and behind a caller with two replicas nobody notices."""
# seconds: 31

import signal
import threading

import pytest

from support.backend import held, message, reply
from support.fleet import eventually, http_get
from support.h2_peer import GOAWAY, HEADERS, PING, H2Client, H2Wire, frame
from support.hop import Hop, service
from support.wire import Wire


def inbound(fleet, forward_to, name="sidecar", **options):
    """A sidecar alone: an inbound listener without TLS. `address` is that listener's."""
    hop = Hop(fleet, name=name, inbound={"in": {"forwardTo": forward_to}}, outbound=False, start=False, **options)
    hop.address = hop.inbound["in"]
    hop.start()
    return hop


def slow_sidecar(fleet, **options):
    event = threading.Event()
    backend = fleet.backend(held(event, message(200, b"done")))
    return inbound(fleet, backend.address, **options), backend, event


def begin_drain(hop):
    hop.process.signal(signal.SIGTERM)
    eventually(lambda: http_get(hop.metrics, "/readyz")[0] == 503, what="not ready any more")


def is_gone(hop):
    """The process has ended by itself, in order."""
    assert hop.process.wait() == 0
    return True


def test_nothing_to_do_ends_at_once(fleet):
    hop = inbound(fleet, fleet.backend().address)
    hop.process.signal(signal.SIGTERM)
    assert is_gone(hop)


def test_a_connection_that_is_idle_is_closed(fleet):
    hop = inbound(fleet, fleet.backend().address)
    with Wire(hop.address) as wire, H2Client(hop.address) as client:
        assert wire.get().response().status == 200 and client.get().status == 200
        hop.process.signal(signal.SIGTERM)
        assert wire.rest() == b""
        client.wait_for_end()
        assert client.goaway.error_code == 0
        assert is_gone(hop)


def test_a_request_under_way_over_http_1_is_answered_and_its_connection_closed(fleet):
    hop, backend, event = slow_sidecar(fleet)
    with Wire(hop.address) as wire:
        wire.get()
        eventually(lambda: backend.connections and backend.connections[0].requests)
        begin_drain(hop)
        assert hop.process.running()
        event.set()
        response = wire.response()
        assert (response.body, response.header("connection")) == (b"done", "close")
        assert wire.is_ended()
    assert is_gone(hop)


def test_a_request_under_way_over_http_2_is_answered_between_two_goaways(fleet):
    hop, backend, event = slow_sidecar(fleet)
    with H2Wire(hop.address) as wire:
        wire.begin(1)
        eventually(lambda: backend.connections and backend.connections[0].requests)
        begin_drain(hop)
        notice = wire.until_kind(GOAWAY)[3]
        assert (int.from_bytes(notice[:4], "big"), notice[4:8]) == (0x7FFFFFFF, b"\0" * 4), "the first notice takes nothing away"
        wire.begin(3)  # it was on its way by then
        last = wire.until_kind(GOAWAY)[3]
        assert (int.from_bytes(last[:4], "big"), last[4:8]) == (3, b"\0" * 4)
        event.set()
        assert {wire.until_kind(HEADERS)[2] for _ in range(2)} == {1, 3}
        wire.until_kind(99)
    assert is_gone(hop)


def test_who_comes_during_a_drain_is_served_and_told_to_go(fleet):
    hop, backend, event = slow_sidecar(fleet)
    with Wire(hop.address) as first:
        first.get()
        eventually(lambda: backend.connections and backend.connections[0].requests)
        begin_drain(hop)
        with Wire(hop.address) as wire, H2Wire(hop.address) as other:
            wire.get()
            other.begin(1)
            eventually(lambda: len(backend.connections) == 3)
            event.set()
            response = wire.response()
            assert (response.body, response.header("connection")) == (b"done", "close") and wire.is_ended()
            assert other.status() == 200
            other.until_kind(99)
            assert GOAWAY in [kind for kind, *_ in other.frames]
        assert first.response().body == b"done"
    assert is_gone(hop)


def test_a_drain_has_an_end(fleet):
    hop, backend, event = slow_sidecar(fleet, limits={"drainTimeout": "300ms"})
    with Wire(hop.address) as wire:
        wire.get()
        eventually(lambda: backend.connections and backend.connections[0].requests)
        hop.process.signal(signal.SIGTERM)
        assert is_gone(hop)
        assert wire.rest() == b""
    event.set()
    assert "complete=false" in hop.process.output()


def test_outbound_stays_up_until_the_application_is_done(fleet):
    """The application ends after its sidecar was told to: its last calls still work."""
    event = threading.Event()
    backend = fleet.backend(held(event, message(200, b"done")))
    hop = Hop(fleet, {"backend": [fleet.backend(reply(200, b"called")).address]}, inbound={"in": {"forwardTo": backend.address}})
    with Wire(hop.inbound["in"]) as wire:
        wire.get()
        eventually(lambda: backend.connections and backend.connections[0].requests)
        begin_drain(hop)
        for _ in range(5):
            with Wire(hop.address) as application:
                assert application.get().response().body == b"called"
        event.set()
        assert wire.response().body == b"done"
    assert is_gone(hop)


def test_post_shutdown_drains_and_ends(fleet):
    hop, backend, event = slow_sidecar(fleet)
    with Wire(hop.address) as wire:
        wire.get()
        eventually(lambda: backend.connections and backend.connections[0].requests)
        assert hop.post("/shutdown")[0] == 202
        eventually(lambda: http_get(hop.metrics, "/readyz")[0] == 503)
        assert hop.figure("outrigger_draining") == 1
        event.set()
        assert wire.response().body == b"done"
    assert is_gone(hop)


def test_a_second_sigterm_changes_nothing(fleet):
    hop, backend, event = slow_sidecar(fleet)
    with Wire(hop.address) as wire:
        wire.get()
        eventually(lambda: backend.connections and backend.connections[0].requests)
        begin_drain(hop)
        hop.process.signal(signal.SIGTERM)
        event.set()
        assert wire.response().body == b"done"
    assert is_gone(hop)


def test_sigint_twice_ends_at_once(fleet):
    hop, backend, event = slow_sidecar(fleet)
    with Wire(hop.address) as wire:
        wire.get()
        eventually(lambda: backend.connections and backend.connections[0].requests)
        hop.process.signal(signal.SIGINT)
        eventually(lambda: http_get(hop.metrics, "/readyz")[0] == 503)
        hop.process.signal(signal.SIGINT)
        assert is_gone(hop)
    event.set()


def start_load(fleet, caller, seconds):
    return fleet.start("load", ["h2load", "-D", seconds, "-c", "4", "-m", "5", "--connect-to", caller.address, "http://backend/"])


def no_failure(load, caller):
    load.wait()
    assert ", 0 3xx, 0 4xx, 0 5xx" in load.output() and "0 failed, 0 errored, 0 timeout" in load.output(), load.output()
    # At its end the load gives up what is under way.
    failures = [line for line in caller.log() if line["end"] not in ("ok", "client_gone")]
    assert not failures, f"{len(failures)}: {failures[:3]}"


@pytest.mark.parametrize("protocol", ["HTTP1", "HTTP2"])
def test_a_rolling_update_fails_no_request(fleet, protocol):
    backend = fleet.backend(reply(200, b"x" * 100))
    replicas = [inbound(fleet, backend.address, name=f"replica{count}") for count in range(3)]
    caller = Hop(fleet, [service("backend", [replica.address for replica in replicas[:2]], protocol=protocol)])
    load = start_load(fleet, caller, 4)
    for old in (0, 1):
        eventually(lambda: all(replica.figure("outrigger_streams_total") > 50 for replica in replicas[old:old + 2]))
        replicas[old].process.signal(signal.SIGTERM)
        caller.reload([caller.proxy, service("backend", [replica.address for replica in replicas[old + 1:old + 3]], protocol=protocol)])
        assert is_gone(replicas[old])
    no_failure(load, caller)
    assert replicas[2].figure("outrigger_streams_total") > 50


@pytest.mark.parametrize("protocol", ["HTTP1", "HTTP2"])
def test_behind_a_caller_that_is_not_told_no_request_fails(fleet, protocol):
    backend = fleet.backend(reply(200, b"x" * 100))
    replicas = [inbound(fleet, backend.address, name=f"replica{count}", limits={"drainTimeout": "3s"}) for count in range(2)]
    caller = Hop(fleet, [service("backend", [replica.address for replica in replicas], protocol=protocol)])
    load = start_load(fleet, caller, 5)
    eventually(lambda: all(replica.figure("outrigger_streams_total") > 50 for replica in replicas))
    replicas[0].process.signal(signal.SIGTERM)
    assert is_gone(replicas[0])
    no_failure(load, caller)


def test_pings_are_answered_during_a_drain(fleet):
    hop, backend, event = slow_sidecar(fleet)
    with H2Wire(hop.address) as wire:
        wire.begin(1)
        eventually(lambda: backend.connections and backend.connections[0].requests)
        begin_drain(hop)
        wire.send(frame(PING, 0, 0, b"12345678"))
        assert wire.until_kind(PING)[3] == b"12345678"
        event.set()
        assert wire.status() == 200
    assert is_gone(hop)
