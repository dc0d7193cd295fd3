"""Clients that take all the descriptors they can get: they are refused before those that are served, people who look, and files that are read have none left."""

import socket

import pytest

from support.backend import reply
from support.fleet import BIN, Fleet, answers, eventually, http_get, split_address
from support.hop import Hop, service
from support.wire import Wire, exchange

LIMIT = 128
CLIENTS = 200


@pytest.fixture(params=[1, 2])
def hop(request):
    with Fleet() as fleet:
        backends = [fleet.backend(reply(200, b"ok")) for _ in range(4)]
        hop = Hop(fleet, {f"s{number}": [backend.address] for number, backend in enumerate(backends)}, workers=request.param, start=False)
        config = hop.write()
        command = f"ulimit -n {LIMIT}; exec {BIN / 'outrigger-proxy'} --config {config}"
        hop.process = fleet.start("hop", ["/bin/sh", "-c", command], answers(hop.metrics))
        yield hop


def test_a_flood_of_clients_leaves_descriptors_to_others(hop):
    with Wire(hop.address) as early:
        assert early.get(host="s0").response().status == 200
        flood = [socket.create_connection(split_address(hop.address)) for _ in range(CLIENTS)]
        for client in flood:
            client.settimeout(0)
        eventually(lambda: hop.figure("outrigger_downstream_connections_refused_total", reason="descriptors") > 0, what="clients being refused")
        eventually(lambda: refused_of(flood) >= CLIENTS - LIMIT, what="refused clients being told")
        eventually(lambda: hop.figure("outrigger_downstream_connections_refused_total", reason="descriptors") == refused_of(flood), what="each one being counted")
        # Who was accepted is served, by endpoints that were not yet connected to.
        for number in range(4):
            assert early.get(host=f"s{number}").response().status == 200
        assert http_get(hop.metrics, "/readyz")[0] == 200
        assert hop.page("/limits")
        hop.documents.append(service("later", [hop.documents[1]["spec"]["endpoints"][0]["address"]]))
        hop.reload()
        assert early.get(host="later").response().status == 200
        for client in flood:
            client.close()
    eventually(lambda: hop.figure("outrigger_downstream_connections_active") == 0, what="the flood being over")
    assert exchange(hop.address, b"GET / HTTP/1.1\r\nHost: s1\r\n\r\n").status == 200


def refused_of(clients):
    """How many of them the proxy has closed."""
    count = 0
    for client in clients:
        try:
            count += client.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            pass
        except ConnectionResetError:
            count += 1
    return count


def test_a_set_that_could_not_be_used_is_tried_again(hop):
    taken = socket.create_server(("127.0.0.1", 0))
    address = "127.0.0.1:%d" % taken.getsockname()[1]
    hop.proxy["spec"]["listeners"].append({"name": "late", "role": "Outbound", "address": address})
    hop.write()
    eventually(lambda: hop.figure("outrigger_config_loads_total", result="refused") == 1, what="the set being refused")
    taken.close()
    eventually(lambda: hop.worker_generation() == 2, what="the set being used")
    assert exchange(address, b"GET / HTTP/1.1\r\nHost: s1\r\n\r\n").status == 200
    assert hop.figure("outrigger_config_loads_total", result="refused") == 1
