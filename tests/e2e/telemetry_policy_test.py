# presets: dev tsan release
"""TelemetryPolicy and MeshConfig: which requests are logged, by what they are for; also where they get no destination, and as documents change."""

from support.backend import reply
from support.edge import Edge
from support.fleet import eventually
from support.hop import API, Hop, service
from support.routes import path, route, to_gateway
from support.wire import Wire, exchange


def telemetry(name, target, kind="Service", **groups):
    return {"apiVersion": API, "kind": "TelemetryPolicy", "metadata": {"name": name}, "spec": {"targetRefs": [{"kind": kind, "name": target}], **groups}}


def mesh(**spec):
    return {"apiVersion": API, "kind": "MeshConfig", "metadata": {"name": "default"}, "spec": spec}


def ask(hop, host, path="/"):
    return exchange(hop.address, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").status


def outbound(fleet, *policies, **log):
    services = [service(name, [fleet.backend(reply(200)).address]) for name in ("a", "b", "c")]
    hop = Hop(fleet, services, policies=policies, start=False, workers=1)
    hop.proxy["spec"]["telemetry"]["accessLog"].update(log)
    hop.start()
    return hop


def test_the_most_specific_policy_says_what_is_logged(fleet):
    hop = outbound(fleet, telemetry("all", "default", "Namespace", accessLog={"filter": "All"}), telemetry("a", "a", accessLog={"disabled": True}),
                   telemetry("b", "b", traces={"sampling": {"numerator": 1, "denominator": 2}}), filter="None")
    assert [ask(hop, host) for host in ("a", "b", "c", "nobody")] == [200, 200, 200, 502]
    hop.logged(end="host_unknown")  # of what has no destination the rules of the listener: those of the namespace
    assert [line["authority"] for line in hop.log()] == ["b", "c", "nobody"]


def test_policies_change_with_the_documents(fleet):
    hop = outbound(fleet, filter="Errors")
    assert ask(hop, "a", "/1") == 200
    policy = telemetry("a", "a", accessLog={"filter": "All"})
    hop.documents.append(policy)
    hop.reload()
    assert ask(hop, "a", "/2") == 200
    hop.logged(path="/2")
    policy["spec"]["accessLog"] = {"filter": "Errors"}
    hop.reload()
    assert (ask(hop, "a", "/3"), ask(hop, "b", "/4")) == (200, 200)
    eventually(lambda: hop.figure("outrigger_streams_active") == 0)
    assert [line["path"] for line in hop.log()] == ["/2"]


def test_an_application_s_policy_is_for_what_it_gets_and_what_it_sends(fleet):
    hop = Hop(fleet, [service("a", [fleet.backend(reply(200)).address])], inbound={"in": {"forwardTo": fleet.backend(reply(200)).address}}, start=False, workers=1, service="app",
              policies=[telemetry("app", "app", accessLog={"filter": "All"})])
    hop.proxy["spec"]["telemetry"]["accessLog"]["filter"] = "None"
    hop.start()
    assert exchange(hop.inbound["in"], "GET /in HTTP/1.1\r\nHost: app\r\n\r\n").status == 200
    assert ask(hop, "a", "/out") == 200
    hop.logged(path="/out")
    assert [(line["path"], line["direction"]) for line in hop.log()] == [("/in", "inbound"), ("/out", "outbound")]


def test_at_a_gateway_a_rule_goes_before_its_route_and_its_gateway(fleet):
    backends = [service("app", [fleet.backend(reply(200)).address])]
    rules = [{"name": name, "matches": [path(f"/{name}")], "backendRefs": [{"name": "app", "port": 80}]} for name in ("share", "all", "none")]
    of_rule = telemetry("share", "r", "HTTPRoute", accessLog={"sampling": {"numerator": 1, "denominator": 2}, "filter": "All"})
    of_rule["spec"]["targetRefs"][0] |= {"group": "gateway.networking.k8s.io", "sectionName": "share"}
    of_route = telemetry("route", "r", "HTTPRoute", accessLog={"filter": "All"})
    of_route["spec"]["targetRefs"][0]["group"] = "gateway.networking.k8s.io"
    of_gateway = telemetry("gateway", "edge", "Gateway", accessLog={"filter": "None"})
    of_gateway["spec"]["targetRefs"][0]["group"] = "gateway.networking.k8s.io"
    edge = Edge(fleet, backends, [{}], route("r", [to_gateway()], *rules[:2]), route("other", [to_gateway()], rules[2]), of_rule, of_route, of_gateway, workers=1)
    with Wire(edge.address) as wire:
        for number in range(100):
            for name in ("share", "all", "none"):
                wire.send(f"GET /{name}/{number} HTTP/1.1\r\nHost: app\r\nX-Request-Id: {number}\r\n\r\n")
                assert wire.response().status == 200
    edge.hop.logged(path="/all/99")
    kinds = [line["path"].split("/")[1] for line in edge.hop.log()]
    assert kinds.count("all") == 100 and kinds.count("none") == 0 and 20 < kinds.count("share") < 80


def test_the_mesh_s_blocks_hold_where_the_proxy_has_none(fleet):
    hop = Hop(fleet, [service("a", [fleet.backend(reply(200)).address])], start=False, workers=1)
    hop.access_log = fleet.folder / "hop" / "mesh.log"
    del hop.proxy["spec"]["telemetry"]
    hop.documents.append(mesh(telemetry={"accessLog": {"path": str(hop.access_log), "filter": "All"}}))
    hop.start()
    assert ask(hop, "a", "/1") == 200
    hop.logged(path="/1")
    own = fleet.folder / "hop" / "own.log"
    hop.proxy["spec"]["telemetry"] = {"accessLog": {"path": str(own), "filter": "All"}}
    hop.reload()
    assert ask(hop, "a", "/2") == 200
    eventually(lambda: own.exists() and '"path":"/2"' in own.read_text())
    assert [line["path"] for line in hop.log()] == ["/1"]


def test_a_share_of_nothing_is_told_in_each_load(fleet):
    """Also where the policy itself was not read again."""
    hop = outbound(fleet, telemetry("a", "a", accessLog={"sampling": {"numerator": 1, "denominator": 2}}), filter="Errors")
    hop.proxy["spec"]["telemetry"]["accessLog"]["headers"] = ["x-tier"]
    hop.reload()
    eventually(lambda: hop.process.output().count("accessLog.sampling: does nothing: it is a share") == 2)
    assert ask(hop, "a") == 200
