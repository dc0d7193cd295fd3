# presets: dev tsan release
"""Rate limits beside an application, at a gateway and at a caller: what passes, what is said of the rest, exact over workers and reloads, and what a dry run tells."""

import json
import threading
import time
from pathlib import Path

import pytest
import yaml

from support.backend import message, reply
from support.fleet import eventually
from support.h2_peer import H2Client
from support.hop import API, Hop
from support.wire import Wire, exchange

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "docs" / "examples" / "limits" / "proxy.yaml"
MINUTE = "1m"


def limits(name, rules, target="auth", kind="Service", **spec):
    return {"apiVersion": API, "kind": "RateLimitPolicy", "metadata": {"name": name}, "spec": {"targetRefs": [{"kind": kind, "name": target}], "rules": rules, **spec}}


LOGIN = [{"name": "login", "matches": [{"method": "POST", "path": {"type": "Exact", "value": "/login"}}], "key": [{"type": "ClientAddress"}],
          "limits": [{"requests": 10, "per": MINUTE}]},
         {"name": "api", "key": [{"type": "ClientAddress"}], "limits": [{"requests": 60, "per": MINUTE}]}]
TIERS = [{"name": "plans", "key": [{"type": "Header", "name": "x-api-key"}], "tier": {"from": {"type": "Header", "name": "x-tier"}, "default": "free"},
          "tiers": [{"name": "free", "limits": [{"requests": 10, "per": "1s", "burst": 20}], "quota": {"requests": 10000, "per": "Day"}},
                    {"name": "standard", "limits": [{"requests": 100, "per": "1s", "burst": 200}], "quota": {"requests": 1000000, "per": "Day"}},
                    {"name": "premium", "limits": [{"requests": 1000, "per": "1s", "burst": 2000}]}]}]
ROLES = [{"name": "roles", "key": [{"type": "Header", "name": "x-user"}], "tier": {"from": {"type": "Header", "name": "x-role"}, "default": "anonymous"},
          "tiers": [{"name": role, "limits": [{"requests": requests, "per": MINUTE}]} for role, requests in
                    (("anonymous", 3), ("basic", 10), ("premium", 20), ("admin", 50))]}]


def beside(fleet, *policies, workers=2, script=reply(200, b"hello")):
    """A proxy beside the application of service `auth`."""
    backend = fleet.backend(script)
    return Hop(fleet, inbound={"inbound": {"forwardTo": backend.address}}, policies=policies, service="auth", outbound=False, workers=workers), backend


def ask(hop, path="/", method="GET", **fields):
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return exchange(hop.inbound["inbound"], f"{method} {path} HTTP/1.1\r\nHost: auth\r\nContent-Length: 0\r\n{lines}\r\n")


def passed(hop, times, *args, **fields):
    return sum(ask(hop, *args, **fields).status == 200 for _ in range(times))


class Clock:
    """What a limit gives back while a test runs: the virtual clock of the unit tests is exact, here a slow machine may let some more pass."""

    def __init__(self):
        self.begun = time.monotonic()

    def allows(self, count, burst, per_second):
        return burst <= count <= burst + per_second * (time.monotonic() - self.begun) + 1


def test_log_ins_and_the_rest_of_an_api(fleet):
    hop, backend = beside(fleet, limits("l", LOGIN))
    clock = Clock()
    log_ins = passed(hop, 15, "/login", "POST")
    assert clock.allows(log_ins, 10, 1 / 6)
    rest = passed(hop, 100, "/")
    assert clock.allows(log_ins + rest, 60, 1)
    assert len(backend.requests) == log_ins + rest
    refused = next(answer for answer in (ask(hop, "/login", "POST") for _ in range(60)) if answer.status == 429 and "login" in answer.header("ratelimit"))
    assert refused.status == 429 and 1 <= int(refused.header("retry-after")) <= 6
    assert refused.header("ratelimit").startswith('"login";r=0;t=') and refused.header("ratelimit-policy") == '"login";q=10;w=60'
    problem = json.loads(refused.body)
    assert problem["type"].endswith("#quota-exceeded") and problem["violated-policies"] == ["login"] and problem["detail"] == "rate_limited: 10 in 60000 ms"
    line = hop.logged(5, end="rate_limited", path="/login")[-1]
    assert line["policy"] == "RateLimitPolicy/default/l: login" and line["status"] == 429
    refusals = hop.figure("outrigger_policy_refusals_total", policy="RateLimitPolicy/default/l", mode="enforce")
    assert refusals == hop.figure("outrigger_request_ends_total", end="rate_limited") > 40


@pytest.mark.parametrize("tier, burst", [(None, 20), ("free", 20), ("standard", 200), ("no such", 20)])
def test_tiers_have_their_bursts(fleet, tier, burst):
    hop, _ = beside(fleet, limits("l", TIERS))
    fields = {"x_tier": tier} if tier else {}
    clock = Clock()
    assert clock.allows(passed(hop, burst * 2, x_api_key="a", **fields), burst, burst / 2)
    assert passed(hop, 5, x_api_key="b", **fields) == 5


