"""backendSelection: tenants stay with their shard, whatever proxy they ask and whatever becomes of the other shards; at a gateway too, and over opaque connections."""
# presets: dev

import collections
from pathlib import Path

import pytest
import yaml

from support.backend import reply
from support.edge import Edge
from support.fleet import split_address
from support.hop import API, Hop, service
from support.opaque import Raw, greeting, tcp_listener
from support.routes import backends, route, tcp_route, to_gateway
from support.wire import exchange

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "docs" / "examples" / "shards" / "shards.yaml"
TENANTS = [f"tenant-{number}" for number in range(61)]  # no multiple of any number of shards: in turn they would be elsewhere the second time
BY_TENANT = [{"type": "Header", "name": "x-tenant-id"}]


def select(name="shards", kind="HTTPRoute", key=None, **selection):
    """A TrafficPolicy for a route."""
    return {"apiVersion": API, "kind": "TrafficPolicy", "metadata": {"name": "by-tenant"},
            "spec": {"targetRefs": [{"kind": kind, "name": name}], "backendSelection": {"type": "Hash", "key": key or BY_TENANT, **selection}}}


def shards(fleet, *names):
    return [service(name, [fleet.backend(reply(200, name.encode())).address]) for name in names]


def sharded(*refs, parents="front"):
    return route("shards", parents, {"backendRefs": backends(*refs)})


def ask(address, tenant=None, host="front"):
    field = f"x-tenant-id: {tenant}\r\n" if tenant else ""
    response = exchange(address, f"GET / HTTP/1.1\r\nHost: {host}\r\n{field}\r\n")
    return response.body.decode() if response.status == 200 else response.status


def homes(address, **options):
    """Where each tenant's requests go: always to the same."""
    found = {tenant: ask(address, tenant, **options) for tenant in TENANTS}
    assert {tenant: ask(address, tenant, **options) for tenant in TENANTS} == found
    return found


def site(fleet, refs, *policies, name="hop", services=None, **spec):
    return Hop(fleet, [service("front", [fleet.address()]), *services], name=name, policies=[sharded(*refs), *(policies or [select()])], **spec)


def test_tenants_stay_with_their_shard_from_every_proxy(fleet):
    services = shards(fleet, "a", "b", "c")
    hop, other = (site(fleet, refs, name=name, services=services) for name, refs in (("one", ["a", "b", ("c", 2)]), ("other", [("c", 2), "b", "a"])))
    found = homes(hop.address)
    assert set(found.values()) == {"a", "b", "c"}
    assert homes(other.address) == found
    hop.process.stop()
    hop.start()
    assert homes(hop.address) == found, "after a restart too"
    shown = {frontend["frontend"]: frontend for frontend in hop.page("/routes")}["default/front:80"]["rules"][0]
    assert (shown["backend_by_hash_of"], shown["backend_by"]) == ("Header x-tenant-id", "TrafficPolicy/default/by-tenant")


def test_a_shard_that_comes_or_goes_moves_its_own_tenants_alone(fleet):
    services = shards(fleet, "a", "b", "c")
    hop = site(fleet, ["a", "b"], services=services)
    two = homes(hop.address)
    hop.reload([hop.proxy, service("front", [fleet.address()]), *services, sharded("a", "b", "c"), select()])
    three = homes(hop.address)
    assert all(three[tenant] in ("c", two[tenant]) for tenant in TENANTS) and "c" in three.values()
    hop.reload([hop.proxy, service("front", [fleet.address()]), *services, sharded("b", "c"), select()])
    without = homes(hop.address)
    assert all(three[tenant] == "a" or without[tenant] == three[tenant] for tenant in TENANTS)


def test_nobody_moves_for_a_shard_that_is_not_there(fleet):
    services = shards(fleet, "a", "b", "c")
    whole = homes(site(fleet, ["a", "b", "c"], name="whole", services=services).address)
    dead = service("b", [])
    broken = site(fleet, ["a", "b", "c"], services=[services[0], dead])  # c is no backend at all
    expected = {"a": "a", "b": 503, "c": 500}
    assert homes(broken.address) == {tenant: expected[shard] for tenant, shard in whole.items()}
    assert {line["end"] for line in broken.logged(2 * len(TENANTS)) if line["status"] != 200} == {"no_endpoint", "backend_invalid"}


