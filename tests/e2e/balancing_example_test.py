# presets: dev tsan release
"""docs/examples/balancing as it stands, but for its addresses: keys by header with retries to another endpoint, zones, priorities."""

import collections
from pathlib import Path

import pytest
import yaml

from support.backend import reply
from support.fleet import eventually
from support.hop import Hop
from support.wire import exchange

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "docs" / "examples" / "balancing"
TENANTS = [f"tenant-{number}" for number in range(40)]


@pytest.fixture(name="hop")
def example(fleet):
    """All of the example's endpoints but those on ports 8003 and 8004 are there; `hop.ports` says where each is."""
    ports = {f"127.0.0.1:{port}": fleet.address() for port in (8001, 8002, 8003, 8004)}
    text = (EXAMPLE / "services.yaml").read_text(encoding="utf-8")
    for written, real in ports.items():
        text = text.replace(written, real)
    for port, name in ((8001, b"first"), (8002, b"second")):
        fleet.backend(reply(200, name), int(ports[f"127.0.0.1:{port}"].split(":")[1]))
    hop = Hop(fleet, list(yaml.safe_load_all(text)), start=False, workers=1)
    proxy = yaml.safe_load((EXAMPLE / "proxy.yaml").read_text(encoding="utf-8"))
    hop.proxy["metadata"]["labels"] = proxy["metadata"]["labels"]
    hop.ports = {int(written.split(":")[1]): real for written, real in ports.items()}
    hop.start()
    return hop


def ask(hop, host, tenant=None):
    field = f"x-tenant-id: {tenant}\r\n" if tenant else ""
    return exchange(hop.address, f"GET / HTTP/1.1\r\nHost: {host}\r\n{field}\r\n")


def start_backend(fleet, hop, port, name):
    fleet.backend(reply(200, name), int(hop.ports[port].split(":")[1]))


def homes(hop):
    """Where each tenant's requests go: always to the same."""
    found = {}
    for tenant in TENANTS * 2:
        answer = ask(hop, "sessions", tenant)
        assert answer.status == 200
        assert found.setdefault(tenant, answer.body) == answer.body
    return found


def test_a_tenant_stays_where_it_is_and_retries_go_to_another(fleet, hop):
    # A third of the endpoints, with half of the weight, is not there: what was for it is tried on another one, always the same.
    without = homes(hop)
    assert set(without.values()) == {b"first", b"second"}
    assert hop.figure("outrigger_upstream_connections_failed_total") >= 1
    assert max(line["attempts"] for line in hop.logged(2 * len(TENANTS), end="ok")) == 2
    # It comes: its own tenants go to it, and no others move.
    start_backend(fleet, hop, 8003, b"third")
    eventually(lambda: b"third" in {ask(hop, "sessions", tenant).body for tenant in TENANTS}, what="the third endpoint")
    with_all = homes(hop)
    assert all(with_all[tenant] in (b"third", without[tenant]) for tenant in TENANTS)
    shares = collections.Counter(with_all.values())
    assert 10 <= shares[b"third"] <= 30 and len(shares) == 3


def test_who_has_no_tenant_is_refused(hop):
    answer = ask(hop, "sessions")
    assert answer.status == 400
    assert "TrafficPolicy/default/sessions: loadBalancer.ifMissing" in answer.header("proxy-status")
    assert hop.logged(end="bad_request")["policy"] == "TrafficPolicy/default/sessions: loadBalancer.ifMissing"


def test_our_own_zone_comes_first(hop):
    assert {ask(hop, "search").body for _ in range(30)} == {b"first"}


def test_a_standby_takes_over_and_gives_back(fleet, hop):
    start_backend(fleet, hop, 8003, b"standby")
    assert {ask(hop, "legacy").body for _ in range(10)} == {b"standby"}
    start_backend(fleet, hop, 8004, b"main")
    eventually(lambda: ask(hop, "legacy").body == b"main", what="the main site being back")
    assert {ask(hop, "legacy").body for _ in range(10)} == {b"main"}


def test_the_pages_say_who_is_where(hop):
    assert ask(hop, "search").status == 200
    services = {service["service"]: service for service in hop.page("/clusters")}
    assert services["default/sessions:80"]["load_balancer"] == "RingHash"
    first, second = services["default/search:80"]["endpoints"]
    assert (first["zone"], first["region"], first["priority"], first["requests"]) == ("eu-1a", "eu-1", 0, 1)
    assert (second["zone"], second["requests"], second["state"]) == ("eu-1b", 0, "available")
    assert [endpoint["priority"] for endpoint in services["default/legacy:80"]["endpoints"]] == [0, 1]
