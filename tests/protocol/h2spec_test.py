"""h2spec, strict, against a hop over h2c and against a gateway over TLS: all but a few of its cases (RFC 7540 and 7541) pass. Skipped where `./dev setup --peers` was not run."""

import json
import xml.etree.ElementTree

import pytest

from support.backend import reply
from support.edge import Edge, https
from support.fleet import PEERS, split_address
from support.hop import Hop, service
from support.routes import backends, route, to_gateway
from support.test_ca import Authority

H2SPEC = PEERS / "h2spec"
PASSED_MIN = 140
needs_h2spec = pytest.mark.skipif(not H2SPEC.exists(), reason=f"h2spec is not there: ./dev setup --peers builds it ({H2SPEC})")


def passes(fleet, address, *options):
    host, port = split_address(address)
    report = fleet.folder / "report.xml"
    done = fleet.run([H2SPEC, "-h", host, "-p", port, "-S", "-o", "5", "-j", report, *options], timeout=240)
    suites = xml.etree.ElementTree.parse(report).getroot()
    cases = [case for suite in suites.iter("testsuite") for case in suite.iter("testcase")]
    failed = [f"{case.get('package')} {case.get('classname')}" for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = [case for case in cases if case.find("skipped") is not None]
    passed = len(cases) - len(failed) - len(skipped)
    print(done.stdout[-3000:])
    assert passed >= PASSED_MIN, json.dumps(failed, indent=1)


def page(fleet):
    return fleet.backend(reply(200, b"<html>Hello</html>" * 20)).address


@needs_h2spec
def test_h2spec_strict(fleet):
    hop = Hop(fleet, [service("any", [page(fleet)], hosts=["127.0.0.1"])])
    passes(fleet, hop.address)
    assert hop.process.running()


@needs_h2spec
def test_h2spec_strict_over_tls_at_a_gateway(fleet):
    svid = Authority().issue(names=["edge.example"], subject="edge.example", extended=("server",))
    certificate, key = svid.write(fleet.folder / "edge-certs")
    edge = Edge(fleet, [service("any", [page(fleet)])], [https("any")], route("r", [to_gateway()], {"backendRefs": backends("any")}),
                socket={"certificates": [{"name": "any", "certificate": str(certificate), "privateKey": str(key)}]})
    passes(fleet, edge.address, "-t", "-k")
    assert edge.hop.process.running()