def test_what_lacks_the_key_goes_by_weight(fleet):
    hop = site(fleet, ["a", "b"], services=shards(fleet, "a", "b"), workers=1)
    assert collections.Counter(ask(hop.address) for _ in range(10)) == {"a": 5, "b": 5}


def test_what_lacks_the_key_may_be_refused(fleet):
    hop = site(fleet, ["a", "b"], select(ifMissing="Reject"), services=shards(fleet, "a", "b"))
    assert ask(hop.address) == 400
    assert hop.logged(end="bad_request")["policy"] == "TrafficPolicy/default/by-tenant: backendSelection.ifMissing"
    assert ask(hop.address, "tenant-1") in ("a", "b")


def test_a_gateway_believes_a_tenant_where_it_is_told_to(fleet):
    services = shards(fleet, "a", "b", "c")
    found = {}
    for name, spec in (("open", {"edge": {"trustHeaders": ["x-tenant-id"]}}), ("closed", {})):
        edge = Edge(fleet, services, [{}], sharded("a", "b", "c", parents=[to_gateway()]), select(ifMissing="Reject"), name=name, **spec)
        found[name] = homes(edge.address)
    assert set(found["open"].values()) == {"a", "b", "c"} and set(found["closed"].values()) == {400}
    assert found["open"] == homes(site(fleet, ["a", "b", "c"], services=services).address), "as from within the mesh"


def test_clients_of_a_tcp_route_stay_by_their_address(fleet):
    listener = tcp_listener("front")
    services = [service("front", [fleet.address()], protocol="TCP"),
                *[service(name, [fleet.backend(greeting(name.encode())).address], protocol="TCP") for name in ("a", "b", "c")]]
    hop = Hop(fleet, services, policies=[tcp_route("shards", "front", *backends("a", "b", "c")), select(kind="TCPRoute", key=[{"type": "ClientAddress"}])],
              listeners=[listener], outbound=False)

    def shard_of(address):
        with Raw(listener["address"], source=(address, 0)) as client:
            return client.exactly(1).decode()
    found = {address: shard_of(address) for address in (f"127.0.1.{number}" for number in range(1, 32))}
    assert set(found.values()) == {"a", "b", "c"}
    assert {address: shard_of(address) for address in found} == found
    assert hop.logged(62, route="TCPRoute/default/shards: rule 1")


def test_the_example_keeps_tenants_with_their_shard(fleet):
    """docs/examples/shards as it stands, but for its addresses."""
    text = EXAMPLE.read_text(encoding="utf-8")
    for port, name in ((8001, b"a"), (8002, b"b"), (8003, b"c")):
        address = fleet.address()
        text = text.replace(f"127.0.0.1:{port}", address)
        fleet.backend(reply(200, name), split_address(address)[1])
    _, *documents = yaml.safe_load_all(text)
    hop = Hop(fleet, documents, start=False)
    hop.proxy["metadata"]["namespace"] = "school"
    hop.start()
    shares = collections.Counter(homes(hop.address, host="courses").values())
    assert set(shares) == {"a", "b", "c"} and shares["c"] > len(TENANTS) // 3
    assert ask(hop.address, host="courses") == 400


@pytest.mark.parametrize("key, requests", [
    ([{"type": "Path"}], [("/a", ""), ("/b", ""), ("/c", ""), ("/d", ""), ("/e", ""), ("/f", ""), ("/g", "")]),
    ([{"type": "Cookie", "name": "t"}], [("/", f"Cookie: t={number}\r\n") for number in range(7)]),
    ([{"type": "Query", "name": "t"}, {"type": "Method"}], [(f"/?t={number}", "") for number in range(7)]),
])
def test_any_part_of_a_request_can_be_the_key(fleet, key, requests):
    hop = site(fleet, ["a", "b"], select(key=key), services=shards(fleet, "a", "b"))
    found = collections.defaultdict(set)
    for _ in range(3):
        for target, fields in requests:
            found[target, fields].add(exchange(hop.address, f"GET {target} HTTP/1.1\r\nHost: front\r\n{fields}\r\n").body)
    assert all(len(bodies) == 1 for bodies in found.values()) and len(set.union(*found.values())) == 2
