# presets: dev
# seconds: 30
"""Gateway API's conformance profiles MESH-HTTP and MESH-GRPC, one test for each of theirs, by its name: a client's sidecar, two workloads behind sidecars of their own, mutual TLS between.
What they leave open, and the same rules in more detail on one proxy, is in http_route_test and grpc_route_test."""

import collections
import json

import pytest

from support.backend import message
from support.fleet import take_port
from support.grpc_echo import GrpcClient, GrpcServer
from support.hop import Hop, service
from support.pair import CALLEE, CALLER, Identity
from support.routes import backends, headers, path, queries, route, to_service
from support.test_ca import Authority
from support.wire import exchange


def workload(name):
    """Tells who it is, and the request as it arrived."""
    def script(connection):
        while (request := connection.read_request()) is not None:
            told = {"pod": name, "host": request.header("host"), "target": request.target, "headers": {key.lower(): value for key, value in request.headers}}
            connection.send(message(200, json.dumps(told).encode()))
    return script


class Mesh:
    """Services `echo` (of both workloads), `echo-v1` and `echo-v2`, on ports 80 and 8080, all by mutual TLS; requests go to `address`, the client's sidecar."""

    def __init__(self, fleet, *routes, protocol="HTTP", applications=None, namespace="default"):
        authority = Authority()
        callee, caller = Identity(fleet, "callee", CALLEE, authority), Identity(fleet, "caller", CALLER, authority)
        applications = applications or {name: fleet.backend(workload(name)).address for name in ("echo-v1", "echo-v2")}
        self.pods = {name: Hop(fleet, name=name, inbound={"in": {"forwardTo": address, "mtls": {"mode": "Strict"}, **({"appProtocol": "HTTP2"} if protocol == "GRPC" else {})}},
                               outbound=False, identity=callee.spec) for name, address in applications.items()}
        places = {name: pod.inbound["in"] for name, pod in self.pods.items()}
        services = [self.service(name, [places[one] for one in pods], protocol)
                    for name, pods in (("echo", list(places)), ("echo-v1", ["echo-v1"]), ("echo-v2", ["echo-v2"]))]
        self.client = Hop(fleet, services, name="client", policies=routes, identity=caller.spec, workers=1, start=False)
        self.client.proxy["metadata"]["namespace"] = namespace
        self.client.start()
        self.address = self.client.address

    @staticmethod
    def service(name, endpoints, protocol):
        document = service(name, endpoints, protocol, tls={"mode": "Mesh"}, identities=[CALLEE], exportTo=["Mesh"], hosts=[name, f"{name}.default"])
        document["spec"]["ports"] = [{"name": "http", "port": 80, "protocol": protocol}, {"name": "http-alt", "port": 8080, "protocol": protocol}]
        return document

    def ask(self, target="/", host="echo", method="GET", **fields):
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
        return exchange(self.address, f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n")

    def told(self, *arguments, **fields):
        """What the workload that was reached tells."""
        response = self.ask(*arguments, **fields)
        assert response.status == 200, response
        return json.loads(response.body)

    def pod(self, *arguments, **fields):
        return self.told(*arguments, **fields)["pod"]

    def shares(self, count, **fields):
        return collections.Counter(self.pod(**fields) for _ in range(count))


def test_MeshBasic(fleet):
    """With no route a service is all its workloads, over mutual TLS."""
    mesh = Mesh(fleet)
    assert {mesh.pod() for _ in range(20)} == {"echo-v1", "echo-v2"} and mesh.pod(host="echo-v1") == "echo-v1"
    assert all(pod.logged(1, end="ok", peer_identity=CALLER) for pod in mesh.pods.values())


def test_MeshFrontend(fleet):
    """A route hangs on the name of its Service: what asks for another Service with the same workloads is not touched."""
    mesh = Mesh(fleet, route("r", "echo-v1", {"filters": [changes(set=[("x-header-set", "set")])], "backendRefs": backends("echo-v1")}))
    assert mesh.told(host="echo-v1")["headers"]["x-header-set"] == "set"
    assert all("x-header-set" not in mesh.told(host="echo")["headers"] for _ in range(6))


def test_MeshFrontendHostname(fleet):
    """`hostnames` mean nothing on a route of a Service; the field Host can be matched."""
    mesh = Mesh(fleet, route("r", "echo", {"matches": [headers(host="echo.default")], "backendRefs": backends("echo-v1")}, {"backendRefs": backends("echo-v2")}, hostnames=["no.example"]))
    assert (mesh.pod(host="echo.default"), mesh.pod(host="echo")) == ("echo-v1", "echo-v2")


@pytest.mark.parametrize("which", [{"port": 80}, {"sectionName": "http"}], ids=["port", "sectionName"])
def test_MeshPorts(fleet, which):
    """HTTPRouteParentRefPort: a route for one port of a Service leaves the others as they were."""
    mesh = Mesh(fleet, route("r", to_service("echo-v1", **which), {"filters": [changes(set=[("x-port", "80")])], "backendRefs": backends("echo-v1")}))
    assert mesh.told(host="echo-v1")["headers"]["x-port"] == "80" and "x-port" not in mesh.told(host="echo-v1:8080")["headers"]


def test_MeshClusterIPMatching(fleet):
    """A client that asks by the Service's address gets its route; one that asks for a workload's own address does not."""
    address = "10.96.0.10"
    mesh = Mesh(fleet, route("r", "echo", {"backendRefs": backends("echo-v2")}))
    mesh.client.documents[1]["spec"]["hosts"].append(address)
    mesh.client.reload()
    assert mesh.shares(6, host=address) == {"echo-v2": 6}
    assert mesh.pod(host="echo-v1") == "echo-v1"


def test_MeshTrafficSplit(fleet):
    mesh = Mesh(fleet, route("r", "echo", {"matches": [path("/v1")], "backendRefs": backends("echo-v1")}, {"matches": [path("/v2")], "backendRefs": backends("echo-v2")},
                             {"backendRefs": backends(("echo-v1", 1), ("echo-v2", 1))}))
    assert mesh.pod("/v1") == "echo-v1" and mesh.pod("/v2/x") == "echo-v2"
    assert mesh.shares(20) == {"echo-v1": 10, "echo-v2": 10}


def test_MeshHTTPRouteWeight(fleet):
    mesh = Mesh(fleet, route("r", "echo", {"backendRefs": backends(("echo-v1", 70), ("echo-v2", 30))}))
    assert mesh.shares(100) == {"echo-v1": 70, "echo-v2": 30}


@pytest.mark.parametrize("namespace, wanted", [("school", "consumer"), ("default", "producer"), ("third", "producer")])
def test_MeshConsumerRoute(fleet, namespace, wanted):
    """A route in the caller's namespace takes the place of the one beside the Service, for this namespace alone."""
    def marks(name, **where):
        return route(name, to_service("echo-v1", "default"), {"filters": [changes(set=[("x-route", name)])], "backendRefs": [{"name": "echo-v1", "namespace": "default", "port": 80}]}, **where)
    mesh = Mesh(fleet, marks("producer"), marks("consumer", namespace="school"), namespace=namespace)
    assert mesh.told(host="echo-v1.default")["headers"]["x-route"] == wanted


def test_MeshHTTPRouteSimpleSameNamespace(fleet):
    mesh = Mesh(fleet, route("r", "echo", {"backendRefs": backends("echo-v1")}))
    assert mesh.shares(6) == {"echo-v1": 6}


def test_MeshHTTPRouteMatching(fleet):
    mesh = Mesh(fleet, route("r", "echo", {"matches": [path("/"), headers(version="one")], "backendRefs": backends("echo-v1")},
                             {"matches": [path("/v2"), headers(version="two")], "backendRefs": backends("echo-v2")}))
    for target, fields, wanted in (("/", {}, "echo-v1"), ("/example", {}, "echo-v1"), ("/", {"version": "one"}, "echo-v1"), ("/v2", {}, "echo-v2"), ("/v2/example", {}, "echo-v2"),
                                   ("/", {"version": "two"}, "echo-v2"), ("/v2/", {}, "echo-v2"), ("/v2example", {}, "echo-v1"), ("/foo/v2/example", {}, "echo-v1")):
        assert mesh.pod(target, **fields) == wanted, (target, fields)


def test_MeshHTTPRouteQueryParamMatching(fleet):
    mesh = Mesh(fleet, route("r", "echo", {"matches": [queries(animal="whale")], "backendRefs": backends("echo-v1")},
                             {"matches": [queries(animal="dolphin"), queries(animal="dolphin", color="blue")], "backendRefs": backends("echo-v2")}))
    for target, wanted in (("/?animal=whale", "echo-v1"), ("/?animal=dolphin", "echo-v2"), ("/?animal=dolphin&color=blue", "echo-v2"), ("/?animal=whale&otherparam=irrelevant", "echo-v1")):
        assert mesh.pod(target) == wanted, target
    assert [mesh.ask(target).status for target in ("/", "/?animal=dog", "/?animal=whaleshark", "/?Animal=whale")] == [404] * 4


def changes(**operations):
    """A RequestHeaderModifier; set and add take pairs."""
    return {"type": "RequestHeaderModifier", "requestHeaderModifier": {
        name: [{"name": key, "value": value} for key, value in what] if name != "remove" else what for name, what in operations.items()}}


def assert_changed(mesh, target="/"):
    seen = mesh.told(target, x_header_set="some-other-value", x_header_add="some-other-value", x_header_remove="val")["headers"]
    assert seen["x-header-set"] == "set-overwrites-values" and "x-header-remove" not in seen
    assert seen["x-header-add"] in ("add-appends-values", "some-other-value,add-appends-values")


EACH_CHANGE = changes(set=[("X-Header-Set", "set-overwrites-values")], add=[("X-Header-Add", "add-appends-values")], remove=["X-Header-Remove"])


def test_MeshHTTPRouteRequestHeaderModifier(fleet):
    assert_changed(Mesh(fleet, route("r", "echo", {"filters": [EACH_CHANGE], "backendRefs": backends("echo-v1")})))


def test_MeshHTTPRouteBackendRequestHeaderModification(fleet):
    """The same on one backend: the other gets the request as it came."""
    both = [{"name": "echo-v1", "port": 80, "filters": [EACH_CHANGE]}, {"name": "echo-v2", "port": 80}]
    mesh = Mesh(fleet, route("r", "echo", {"matches": [path("/one")], "backendRefs": both[:1]}, {"matches": [path("/both")], "backendRefs": both}))
    assert_changed(mesh, "/one")
    for _ in range(4):
        told = mesh.told("/both", x_header_remove="val")
        assert ("x-header-remove" in told["headers"]) == (told["pod"] == "echo-v2")


def test_HTTPRouteResponseHeaderModification(fleet):
    change = {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "Content-Type", "value": "text/example"}], "add": [{"name": "X-Added", "value": "yes"}]}}
    answer = Mesh(fleet, route("r", "echo", {"filters": [change], "backendRefs": backends("echo-v1")})).ask()
    assert (answer.header("content-type"), answer.header("x-added")) == ("text/example", "yes")


