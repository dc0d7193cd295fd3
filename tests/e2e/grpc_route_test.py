"""GRPCRoutes of services with python3-grpcio on both sides: the rules that Gateway API's conformance tests for GRPCRoute hold, under the names of those tests."""
# presets: dev

import collections
import contextlib

import grpc
import pytest

from support.fleet import eventually, take_port
from support.grpc_echo import SERVICE, GrpcClient, GrpcServer, status
from support.hop import Hop, service
from support.routes import backends, path, route
from support.wire import exchange


class World:
    """gRPC servers by name, a service `svc` whose GRPCRoute leads to them, and a client of it."""

    def __init__(self, fleet, stack, names, *rules, more=()):
        self.servers = {name: stack.enter_context(GrpcServer(take_port())) for name in names}
        services = [service(name, [server.address], protocol="GRPC") for name, server in self.servers.items()]
        self.hop = Hop(fleet, [service("svc", ["127.0.0.1:1"], protocol="GRPC"), *services], policies=[route("g", "svc", *rules, kind="GRPCRoute"), *more], workers=1)
        self.client = stack.enter_context(GrpcClient(self.hop.address, "svc"))

    def asked(self, call, *metadata):
        """Who answered a call: by how many calls each has had. None: it got UNIMPLEMENTED."""
        before = {name: len(server.calls) for name, server in self.servers.items()}
        code, _, _ = status(call, b"0", metadata=metadata)
        if code == grpc.StatusCode.UNIMPLEMENTED:
            return None
        assert code == grpc.StatusCode.OK, code
        return next(name for name, server in self.servers.items() if len(server.calls) > before[name])


@pytest.fixture
def world(fleet):
    with contextlib.ExitStack() as stack:
        yield lambda *arguments, **options: World(fleet, stack, *arguments, **options)


def call(service_name=None, method=None, **more):
    names = {name: value for name, value in (("service", service_name), ("method", method)) if value}
    return {**({"method": names} if names else {}), **more}


def metadata(*pairs):
    return {"headers": [{"name": name, "value": value} for name, value in pairs]}


def test_GRPCExactMethodMatching(world):
    there = world(["v1", "v2"], {"matches": [call(SERVICE, "Unary")], "backendRefs": backends("v1")}, {"matches": [call(SERVICE, "Up")], "backendRefs": backends("v2")})
    assert there.asked(there.client.unary) == "v1"
    assert there.client.up(iter([b"x"])) == b"1 1" and len(there.servers["v2"].calls) == 1
    code, details, _ = status(there.client.absent, b"")
    assert code == grpc.StatusCode.UNIMPLEMENTED and details.startswith("route_not_found")
    assert there.hop.logged(3)[2]["end"] == "route_not_found"


def test_GRPCRouteHeaderMatching(world):
    there = world(["v1", "v2", "v3"], {"matches": [metadata(("version", "one"))], "backendRefs": backends("v1")},
                  {"matches": [metadata(("version", "two"))], "backendRefs": backends("v2")},
                  {"matches": [metadata(("version", "two"), ("color", "orange"))], "backendRefs": backends("v1")},
                  {"matches": [metadata(("color", "blue")), metadata(("color", "green"))], "backendRefs": backends("v1")},
                  {"matches": [metadata(("color", "red")), metadata(("color", "yellow"))], "backendRefs": backends("v2")},
                  {"matches": [metadata(("twice", "first"), ("Twice", "second"))], "backendRefs": backends("v3")})
    unary = there.client.unary
    for pairs, wanted in (([("version", "one")], "v1"), ([("version", "two")], "v2"), ([("version", "two"), ("color", "orange")], "v1"), ([("color", "blue")], "v1"),
                          ([("color", "green")], "v1"), ([("color", "red")], "v2"), ([("color", "yellow")], "v2"), ([("color", "purple")], None), ([], None),
                          ([("twice", "first")], "v3"), ([("twice", "second")], None)):
        assert there.asked(unary, *pairs) == wanted, pairs


def test_MeshGRPCRouteWeight(world):
    there = world(["v1", "v2", "v3"], {"backendRefs": backends(("v1", 70), ("v2", 30), ("v3", 0))})
    found = collections.Counter(there.asked(there.client.unary) for _ in range(100))
    assert found == {"v1": 70, "v2": 30}


def test_GRPCRouteNamedRule(world):
    there = world(["v1", "v2"], {"name": "named-rule", "matches": [call(SERVICE, "Unary")], "backendRefs": backends("v1")}, {"backendRefs": backends("v2")})
    assert there.asked(there.client.unary) == "v1" and list(there.client.down(b"1")) == [b"0"]
    assert [line["route"] for line in there.hop.logged(2)] == ["GRPCRoute/default/g: named-rule", "GRPCRoute/default/g: rule 2"]


def test_services_and_methods_match_by_name_or_expression(world):
    """The longer service goes first, then the longer method."""
    there = world(["v1", "v2", "v3", "v4"], {"backendRefs": backends("v4")}, {"matches": [call(method="Down")], "backendRefs": backends("v3")},
                  {"matches": [call(SERVICE)], "backendRefs": backends("v2")}, {"matches": [{"method": {"type": "RegularExpression", "service": "test\\..*", "method": "U[mn].*"}}],
                                                                             "backendRefs": backends("v1")})
    assert there.asked(there.client.unary) == "v1"
    assert list(there.client.down(b"1")) == [b"0"] and len(there.servers["v2"].calls) == 1


def test_GRPCRoute_changes_metadata_and_mirrors(world):
    changes = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-set", "value": "set"}], "remove": ["x-gone"]}}
    answer = {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"add": [{"name": "x-added", "value": "1"}]}}
    copies = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "copies", "port": 80}}}
    there = world(["v1", "copies"], {"filters": [changes, answer, copies], "backendRefs": backends("v1")})
    response, done = there.client.unary.with_call(b"hello", metadata=(("x-gone", "1"), ("x-stays", "2")))
    assert response == b"hello" and ("x-added", "1") in done.initial_metadata()
    eventually(lambda: there.servers["copies"].calls, what="the copy")
    for name in ("v1", "copies"):
        seen, _ = there.servers[name].calls[0]
        assert seen["x-set"] == "set" and seen["x-stays"] == "2" and "x-gone" not in seen
    assert list(there.client.both(iter([b"1", b"2"]))) == [b"1", b"2"]  # copied once it has ended
    eventually(lambda: there.hop.figure("outrigger_mirrored_requests_total", result="answered") == 2, what="two copies answered")


def test_what_is_no_backend_is_an_error_of_gRPC(world):
    there = world(["v1"], {"matches": [call(SERVICE, "Unary")], "backendRefs": backends("nobody")}, {"backendRefs": backends(("v1", 0))})
    code, details, _ = status(there.client.unary, b"")
    assert code == grpc.StatusCode.INTERNAL and details.startswith("backend_invalid")
    assert status(there.client.up, iter([b""]))[0] == grpc.StatusCode.INTERNAL


def test_a_GRPCRoute_has_its_port_alone(world):
    """No HTTPRoute of the port counts beside it, and what is no gRPC finds no route there."""
    http = route("h", "svc", {"matches": [path("/")], "backendRefs": backends("v2")})
    there = world(["v1", "v2"], {"backendRefs": backends("v1")}, more=[http])
    assert there.asked(there.client.unary) == "v1"
    assert exchange(there.hop.address, "GET / HTTP/1.1\r\nHost: svc\r\n\r\n").status == 404
