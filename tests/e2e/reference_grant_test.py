"""ReferenceGrant: references across namespaces of a gateway's routes and of its certificates hold where a grant says so, and as long as it does. The mesh's own need none."""
# presets: dev

import ssl
from pathlib import Path

import pytest
import yaml

from support.backend import reply
from support.edge import Edge, https
from support.fleet import eventually, split_address
from support.hop import Hop, service
from support.opaque import first_word, greeting, tls_client
from support.routes import backends, grant, route, tcp_route, to_gateway, to_service
from support.test_ca import Authority
from support.wire import exchange

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "docs" / "examples" / "grant" / "grant.yaml"


def far(document):
    document["metadata"]["namespace"] = "far"
    return document


def services(fleet):
    return [service("near", [fleet.backend(reply(200, b"near")).address]), far(service("v1", [fleet.backend(reply(200, b"far")).address]))]


def across(*refs):
    """backendRefs to namespace `far`."""
    return [{**ref, "namespace": "far"} for ref in backends(*refs)]


def answer(address):
    response = exchange(address, "GET / HTTP/1.1\r\nHost: front\r\n\r\n")
    return response.body.decode() if response.status == 200 else response.status


def to_far(name="r", **more):
    return route(name, [to_gateway()], {"backendRefs": [*across("v1")], **more})


def test_without_a_grant_the_share_gets_500(fleet):
    edge = Edge(fleet, services(fleet), [{}], route("r", [to_gateway()], {"backendRefs": [*across("v1"), *backends("near")]}), workers=1)
    assert sorted(str(answer(edge.address)) for _ in range(6)) == ["500"] * 3 + ["near"] * 3
    line = edge.hop.logged(3, end="backend_invalid")[0]
    assert (line["route"], line["detail"]) == ("HTTPRoute/default/r: rule 1", "far/v1: RefNotPermitted")
    assert "no ReferenceGrant of namespace far lets HTTPRoutes of namespace default refer to Service v1 (RefNotPermitted)" in edge.hop.process.output()


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
@pytest.mark.parametrize("name", [None, "v1"])
def test_a_grant_permits(fleet, version, name):
    permit = grant("far", ("HTTPRoute", "default"), ("Service", name), version=version)
    assert answer(Edge(fleet, services(fleet), [{}], to_far(), permit).address) == "far"


@pytest.mark.parametrize("permit", [
    grant("far", ("GRPCRoute", "default"), ("Service", None)), grant("far", ("HTTPRoute", "other"), ("Service", None)), grant("far", ("HTTPRoute", "default"), ("Service", "v2")),
    grant("far", ("HTTPRoute", "default"), ("Secret", "v1")), grant("default", ("HTTPRoute", "default"), ("Service", None)),
    grant("far", ("HTTPRoute", "default"), ("ServiceEntry", None)), grant("far", ("Gateway", "default"), ("Service", None)),
], ids=["another kind of route", "another namespace", "another name", "another kind", "in the route's own namespace", "as another kind", "the Gateway"])
def test_a_grant_for_something_else_does_not(fleet, permit):
    assert answer(Edge(fleet, services(fleet), [{}], to_far(), permit).address) == 500


def test_a_grant_that_goes_takes_its_permission_along(fleet):
    permit = grant("far", ("HTTPRoute", "default"), ("Service", None))
    edge = Edge(fleet, services(fleet), [{}], to_far(), permit)
    assert answer(edge.address) == "far"
    edge.hop.reload([document for document in edge.hop.documents if document["kind"] != "ReferenceGrant"])
    assert answer(edge.address) == 500
    edge.hop.reload([*edge.hop.documents, permit])
    assert answer(edge.address) == "far"


def test_the_mesh_needs_none(fleet):
    """One route for a Service and for a Gateway: at the Gateway alone it needs a grant."""
    edge = Edge(fleet, [*services(fleet), service("front", [fleet.address()])], [{}], route("r", [to_gateway(), to_service("front")], {"backendRefs": across("v1")}))
    outbound = edge.hop.add_listener("outbound")
    edge.hop.reload()
    assert (answer(edge.address), answer(outbound)) == (500, "far")


def test_connections_are_closed(fleet):
    entry = far(service("db", [fleet.backend(greeting(b"5.7")).address], protocol="TCP", port=3306))
    documents = tcp_route("r", [to_gateway()], *[{**ref, "namespace": "far"} for ref in backends("db", port=3306)])
    plain = {"name": "tcp", "protocol": "TCP"}
    edge = Edge(fleet, [entry], [plain], documents)
    assert first_word(edge.address, 3) == "reset"
    assert edge.hop.logged(end="backend_invalid")["detail"] == "far/db: RefNotPermitted"
    edge.hop.reload([*edge.hop.documents, grant("far", ("TCPRoute", "default"), ("Service", "db"))])
    assert first_word(edge.address, 3) == "5.7"