def test_roles_by_header(fleet):
    hop, _ = beside(fleet, limits("l", ROLES))
    for role, count in ((None, 3), ("basic", 10), ("premium", 20), ("admin", 50)):
        clock = Clock()
        fields = {"x_role": role} if role else {}
        assert clock.allows(passed(hop, 60, x_user=str(role), **fields), count, count / 60)


@pytest.mark.parametrize("workers", [1, 2])
def test_no_more_than_the_limit_whatever_comes_at_once(fleet, workers):
    """Of 20 connections at once, each of which a worker of its own has, exactly as many pass as there are; across a reload of the documents too."""
    hop, _ = beside(fleet, limits("l", [{"name": "r", "limits": [{"requests": 500, "per": "1h"}]}]), workers=workers)
    counts = []

    def flood():
        with Wire(hop.inbound["inbound"]) as wire:
            good = 0
            for _ in range(50):
                wire.send(b"GET / HTTP/1.1\r\nHost: auth\r\n\r\n")
                good += wire.response().status == 200
            counts.append(good)

    threads = [threading.Thread(target=flood) for _ in range(20)]
    for thread in threads:
        thread.start()
    hop.documents.append(limits("more", [{"name": "s", "limits": [{"requests": 100000, "per": "1h"}]}]))
    hop.reload()
    for thread in threads:
        thread.join()
    assert sum(counts) == 500


def test_a_dry_run_refuses_nothing_and_tells(fleet):
    hop, backend = beside(fleet, limits("l", [{"name": "r", "limits": [{"requests": 2, "per": "1h"}]}], mode="DryRun"))
    assert passed(hop, 5) == 5 and len(backend.requests) == 5
    lines = hop.logged(5, end="ok")
    assert sorted(line.get("dry_run", "") for line in lines) == [""] * 2 + ["RateLimitPolicy/default/l: r: rate_limited"] * 3
    assert hop.figure("outrigger_policy_refusals_total", mode="dry_run") == 3
    hop.documents[-1]["spec"]["mode"] = "Enforce"
    hop.reload()
    assert passed(hop, 5) == 2  # what is enforced begins with a state of its own


def test_grpc_is_refused_in_trailers_only(fleet):
    hop, _ = beside(fleet, limits("l", [{"name": "r", "limits": [{"requests": 1, "per": "1h"}]}]))
    assert ask(hop).status == 200
    with H2Client(hop.inbound["inbound"]) as client:
        response = client.answer(client.request("/a/b", "auth", "POST", [("content-type", "application/grpc"), ("te", "trailers")]))
        fields = dict(response.headers)
        assert response.status == 200 and fields["grpc-status"] == "8" and fields["grpc-message"].startswith("rate_limited")
        assert 3_500_000 < int(fields["grpc-retry-pushback-ms"]) <= 3_600_000


def test_a_service_without_a_proxy_is_guarded_at_the_caller(fleet):
    hop = Hop(fleet, {"backend": [fleet.backend(reply(200)).address]}, policies=[limits("l", [{"name": "r", "limits": [{"requests": 3, "per": "1h"}]}], target="backend")])
    statuses = [exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status for _ in range(5)]
    assert statuses == [200] * 3 + [429] * 2


def by_path(connection):
    """401 for /bad, else 200."""
    while (request := connection.read_request()) is not None:
        connection.send(message(401 if request.target == "/bad" else 200, b""))


def test_what_fails_counts_alone(fleet):
    hop, _ = beside(fleet, limits("l", [{"name": "r", "key": [{"type": "ClientAddress"}], "limits": [{"requests": 3, "per": "1h"}], "charge": {"statuses": [401]}}]),
                    script=by_path)
    assert passed(hop, 10) == 10
    assert [ask(hop, "/bad").status for _ in range(3)] == [401] * 3
    eventually(lambda: ask(hop).status == 429)  # it is charged for when the response has gone


def test_the_example(fleet):
    """docs/examples/limits as it stands, but for its addresses."""
    proxy, *documents = yaml.safe_load_all(EXAMPLE.read_text(encoding="utf-8"))
    hop = Hop(fleet, documents, start=False, inbound={"inbound": {"forwardTo": fleet.backend(by_path).address}}, outbound=False, workers=proxy["spec"]["workers"])
    hop.proxy["spec"]["service"] = proxy["spec"]["service"]
    hop.start()
    clock = Clock()
    assert clock.allows(passed(hop, 15, "/login", "POST"), 10, 1 / 6)
    assert clock.allows(passed(hop, 30, "/reports", x_api_key="a"), 20, 10)
    line = hop.logged(2, policy="RateLimitPolicy/default/plans: plans")[0]
    assert line["detail"] == "tier free: 10 in 1000 ms"
    passed(hop, 10)
    assert hop.figure("outrigger_policy_refusals_total", policy="RateLimitPolicy/default/stricter", mode="dry_run") > 0