@pytest.mark.parametrize("change, asked, wanted", [
    ({"type": "ReplacePrefixMatch", "replacePrefixMatch": "/one"}, "/prefix/one/two", "/one/one/two"), ({"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}, "/prefix/three", "/three"),
    ({"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}, "/prefix", "/"), ({"type": "ReplaceFullPath", "replaceFullPath": "/one"}, "/prefix/two", "/one")])
def test_MeshHTTPRouteRewritePath(fleet, change, asked, wanted):
    mesh = Mesh(fleet, route("r", "echo", {"matches": [path("/prefix")], "filters": [{"type": "URLRewrite", "urlRewrite": {"path": change}}], "backendRefs": backends("echo-v1")}))
    assert mesh.told(asked)["target"] == wanted


def redirected(fleet, redirect, target="/"):
    """(status, Location) of the answer of a rule with this redirect."""
    answer = Mesh(fleet, route("r", "echo", {"filters": [{"type": "RequestRedirect", "requestRedirect": redirect}], "matches": [path(target)]})).ask(f"{target}?q=1")
    return answer.status, answer.header("location")


@pytest.mark.parametrize("status", [None, 301, 302])
def test_MeshHTTPRouteRedirectHostAndStatus(fleet, status):
    assert redirected(fleet, {"hostname": "example.org", **({"statusCode": status} if status else {})}) == (status or 302, "http://example.org/?q=1")


@pytest.mark.parametrize("change, location", [({"type": "ReplacePrefixMatch", "replacePrefixMatch": "/replaced"}, "http://echo/replaced?q=1"),
                                              ({"type": "ReplaceFullPath", "replaceFullPath": "/full/path"}, "http://echo/full/path?q=1")])
def test_MeshHTTPRouteRedirectPath(fleet, change, location):
    assert redirected(fleet, {"path": change}, "/original") == (302, location)


@pytest.mark.parametrize("redirect, location", [({"port": 8083}, "http://echo:8083/?q=1"), ({"port": 80}, "http://echo/?q=1"), ({"port": 8083, "hostname": "example.org"}, "http://example.org:8083/?q=1")])
def test_MeshHTTPRouteRedirectPort(fleet, redirect, location):
    assert redirected(fleet, redirect) == (302, location)


@pytest.mark.parametrize("redirect, location", [({"scheme": "https"}, "https://echo/?q=1"), ({"scheme": "https", "port": 443}, "https://echo/?q=1"),
                                                ({"scheme": "https", "port": 8443}, "https://echo:8443/?q=1"), ({"scheme": "https", "hostname": "example.org"}, "https://example.org/?q=1")])
def test_MeshHTTPRouteSchemeRedirect(fleet, redirect, location):
    assert redirected(fleet, redirect) == (302, location)


def test_MeshHTTPRoute303Redirect(fleet):
    assert redirected(fleet, {"statusCode": 303, "hostname": "example.org"}) == (303, "http://example.org/?q=1")


def test_MeshHTTPRoute307Redirect(fleet):
    assert redirected(fleet, {"statusCode": 307, "hostname": "example.org"}) == (307, "http://example.org/?q=1")


def test_MeshHTTPRoute308Redirect(fleet):
    assert redirected(fleet, {"statusCode": 308, "hostname": "example.org"}) == (308, "http://example.org/?q=1")


def test_MeshHTTPRouteNamedRule(fleet):
    mesh = Mesh(fleet, route("r", "echo", {"name": "named-rule", "matches": [path("/named")], "backendRefs": backends("echo-v1")}, {"matches": [path("/unnamed")], "backendRefs": backends("echo-v2")}))
    assert (mesh.pod("/named"), mesh.pod("/unnamed")) == ("echo-v1", "echo-v2")
    assert mesh.client.logged(1, path="/named")["route"] == "HTTPRoute/default/r: named-rule"


@pytest.fixture
def grpc_mesh(fleet):
    """(servers by name, a mesh of them with these routes)"""
    servers = {name: GrpcServer(take_port()) for name in ("echo-v1", "echo-v2")}
    with servers["echo-v1"], servers["echo-v2"]:
        yield servers, lambda *routes: Mesh(fleet, *routes, protocol="GRPC", applications={name: server.address for name, server in servers.items()})


def test_MeshGRPCRouteWeight(grpc_mesh):
    servers, made = grpc_mesh
    mesh = made(route("g", "echo", {"backendRefs": backends(("echo-v1", 70), ("echo-v2", 30))}, kind="GRPCRoute"))
    with GrpcClient(mesh.address, "echo") as client:
        for _ in range(100):
            assert client.unary(b"x", timeout=60) == b"x"
    assert {name: len(server.calls) for name, server in servers.items()} == {"echo-v1": 70, "echo-v2": 30}


def test_GRPCRouteRequestHeaderModifier(grpc_mesh):
    servers, made = grpc_mesh
    mesh = made(route("g", "echo", {"filters": [changes(set=[("x-header-set", "set")], remove=["x-header-remove"])], "backendRefs": backends("echo-v1")}, kind="GRPCRoute"))
    with GrpcClient(mesh.address, "echo") as client:
        assert client.unary(b"x", timeout=60, metadata=(("x-header-set", "other"), ("x-header-remove", "val"))) == b"x"
    (metadata, _), = servers["echo-v1"].calls
    assert metadata["x-header-set"] == "set" and "x-header-remove" not in metadata
