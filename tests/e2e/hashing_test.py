# presets: dev tsan release
"""Tenants on shards by consistent hashing, as a platform team sets it up: 150 virtual nodes on a tenant's header, a fifth shard added to four, and a bound on how full one gets."""

import collections
import threading

import pytest

from support.backend import held, message, reply
from support.fleet import eventually
from support.hop import Hop, service, traffic
from support.wire import Wire

KEY = [{"type": "Header", "name": "x-tenant-id"}]
TENANTS = [f"tenant-{number}" for number in range(2000)]


def hashed(**more):
    return traffic("backend", loadBalancer={"type": "RingHash", "key": KEY, "virtualNodes": 150, "slowStart": "0s", **more})


def placement(hop):
    """Which shard each tenant is answered by."""
    with Wire(hop.address) as wire:
        return {tenant: wire.get(headers=(f"X-Tenant-Id: {tenant}",)).response().body for tenant in TENANTS}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_fifth_shard_takes_its_part_and_moves_nobody_else(fleet, workers):
    shards = [fleet.backend(reply(200, b"shard-%d" % number)).address for number in range(5)]
    hop = Hop(fleet, {"backend": shards[:4]}, policies=[hashed()], workers=workers)
    before = placement(hop)
    assert placement(hop) == before, "a tenant stays"
    hop.reload([hop.proxy, service("backend", shards), hashed()])
    after = placement(hop)
    moved = [tenant for tenant in TENANTS if before[tenant] != after[tenant]]
    assert {after[tenant] for tenant in moved} == {b"shard-4"}, "nobody moves between the others"
    assert len(TENANTS) * 0.1 < len(moved) <= len(TENANTS) * 0.25
    assert min(collections.Counter(after.values()).values()) > len(TENANTS) * 0.1, "each has its part"
    hop.reload([hop.proxy, service("backend", shards[:4]), hashed()])
    assert placement(hop) == before, "and they come back"


def test_no_shard_holds_more_than_the_bound_while_one_tenant_floods(fleet):
    event = threading.Event()
    shards = [fleet.backend(held(event, message(200, b"x"))) for _ in range(4)]
    hop = Hop(fleet, {"backend": [shard.address for shard in shards]}, policies=[hashed(boundedLoadPercent=125)], workers=1)
    waiting = []
    for count in range(1, 41):
        waiting.append(Wire(hop.address).get(headers=("X-Tenant-Id: noisy",)))
        eventually(lambda: sum(len(shard.requests) for shard in shards) == count)
        most = max(len(shard.requests) for shard in shards)
        assert most <= -(-count * 125 // 400), f"of {count} requests in flight on 4 shards"
    event.set()
    for wire in waiting:
        assert wire.response().status == 200
        wire.close()
