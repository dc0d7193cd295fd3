"""TCPRoute and TLSRoute of services: weights over connections, names, what is refused and how it is told, producer and consumer routes, what can be seen of them."""
# presets: dev

import collections
import ssl
from pathlib import Path

import pytest
import yaml

from support.fleet import eventually, split_address
from support.hop import Hop, service
from support.opaque import Raw, echo_bytes, first_word, greeting, tcp_listener, tls_client, tls_server
from support.pair import CALLEE, Pair
from support.routes import backends, route, tcp_route, tls_route, to_service

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "docs" / "examples" / "opaque" / "opaque.yaml"
RULE = "TCPRoute/default/split: rule 1"


def named(fleet, *names, protocol="TCP"):
    """A service for each name, whose server says the name first."""
    return [service(name, [fleet.backend(greeting(name.encode())).address], protocol=protocol) for name in names]


def frontend(fleet, protocol="TCP", port=80):
    """The service that is asked for, whose own endpoint nobody is to reach."""
    return service("front", [fleet.address()], protocol=protocol, port=port)


def split(*refs, **spec):
    return tcp_route("split", "front", *backends(*refs), **spec)


def hop_with(fleet, services, *policies, **spec):
    listener = tcp_listener("front")
    return Hop(fleet, services, policies=policies, listeners=[listener], outbound=False, workers=1, **spec), listener["address"]


def test_weights_are_held_over_connections(fleet):
    hop, address = hop_with(fleet, [frontend(fleet), *named(fleet, "v1", "v2", "v3")], split(("v1", 7), ("v2", 3), ("v3", 0)))
    assert collections.Counter(first_word(address) for _ in range(30)) == {"v1": 21, "v2": 9}
    line = hop.logged(30, route=RULE, end="ok")[0]
    assert line["service"] in ("default/v1:80", "default/v2:80")
    eventually(lambda: hop.figure("outrigger_opaque_connect_duration_seconds_count", route=RULE, service="default/v1:80") == 21)
    eventually(lambda: hop.figure("outrigger_opaque_connect_duration_seconds_count", route=RULE, service="default/v2:80") == 9)


def test_what_is_no_backend_keeps_its_share_and_is_reset(fleet):
    hop, address = hop_with(fleet, [frontend(fleet), *named(fleet, "v1")], split(("v1", 1), ("gone", 1)))
    assert collections.Counter(first_word(address) for _ in range(10)) == {"v1": 5, "reset": 5}
    line = hop.logged(5, end="backend_invalid")[0]
    assert (line["route"], line["method"], "status" in line) == (RULE, "CONNECT", False)


def test_no_endpoint_is_no_backend_for_nobody(fleet):
    hop, address = hop_with(fleet, [frontend(fleet), service("v1", [], protocol="TCP")], split("v1"))
    assert first_word(address) == "reset"
    assert hop.logged(end="no_endpoint")["route"] == RULE


def test_all_weights_zero_reset(fleet):
    hop, address = hop_with(fleet, [frontend(fleet), *named(fleet, "v1")], split(("v1", 0)))
    assert first_word(address) == "reset"
    hop.logged(end="backend_invalid")


def test_routes_come_and_go_without_a_restart(fleet):
    services = [frontend(fleet), *named(fleet, "v1", "v2")]
    hop, address = hop_with(fleet, services, split("v1"))
    with Raw(address) as client:
        assert client.exactly(2) == b"v1"
        hop.reload([hop.proxy, *services, split("v2")])
        assert first_word(address) == "v2"
        assert client.send(b"still").exactly(5) == b"still"


def test_a_route_of_the_callers_namespace_takes_the_place_of_the_producers(fleet):
    far = {"namespace": "far"}
    front = service("front", [fleet.address()], protocol="TCP", exportTo=["Mesh"])
    front["metadata"].update(far)
    services = named(fleet, "v1", "v2")
    producers = tcp_route("of-producer", [to_service("front")], *[{**ref, "namespace": "default"} for ref in backends("v1")], namespace="far")
    consumers = tcp_route("of-consumer", [to_service("front", "far")], *backends("v2"))
    # A TCP listener means a service of its own namespace: another one is reached by its address.
    hop = Hop(fleet, [front, *services], policies=[producers, consumers], start=False)
    hop.start()
    shown = {frontend["frontend"]: frontend for frontend in hop.page("/routes")}["far/front:80"]
    assert [match["rule"] for match in shown["matches"]] == ["TCPRoute/default/of-consumer: rule 1"]


def test_a_route_leads_through_the_mesh(fleet):
    """The frontend's own protocol is plain, its backend's is outrigger-tcp/1."""
    listener = tcp_listener("front")
    pair = Pair(fleet, fleet.backend(echo_bytes).address, protocol="TCP",
                policies=[frontend(fleet), tcp_route("split", "front", *backends("backend"))], near={"listeners": [listener], "outbound": False})
    with Raw(listener["address"]) as client:
        assert client.send(b"abc").exactly(3) == b"abc"
        assert client.end().rest() == b""
    assert pair.near.logged(end="ok")["route"] == RULE
    assert pair.far.logged(end="ok", tls=True)["peer_identity"] == pair.near_identity.identity
    assert CALLEE in pair.service["spec"]["identities"]


# --- TLSRoute ---

