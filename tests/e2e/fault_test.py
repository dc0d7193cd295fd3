# presets: dev release
"""Faults on purpose: a caller meets a slow or failing service that is neither."""

import re
import time
from pathlib import Path

import yaml

from support.backend import reply
from support.hop import API, Hop
from support.wire import exchange

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "faults.md"


def faults(rules, target="backend", **spec):
    return {"apiVersion": API, "kind": "FaultPolicy", "metadata": {"name": "f"}, "spec": {"targetRefs": [{"kind": "Service", "name": target}], "rules": rules, **spec}}


def ask(hop, path="/", host="backend"):
    return exchange(hop.address, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")


def test_who_is_hit_and_who_is_not(fleet):
    backend = fleet.backend(reply(200))
    hop = Hop(fleet, {"backend": [backend.address]}, policies=[faults([{"name": "down", "matches": [{"path": {"value": "/bad"}}], "abort": {"status": 418}},
                                                                       {"name": "slow", "matches": [{"path": {"value": "/slow"}}], "delay": {"fixed": "300ms"}}])])
    assert ask(hop).status == 200
    refused = ask(hop, "/bad")
    assert refused.status == 418 and "fault" in refused.header("proxy-status")
    begun = time.monotonic()
    assert ask(hop, "/slow").status == 200 and time.monotonic() - begun >= 0.3
    assert [request.target for request in backend.requests] == ["/", "/slow"]
    assert hop.logged(end="fault")["policy"] == "FaultPolicy/default/f: down"
    assert hop.logged(path="/slow")["delayed"] == "FaultPolicy/default/f: slow"
    assert hop.figure("outrigger_policy_refusals_total", rule="down") == hop.figure("outrigger_policy_delays_total", rule="slow") == 1


def test_a_dry_run_and_a_change(fleet):
    hop = Hop(fleet, {"backend": [fleet.backend(reply(200)).address]}, policies=[faults([{"name": "down", "abort": {}}], mode="DryRun")])
    assert ask(hop).status == 200
    assert hop.logged()["dry_run"] == "FaultPolicy/default/f: down: fault"
    hop.documents[-1]["spec"]["mode"] = "Enforce"
    hop.reload()
    assert ask(hop).status == 503


def test_the_page_s_example(fleet):
    policy = yaml.safe_load(re.search(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL).group(1))
    del policy["metadata"]["namespace"]
    hop = Hop(fleet, {"payments": [fleet.backend(reply(200)).address]}, policies=[policy])
    assert ask(hop, "/", "payments").status == 200
