# presets: dev tsan
"""Behind a balancer that is trusted: the client is whom it names, in the access log, for the balancer's keys and in what goes on. Whoever else says such a thing is not believed."""

import pytest

from support.backend import echo
from support.edge import Edge
from support.fleet import BIN
from support.hop import Hop, service, traffic
from support.routes import route, to_gateway
from support.wire import Wire

LOCAL = ["127.0.0.0/8"]


def get(address, *fields, first=b"", host="backend"):
    lines = "".join(f"{field}\r\n" for field in fields)
    with Wire(address) as wire:
        return wire.send(first + f"GET / HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n".encode()).response()


def edge_of(fleet, **spec):
    seen = fleet.backend(echo)
    return seen, Edge(fleet, [service("v1", [seen.address])], [{}], route("r", [to_gateway()], {"backendRefs": [{"name": "v1", "port": 80}]}), **spec)


def test_a_gateway_passes_on_who_was_told(fleet):
    seen, edge = edge_of(fleet, trustedProxies=LOCAL)
    response = get(edge.address, "X-Forwarded-For: 10.0.0.1, 198.51.100.7", "X-Forwarded-For: 127.0.0.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example", "x-tier: gold")
    assert response.status == 200
    request = seen.requests[-1]
    # What the client itself had written is gone; who asked us is added.
    assert request.values("x-forwarded-for") == ["198.51.100.7, 127.0.0.9, 127.0.0.1"]
    assert request.values("x-forwarded-proto") == ["https"] and request.values("x-forwarded-host") == ["shop.example"]
    assert request.values("x-tier") == []
    line = edge.hop.logged(end="ok")
    assert line["client"] == "198.51.100.7" and line["peer"].startswith("127.0.0.1:")


@pytest.mark.parametrize("fields, told", [
    (["X-Forwarded-For: unknown"], "127.0.0.1"),
    (["X-Forwarded-For: 198.51.100.7, nobody"], "127.0.0.1"),
    (["X-Forwarded-For: " + "1.1.1.1, " * 2000 + "198.51.100.7"], "198.51.100.7, 127.0.0.1"),
    (["X-Forwarded-For: 198.51.100.7" + ", 127.0.0.1" * 2000], "198.51.100.7" + ", 127.0.0.1" * 2001),
    ([], "127.0.0.1"),
])
def test_what_is_no_address_is_not_passed_on(fleet, fields, told):
    seen, edge = edge_of(fleet, trustedProxies=LOCAL)
    assert get(edge.address, *fields).status == 200
    assert seen.requests[-1].values("x-forwarded-for") == [told]


@pytest.mark.parametrize("fields", [["X-Forwarded-Proto: gopher"], ["X-Forwarded-Proto: https, http"], ["X-Forwarded-Proto: https", "X-Forwarded-Proto: http"], ["X-Forwarded-Proto: http", "X-Forwarded-Proto: https"],
                                    ["X-Forwarded-Proto:"]])
def test_a_scheme_that_is_none_is_said_anew(fleet, fields):
    seen, edge = edge_of(fleet, trustedProxies=LOCAL)
    assert get(edge.address, *fields).status == 200
    assert seen.requests[-1].values("x-forwarded-proto") == ["http"]


@pytest.mark.parametrize("fields", [["X-Forwarded-Host: evil.example, good.example"], ["X-Forwarded-Host: good.example", "X-Forwarded-Host: evil.example"]])
def test_a_host_that_is_not_one_is_said_anew(fleet, fields):
    seen, edge = edge_of(fleet, trustedProxies=LOCAL)
    assert get(edge.address, *fields).status == 200
    (told,) = seen.requests[-1].values("x-forwarded-host")
    assert "evil" not in told and "good" not in told


def test_a_stranger_is_not_believed(fleet):
    seen, edge = edge_of(fleet, trustedProxies=["10.0.0.0/8"])
    assert get(edge.address, "X-Forwarded-For: 198.51.100.7, 10.0.0.1", "X-Forwarded-Proto: https").status == 200
    request = seen.requests[-1]
    assert request.values("x-forwarded-for") == ["127.0.0.1"] and request.values("x-forwarded-proto") == ["http"]
    assert "client" not in edge.hop.logged(end="ok")


def test_the_balancer_goes_by_the_client(fleet):
    backends = [fleet.backend(echo) for _ in range(4)]
    policy = traffic("backend", loadBalancer={"type": "Maglev", "key": [{"type": "ClientAddress"}]})
    hop = Hop(fleet, {"backend": [backend.address for backend in backends]}, policies=[policy], trustedProxies=LOCAL, outbound=True)

    def of(client):
        before = [len(backend.requests) for backend in backends]
        assert get(hop.address, f"X-Forwarded-For: {client}").status == 200
        return next(i for i, backend in enumerate(backends) if len(backend.requests) > before[i])
    clients = [f"198.51.100.{number}" for number in range(24)]
    first = [of(client) for client in clients]
    assert len(set(first)) > 1 and [of(client) for client in clients] == first
    # A port or what the client had written before make no other client of it.
    assert [of(f"1.2.3.4, {client}:99") for client in clients] == first
    # A sidecar leaves the field as it is.
    assert backends[first[0]].requests[0].header("x-forwarded-for") in clients


def test_the_peer_is_whom_the_proxy_protocol_names(fleet):
    """It is that address which is trusted or not, and not the balancer's that speaks the protocol."""
    seen = fleet.backend(echo)
    hop = Hop(fleet, [], outbound=False, inbound={"in": {"forwardTo": seen.address, "proxyProtocol": "Require"}}, trustedProxies=["203.0.113.0/24"])
    for number, (peer, client) in enumerate([("203.0.113.5", "198.51.100.7"), ("192.0.2.1", None), ("127.0.0.1", None)], 1):
        header = f"PROXY TCP4 {peer} 127.0.0.1 1000 80\r\n".encode()
        assert get(hop.inbound["in"], "X-Forwarded-For: 198.51.100.7", first=header).status == 200
        line = hop.logged(number, end="ok")
        line = line if number == 1 else line[-1]
        assert line["peer"] == f"{peer}:1000" and line.get("client") == client


def test_ranges_are_checked(fleet):
    hop = Hop(fleet, {"backend": [fleet.address()]}, start=False, trustedProxies=["10.0.0.1/8", "here", "fd00::/8"])
    done = fleet.run([BIN / "outrigger", "check", hop.write()])
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "trustedProxies[0]" in said and "trustedProxies[1]" in said and "trustedProxies[2]" not in said and "10.0.0.0/8" in said