def test_mirrors_get_no_copies(fleet):
    copies = fleet.backend(reply(200, b"copy"))
    mirrored = {"type": "RequestMirror", "requestMirror": {"backendRef": across("m")[0]}}
    entries = [*services(fleet), far(service("m", [copies.address]))]
    edge = Edge(fleet, entries, [{}], route("r", [to_gateway()], {"filters": [mirrored], "backendRefs": backends("near")}))
    assert answer(edge.address) == "near" and edge.hop.logged(end="ok")
    edge.hop.reload([*edge.hop.documents, grant("far", ("HTTPRoute", "default"), ("Service", "m"))])
    assert answer(edge.address) == "near"
    assert eventually(lambda: copies.requests) and len(copies.requests) == 1


def test_the_example_permits_one_service(fleet):
    """docs/examples/grant as it stands, but for its addresses; without its grant nothing is left of it."""
    port = split_address(fleet.address())[1]
    backend = fleet.backend(reply(200, b"courses"))
    text = EXAMPLE.read_text(encoding="utf-8").replace("0.0.0.0:8080", f"127.0.0.1:{port}").replace("port: 8080", f"port: {port}").replace("127.0.0.1:8001", backend.address)
    proxy, *documents = yaml.safe_load_all(text)
    hop = Hop(fleet, documents, start=False, outbound=False)
    hop.proxy["metadata"]["namespace"] = "edge"
    hop.proxy["spec"]["listeners"] = proxy["spec"]["listeners"]
    hop.start()
    assert answer(f"127.0.0.1:{port}") == "courses"
    hop.reload([document for document in hop.documents if document["kind"] != "ReferenceGrant"])
    assert answer(f"127.0.0.1:{port}") == 500


# --- certificates ---

class Site:
    """A gateway with HTTPS for a.example by a Secret of its own namespace and b.example by one of namespace `far`."""

    def __init__(self, fleet, *documents):
        authority = Authority()
        certificates, self.shown = [], {}
        for name, namespace in (("a", "default"), ("b", "far")):
            svid = authority.issue(names=[f"{name}.example"], subject=name, extended=("server",))
            certificate, key = svid.write(fleet.folder / "edge-certs", name)
            certificates.append({"name": name, "namespace": namespace, "certificate": str(certificate), "privateKey": str(key)})
            self.shown[name] = ssl.PEM_cert_to_DER_cert(svid.certificate_pem.decode())
        listeners = [https("a", "a.example"), https("b", "b.example")]
        listeners[1]["tls"]["certificateRefs"][0]["namespace"] = "far"
        self.edge = Edge(fleet, services(fleet), listeners, *documents, socket={"certificates": certificates})

    def certificate(self, name):
        """`alert`: the handshake is refused."""
        try:
            with tls_client(self.edge.address, f"{name}.example") as client:
                return client.getpeercert(binary_form=True)
        except ssl.SSLError:
            return "alert"


def test_certificates_of_another_namespace_need_a_grant(fleet):
    permit = grant("far", ("Gateway", "default"), ("Secret", "b"))
    site = Site(fleet)
    assert (site.certificate("a"), site.certificate("b")) == (site.shown["a"], "alert")
    assert "no ReferenceGrant of namespace far lets Gateways of namespace default refer to Secret b (RefNotPermitted)" in site.edge.hop.process.output()
    documents = site.edge.hop.documents
    site.edge.hop.reload([*documents, permit])
    assert eventually(lambda: site.certificate("b") == site.shown["b"])
    site.edge.hop.reload(documents)
    assert eventually(lambda: site.certificate("b") == "alert")
    assert site.certificate("a") == site.shown["a"]


def test_a_certificate_that_is_permitted_no_more_is_not_shown_whatever_comes_of_others(fleet):
    site = Site(fleet, grant("far", ("Gateway", "default"), ("Secret", "b")))
    hop = site.edge.hop
    assert (site.certificate("a"), site.certificate("b")) == (site.shown["a"], site.shown["b"])
    (fleet.folder / "edge-certs" / "a.key").write_text("no key")
    status, answer = hop.post("/reload")
    assert status == 422 and answer["gateway_errors"][0].startswith("edge: a: ")
    assert (site.certificate("a"), site.certificate("b")) == (site.shown["a"], site.shown["b"]), "the last good ones are shown"
    hop.write([document for document in hop.documents if document["kind"] != "ReferenceGrant"])
    status, answer = hop.post("/reload")
    assert status == 422 and answer["errors"] == [] and answer["gateway_errors"][0].startswith("edge: a: ")
    assert (site.certificate("a"), site.certificate("b")) == (site.shown["a"], "alert")


def test_a_certificate_that_is_new_and_of_no_use_keeps_no_other_from_being_shown(fleet):
    site = Site(fleet)
    hop = site.edge.hop
    (fleet.folder / "edge-certs" / "b.key").write_text("no key")
    hop.write([*hop.documents, grant("far", ("Gateway", "default"), ("Secret", "b"))])
    status, answer = hop.post("/reload")
    assert status == 422 and answer["gateway_errors"][0].startswith("edge: b: ")
    assert (site.certificate("a"), site.certificate("b")) == (site.shown["a"], "alert")
    rows = {row["id"]: row for row in hop.page("/certs")["certificates"]}
    assert "serial" in rows["a"] and "serial" not in rows["b"]
