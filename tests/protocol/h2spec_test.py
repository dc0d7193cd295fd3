"""h2spec against a hop over h2c, strict: all but a few of its cases (RFC 7540 and 7541) pass. Skipped where `./dev setup --peers` was not run."""

import json
import xml.etree.ElementTree

import pytest

from support.backend import reply
from support.fleet import PEERS, split_address
from support.hop import Hop, service

H2SPEC = PEERS / "h2spec"
PASSED_MIN = 140


@pytest.mark.skipif(not H2SPEC.exists(), reason=f"h2spec is not there: ./dev setup --peers builds it ({H2SPEC})")
def test_h2spec_strict(fleet):
    backend = fleet.backend(reply(200, b"<html>Hello</html>" * 20))
    hop = Hop(fleet, [service("any", [backend.address], hosts=["127.0.0.1"])])
    host, port = split_address(hop.address)
    report = fleet.folder / "report.xml"
    done = fleet.run([H2SPEC, "-h", host, "-p", port, "-S", "-o", "5", "-j", report], timeout=240)
    suites = xml.etree.ElementTree.parse(report).getroot()
    cases = [case for suite in suites.iter("testsuite") for case in suite.iter("testcase")]
    failed = [f"{case.get('package')} {case.get('classname')}" for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = [case for case in cases if case.find("skipped") is not None]
    passed = len(cases) - len(failed) - len(skipped)
    print(done.stdout[-3000:])
    assert passed >= PASSED_MIN, json.dumps(failed, indent=1)
    assert hop.process.running()