class Names:
    """A service of protocol TLS with two TLS servers behind its routes, each with a certificate of its own."""

    def __init__(self, fleet, *policies, listeners=()):
        self.servers = {name: tls_server(fleet, name) for name in ("one", "two")}
        services = [service(name, [server.address], protocol="TLS", port=443) for name, (server, _) in self.servers.items()]
        front = service("front", [fleet.address()], protocol="TLS", port=443, hosts=["front.example", "*.front.example"])
        routes = policies or [tls_route("one", "front", ["front.example", "a.front.example"], *backends("one", port=443)),
                              tls_route("two", "front", ["*.front.example"], *backends("two", port=443))]
        self.hop = Hop(fleet, [front, *services], policies=routes, start=False)
        self.hop.proxy["spec"]["listeners"] += listeners
        self.hop.start()

    def server_of(self, name, address=None, **options):
        """Whose certificate a client gets that asks for the name."""
        with tls_client(address or self.hop.address, name, **options) as client:
            client.sendall(b"abc")
            assert client.recv(3) == b"abc"
            shown = client.getpeercert(binary_form=True)
        return next(server for server, (_, certificate) in self.servers.items() if certificate == shown)


def test_connections_go_by_the_name_that_is_asked_for(fleet):
    site = Names(fleet)
    for name, wanted in (("front.example", "one"), ("A.Front.Example", "one"), ("b.front.example", "two"), ("c.a.front.example", "two")):
        assert site.server_of(name) == wanted, name
    line = site.hop.logged(authority="b.front.example")
    assert (line["route"], line["service"]) == ("TLSRoute/default/two: rule 1", "default/two:443")
    eventually(lambda: site.hop.figure("outrigger_opaque_connect_duration_seconds_count", route="TLSRoute/default/one: rule 1") == 2)


def test_a_name_that_no_route_has_is_refused_by_an_alert(fleet):
    site = Names(fleet, tls_route("one", "front", ["a.front.example"], *backends("one", port=443)))
    assert site.server_of("a.front.example") == "one"
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        tls_client(site.hop.address, "b.front.example")
    assert site.hop.logged(end="route_not_found")["authority"] == "b.front.example"


def test_a_tcp_listener_of_a_service_with_tls_routes_reads_the_name(fleet):
    listener = tcp_listener("front")
    site = Names(fleet, listeners=[listener])
    assert site.server_of("b.front.example", listener["address"]) == "two"
    with Raw(listener["address"]) as client:
        assert client.send(b"EHLO x\r\n").rest() == b"", "what is no TLS has no name"
    assert 'reason="what came is no TLS"' in eventually(lambda: site.hop.process.output() if "client_tls_failed" in site.hop.process.output() else None)


def test_a_tls_route_goes_before_a_tcp_route(fleet):
    site = Names(fleet, tcp_route("all", "front", *backends("two", port=443)), tls_route("one", "front", ["*.front.example"], *backends("one", port=443)))
    assert site.server_of("b.front.example") == "one"


def test_a_tcp_route_takes_all_names_of_a_tls_port(fleet):
    site = Names(fleet, tcp_route("all", "front", *backends("two", port=443)))
    assert site.server_of("front.example") == site.server_of("b.front.example") == "two"


def test_the_page_shows_names_and_rules(fleet):
    shown = {frontend["frontend"]: frontend for frontend in Names(fleet).hop.page("/routes")}["default/front:443"]
    assert shown["routes"] == "TLSRoute"
    assert [(match["server_name"], match["rule"]) for match in shown["matches"]] == [
        ("a.front.example", "TLSRoute/default/one: rule 1"), ("front.example", "TLSRoute/default/one: rule 1"), ("*.front.example", "TLSRoute/default/two: rule 1")]
    assert [rule["destinations"][0]["to"] for rule in shown["rules"]] == ["default/one:443", "default/two:443"]


def test_http_routes_of_another_port_stay(fleet):
    front = frontend(fleet)
    front["spec"]["ports"].append({"name": "web", "port": 81})
    hop = Hop(fleet, [front, *named(fleet, "v1"), service("web", [fleet.backend().address])], policies=[
        split("v1"), route("web", [to_service("front", port=81)], {"backendRefs": backends("web")})])
    kinds = {frontend["frontend"]: frontend["routes"] for frontend in hop.page("/routes")}
    assert (kinds["default/front:80"], kinds["default/front:81"]) == ("TCPRoute", "HTTPRoute")


# --- the example ---

def test_the_example_divides_the_databases_connections_and_the_brokers_names(fleet):
    """docs/examples/opaque as it stands, but for its addresses."""
    text = EXAMPLE.read_text(encoding="utf-8")
    moved = {written: fleet.address() for written in ("127.0.0.1:3306", "127.0.0.1:15001", "127.0.0.1:13306", "127.0.0.1:13307", "127.0.0.1:19093", "127.0.0.1:19094")}
    for written, real in moved.items():
        text = text.replace(f'"{written}"', f'"{real}"')
    for written, word in (("127.0.0.1:13306", b"old"), ("127.0.0.1:13307", b"new")):
        fleet.backend(greeting(word), split_address(moved[written])[1])
    brokers = {name: tls_server(fleet, name, port=split_address(moved[written])[1])[1] for name, written in (("all", "127.0.0.1:19093"), ("eu", "127.0.0.1:19094"))}
    proxy, *documents = yaml.safe_load_all(text)
    hop = Hop(fleet, documents, start=False, outbound=False, workers=1)
    hop.proxy["metadata"]["namespace"] = "school"
    hop.proxy["spec"]["listeners"] = proxy["spec"]["listeners"]
    hop.start()
    assert collections.Counter(first_word(moved["127.0.0.1:3306"], 3) for _ in range(20)) == {"old": 18, "new": 2}
    for name, wanted in (("eu.broker.example", "eu"), ("a.eu.broker.example", "eu"), ("us.broker.example", "all")):
        with tls_client(moved["127.0.0.1:15001"], name) as client:
            assert client.getpeercert(binary_form=True) == brokers[wanted], name
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        tls_client(moved["127.0.0.1:15001"], "broker.example")
