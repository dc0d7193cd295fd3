# presets: dev
"""Sets of documents so large that a worker takes them over in many turns: what it serves meanwhile, what waits for the new set, and ends in the middle."""

import copy
import signal

import pytest

from support.backend import reply
from support.fleet import eventually
from support.hop import Hop, service
from support.wire import Wire, exchange

GET = "GET / HTTP/1.1\r\nHost: backend\r\n\r\n"
MANY = 1000


def many(address, count=MANY):
    return [service(f"s{number}", [address]) for number in range(count)]


@pytest.fixture
def backend(fleet):
    return fleet.backend(reply(200, b"first")).address


def first_answer(address):
    """What the first connection says that is taken there."""
    def tried():
        try:
            return exchange(address, GET)
        except ConnectionRefusedError:
            return None
    return eventually(tried, what=f"somebody at {address}")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_new_listener_serves_from_its_first_connection(fleet, backend, workers):
    hop = Hop(fleet, {"backend": [backend]}, workers=workers)
    assert exchange(hop.address, GET).body == b"first"
    more = hop.add_listener()
    hop.write([hop.proxy, service("backend", [backend]), *many(backend)])
    hop.process.signal(signal.SIGHUP)
    answer = first_answer(more)
    assert answer.status == 200 and answer.body == b"first"
    assert hop.figure("outrigger_downstream_connections_refused_total") == 0
    assert exchange(hop.address, GET.replace("backend", f"s{MANY - 1}")).body == b"first"
    assert f"default/s{MANY - 1}:80" in [row["service"] for row in hop.page("/clusters")]


def test_a_storm_of_reloads_under_load_loses_nothing(fleet, backend):
    second = fleet.backend(reply(200, b"second")).address
    hop = Hop(fleet, [service("backend", [backend]), *many(backend, 300)], workers=2)
    sets = [[hop.proxy, service("backend", [address]), *many(address, 300)] for address in (second, backend)]
    load = fleet.start("load", ["h2load", "-m", "10", "-n", "6000", "-c", "4", "--connect-to", hop.address, "http://backend/"])
    for count in range(8):
        hop.write(sets[count % 2])
        hop.process.signal(signal.SIGHUP)
    load.wait()
    assert "6000 succeeded, 0 failed, 0 errored, 0 timeout" in load.output() and "6000 2xx" in load.output(), load.output()
    hop.reload(sets[0])
    for name in ("backend", "s0", "s299"):
        assert exchange(hop.address, GET.replace("backend", name)).body == b"second"
    assert not [line for line in hop.log() if line["end"] != "ok"]
    eventually(lambda: hop.figure("outrigger_worker_snapshots") == 1, what="the older sets are gone")


def test_the_end_may_come_in_the_middle(fleet, backend):
    hop = Hop(fleet, {"backend": [backend]}, workers=2)
    with Wire(hop.address) as wire:
        assert wire.get().response().status == 200
        for count in (MANY, 10, MANY):
            hop.add_listener(f"more{count}-{len(hop.proxy['spec']['listeners'])}")
            hop.write([hop.proxy, service("backend", [backend]), *many(backend, count)])
            hop.process.signal(signal.SIGHUP)
        eventually(lambda: "event=config_accepted generation=2" in hop.process.output(), what="a set that the workers are told of")
        hop.process.signal(signal.SIGTERM)
    assert hop.process.wait() == 0


def test_a_listener_that_goes_and_comes_back_while_the_worker_takes_over_a_set(fleet, backend):
    """Its socket stays until the worker has closed it: nobody else can bind the address before."""
    hop = Hop(fleet, {"backend": [backend]}, workers=1)
    small = [hop.proxy, service("backend", [backend])]
    more = hop.add_listener()
    hop.reload(small)
    assert exchange(more, GET).body == b"first"
    without = copy.deepcopy(hop.proxy)
    without["spec"]["listeners"].pop()
    for number in range(4):
        hop.write([hop.proxy, service("backend", [backend]), *many(backend, 500 + number)])
        assert hop.post("/reload")[0] == 200
        hop.write([without, service("backend", [backend])])
        assert hop.post("/reload")[0] == 200
        hop.write(small)
        status, answer = hop.post("/reload")
        assert status == 200, answer
        assert first_answer(more).body == b"first"
    eventually(lambda: hop.worker_generation() == hop.generation(), what="the worker having the newest set")
    assert exchange(more, GET).body == b"first"
