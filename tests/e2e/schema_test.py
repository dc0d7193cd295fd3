# presets: dev
"""`outrigger schema`: the reference that people read is what the program says; schemas in JSON take the documents that `outrigger check` takes and name what they must; custom
resource definitions are structural."""

import json

import pytest
from golden.generate import REFERENCE, reference

from support.schema import EXAMPLE_FILES, EXAMPLES, documents_of, faults, fields, run, schema

KINDS = ["Proxy", "ServiceEntry", "TrafficPolicy", "AuthenticationPolicy", "FaultPolicy", "RateLimitPolicy", "AuthorizationPolicy", "BulkheadPolicy", "TelemetryPolicy", "MeshConfig"]
GATEWAY_KINDS = ["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "Gateway", "ReferenceGrant"]


def test_the_reference_is_what_the_program_says():
    assert REFERENCE.read_text(encoding="utf-8") == reference(), "if it should be so: ./dev generate"


@pytest.mark.parametrize("path", EXAMPLE_FILES, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_examples_are_what_the_json_schema_says(path):
    for document in documents_of(path):
        assert faults(schema(document["kind"]), document) == []


GOOD = {"apiVersion": "outrigger.dev/v1alpha1", "kind": "TrafficPolicy", "metadata": {"name": "t"}, "spec": {"targetRefs": [{"kind": "Service", "name": "a"}]}}
BAD = {
    "an unknown field": {"retries": {}}, "a word that is none": {"loadBalancer": {"type": "Best"}}, "a word of a later version": {"loadBalancer": {"locality": {"mode": "PreferNode"}}},
    "no duration": {"timeouts": {"request": "1 second"}}, "a number out of range": {"retry": {"budget": {"percent": 101}}}, "a text for a number": {"connections": {"max": "1"}},
    "no size": {"retry": {"bufferBytes": "64KB"}}, "no targets": {"targetRefs": []}, "a target without its name": {"targetRefs": [{"kind": "Service"}]},
}


@pytest.mark.parametrize("spec", BAD.values(), ids=BAD.keys())
def test_the_json_schema_finds_what_is_wrong(spec):
    assert faults(schema("TrafficPolicy"), GOOD) == []
    assert faults(schema("TrafficPolicy"), {**GOOD, "spec": {**GOOD["spec"], **spec}})


def assert_structural(root, kind):
    """https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema"""
    for path, rule in fields(root, kind):
        assert "type" in rule or rule.get("x-kubernetes-int-or-string") is True, path
        assert not {"additionalProperties", "$schema", "const", "$ref", "oneOf", "allOf", "not", "definitions", "uniqueItems"} & rule.keys(), path
        if "anyOf" in rule:
            assert rule["anyOf"] == [{"type": "integer"}, {"type": "string"}] and rule["x-kubernetes-int-or-string"], path
        if rule.get("type") == "array":
            assert "items" in rule, path
            for key in rule.get("x-kubernetes-list-map-keys", []):
                assert key in rule["items"]["required"], f"{path}: a key of a list must be there"
        if rule.get("type") == "object":
            assert set(rule.get("required", [])) <= rule.get("properties", {}).keys(), f"{path}: what must be there is a field"


@pytest.mark.parametrize("kind", KINDS)
def test_custom_resource_definitions_are_structural(kind):
    crd = schema(kind, "--crd")
    names = crd["spec"]["names"]
    assert crd["metadata"]["name"] == f"{names['plural']}.outrigger.dev" and names["kind"] == kind and names["listKind"] == f"{kind}List"
    version, = crd["spec"]["versions"]
    assert version["name"] == "v1alpha1" and version["served"] and version["storage"]
    root = version["schema"]["openAPIV3Schema"]
    assert_structural(root, kind)
    assert faults(root["properties"]["spec"], GOOD["spec"]) == [] or kind != "TrafficPolicy"
    assert root["required"] == ["spec"]


def test_plurals_are_english():
    plurals = [item["spec"]["names"]["plural"] for item in json.loads(run("--crd").stdout)["items"]]
    assert plurals == ["proxies", "serviceentries", "trafficpolicies", "authenticationpolicies", "faultpolicies", "ratelimitpolicies", "authorizationpolicies", "bulkheadpolicies",
                       "telemetrypolicies", "meshconfigs"]


def test_a_kind_of_two_versions_has_both():
    assert schema("ReferenceGrant")["properties"]["apiVersion"] == {"enum": ["gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1"]}
    assert run("ReferenceGrant").stdout.startswith("## ReferenceGrant\n\n`apiVersion: gateway.networking.k8s.io/v1` (or `gateway.networking.k8s.io/v1beta1`), ")


def test_all_kinds_at_once_and_wrong_usage():
    assert [one["title"] for one in json.loads(run("--json").stdout)["oneOf"]] == KINDS + GATEWAY_KINDS
    assert run("Proxy").stdout.startswith("## Proxy\n")
    for arguments in (["Foo"], ["--yaml"], ["Proxy", "ServiceEntry"], ["--json", "--crd"], ["HTTPRoute", "--crd"]):
        done = run(*arguments)
        assert done.returncode == 2 and "kinds: Proxy ServiceEntry TrafficPolicy" in done.stderr
