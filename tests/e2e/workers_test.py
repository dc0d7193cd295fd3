"""Two event loops in one process: connections spread over both, documents and certificates reach both, numbers are sums, a drain ends both."""

import signal
import threading

import pytest

from support.backend import held, message, reply
from support.fleet import eventually
from support.h2_peer import H2Client
from support.hop import Hop, service, traffic
from support.pair import Pair
from support.wire import Wire, exchange

GET = "GET / HTTP/1.1\r\nHost: backend\r\n\r\n"


@pytest.fixture
def hop(fleet):
    return Hop(fleet, {"backend": [fleet.backend(reply(200, b"first")).address]}, workers=2)


def test_connections_are_spread(hop, fleet):
    """Each loop has connections of its own to the server: two that are idle at once show two loops."""
    with Wire(hop.address) as one, Wire(hop.address) as other:
        for wire in (one, other, one, other):
            assert wire.get().response().status == 200
        assert len(fleet.backends[0].connections) == 2
        assert hop.figure("outrigger_upstream_connections_idle") == 2
    assert hop.figure("outrigger_workers") == 2


def test_numbers_are_sums(hop):
    wires = [Wire(hop.address) for _ in range(10)]
    for wire in wires:
        assert wire.get().response().status == 200
    assert hop.figure("outrigger_downstream_connections_total") == hop.figure("outrigger_downstream_connections_active") == 10
    assert hop.figure("outrigger_streams_total") == 10
    for wire in wires:
        wire.close()
    eventually(lambda: hop.figure("outrigger_downstream_connections_active") == 0)


def test_documents_reach_both(hop, fleet):
    with Wire(hop.address) as one, Wire(hop.address) as other:
        for wire in (one, other):
            assert wire.get().response().body == b"first"
        hop.reload([hop.proxy, service("backend", [fleet.backend(reply(200, b"second")).address])])
        for wire in (one, other):
            assert wire.get().response().body == b"second"


def test_listeners_come_and_go_on_both(hop):
    more = hop.add_listener()
    hop.reload()
    for _ in range(4):
        assert exchange(more, GET).status == 200
    hop.proxy["spec"]["listeners"].pop()
    hop.reload()

    def refused():
        try:
            Wire(more).close()
        except ConnectionRefusedError:
            return True
        return False
    eventually(refused)
    assert exchange(hop.address, GET).status == 200


def test_load_over_both(hop, fleet):
    for options in (["--h1", "-c", "20"], ["-c", "10", "-m", "10"]):
        done = fleet.run(["h2load", *options, "-n", "4000", "--connect-to", hop.address, "http://backend/"])
        assert "4000 succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout and "4000 2xx" in done.stdout, done.stdout
    hop.logged(8000, end="ok")
    assert hop.figure("outrigger_streams_total") == 8000 and hop.figure("outrigger_streams_active") == 0


def test_reloads_under_load(hop, fleet):
    addresses = [fleet.backends[0].address, fleet.backend(reply(200, b"second")).address]
    running = fleet.start("load", ["h2load", "-n", "6000", "-c", "8", "-m", "4", "--connect-to", hop.address, "http://backend/"])
    for count in range(15):
        more = hop.add_listener(f"more{count}") if count % 3 == 0 else None
        hop.reload([hop.proxy, service("backend", addresses[:1 + count % 2]), traffic("backend", timeouts={"request": f"{20 + count}s"})])
        if more:
            assert exchange(more, GET).status == 200
    running.wait()
    assert "6000 succeeded, 0 failed" in running.output() and "6000 2xx" in running.output(), running.output()


def test_a_drain_ends_both(fleet):
    event = threading.Event()
    backend = fleet.backend(held(event, message(200, b"done")))
    hop = Hop(fleet, inbound={"in": {"forwardTo": backend.address}}, outbound=False, workers=2)
    wires = [Wire(hop.inbound["in"]).get() for _ in range(6)]
    eventually(lambda: sum(len(connection.requests) for connection in backend.connections) == 6)
    hop.process.signal(signal.SIGTERM)
    eventually(lambda: hop.figure("outrigger_draining") == 1)
    event.set()
    for wire in wires:
        assert wire.response().body == b"done"
        wire.close()
    assert hop.process.wait() == 0


def test_a_pair_with_two_loops_each(fleet):
    pair = Pair(fleet, fleet.backend(reply(200, b"x" * 100)).address, near={"workers": 2}, far={"workers": 2})
    for options in (["--h1", "-c", "8"], ["-c", "8", "-m", "5"]):
        done = fleet.run(["h2load", *options, "-n", "2000", "--connect-to", pair.address, "http://backend/"])
        assert "2000 succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout and "2000 2xx" in done.stdout, done.stdout
    for identity in (pair.near_identity, pair.far_identity):
        identity.issue(pair.authority)
    eventually(lambda: pair.near.figure("outrigger_identity_loads_total", result="accepted") == 2 == pair.far.figure("outrigger_identity_loads_total", result="accepted"))
    with H2Client(pair.address) as client:
        for _ in range(10):
            assert client.get().status == 200
    assert pair.near.figure("outrigger_tls_failures_total") == pair.far.figure("outrigger_tls_failures_total") == 0


def test_a_retry_budget_is_one_for_both(fleet):
    hop = Hop(fleet, {"backend": [fleet.address()]}, workers=2, policies=[traffic("backend", retry={"attempts": 1, "backoff": {"base": "0s", "max": "0s"},
                                                                                                      "budget": {"percent": 10, "interval": "1h", "minPerSecond": 0}})])
    for _ in range(100):
        assert exchange(hop.address, GET).status == 502
    assert hop.figure("outrigger_retries_total") == 10
