"""A reload that gives a listener another name, or lets two change places, takes effect: the socket at that address stays open, and who waits in it is served."""

import pytest

from support.backend import reply
from support.fleet import Fleet
from support.hop import Hop
from support.wire import Wire, exchange

GET = b"GET / HTTP/1.1\r\nHost: backend\r\n\r\n"


@pytest.fixture
def hop():
    with Fleet() as fleet:
        hop = Hop(fleet, {"backend": [fleet.backend(reply(200, b"ok")).address]}, start=False)
        hop.addresses = [hop.add_listener("a"), hop.add_listener("b")]
        hop.asked = 0
        hop.start()
        yield hop


def listener_of(hop, address):
    """The name of the listener that a request to that address came in by."""
    hop.asked += 1
    target = f"/{hop.asked}"
    assert exchange(address, f"GET {target} HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200
    return hop.logged(path=target)["listener"]


def test_a_listener_may_get_another_name(hop):
    with Wire(hop.addresses[0]) as early:
        assert early.send(GET).response().status == 200
        hop.proxy["spec"]["listeners"][1]["name"] = "renamed"
        hop.reload()
        assert listener_of(hop, hop.addresses[0]) == "renamed"
        # The old one is gone, and drains.
        response = early.send(GET).response()
        assert response.status == 200 and response.header("connection") == "close"


def test_two_listeners_may_change_places(hop):
    listeners = hop.proxy["spec"]["listeners"]
    for turn in range(4):
        listeners[1]["address"], listeners[2]["address"] = listeners[2]["address"], listeners[1]["address"]
        hop.reload()
        assert listener_of(hop, hop.addresses[0]) == "ba"[turn % 2]
        assert listener_of(hop, hop.addresses[1]) == "ab"[turn % 2]


def test_a_refused_set_leaves_the_socket_to_its_listener(hop):
    listeners = hop.proxy["spec"]["listeners"]
    listeners[1]["name"] = "renamed"
    listeners[2]["address"] = hop.metrics  # taken
    hop.write()
    generation = hop.page("/config")["generation"]
    assert hop.post("/reload")[1]["generation"] == generation
    assert listener_of(hop, hop.addresses[0]) == "a"
