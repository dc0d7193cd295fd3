# presets: dev
# seconds: 40
"""A connection to the socket of upgrades that takes the listening sockets and says nothing: it does not hold the one place for good."""

import socket

from support.backend import reply
from support.fleet import eventually
from support.hop import Hop
from support.upgrade import upgradable, upgrade
from support.wire import exchange


def test_who_says_nothing_is_hung_up_on_and_the_next_upgrade_succeeds(fleet):
    hop = upgradable(Hop(fleet, {"backend": [fleet.backend(reply(200, b"x")).address]}, start=False))
    hop.start()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(hop.proxy["spec"]["upgrade"]["path"])
        text, sockets, _, _ = socket.recv_fds(client, 100, 100)
        assert text == b"outrigger 1 sockets\n"
        for each in sockets:
            socket.close(each)
        client.settimeout(90)
        assert client.recv(100) == b"outrigger 1 refused\n" and client.recv(100) == b"", "should it be ready after all, it knows that it is not to go on"
        eventually(lambda: 'event=upgrade_failed reason="the new process was not ready in time' in hop.process.output())
        assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200
        upgrade(hop)
    assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200
