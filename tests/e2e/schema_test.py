# presets: dev
"""`outrigger schema`: the reference that people read is what the program says; schemas in JSON take the documents that `outrigger check` takes and name what they must; custom
resource definitions are structural."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from golden.generate import BIN, REFERENCE, reference

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "docs" / "examples"
KINDS = ["Proxy", "ServiceEntry", "TrafficPolicy"]
GATEWAY_KINDS = ["HTTPRoute", "GRPCRoute", "Gateway"]


def run(*arguments):
    return subprocess.run([BIN / "outrigger", "schema", *arguments], capture_output=True, text=True, timeout=60, check=False)


def schema(kind, form="--json"):
    done = run(kind, form)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def faults(rule, value, path=""):
    """What is wrong with a value by a schema of those words that ours have; a validator of as many lines as that takes."""
    types = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}
    if "const" in rule and value != rule["const"]:
        return [f"{path}: is not {rule['const']}"]
    if "anyOf" in rule and all(faults(one, value) for one in rule["anyOf"]):
        return [f"{path}: is of no form"]
    if "type" in rule and (not isinstance(value, types[rule["type"]]) or (rule["type"] == "integer" and isinstance(value, bool))):
        return [f"{path}: is no {rule['type']}"]
    found = []
    if "enum" in rule and value not in rule["enum"]:
        found.append(f"{path}: is none of {rule['enum']}")
    if "pattern" in rule and isinstance(value, str) and not re.search(rule["pattern"], value):
        found.append(f"{path}: has another form")
    if isinstance(value, int) and not rule.get("minimum", value) <= value <= rule.get("maximum", value):
        found.append(f"{path}: is out of range")
    if isinstance(value, list):
        if not rule.get("minItems", 0) <= len(value) <= rule.get("maxItems", len(value)):
            found.append(f"{path}: has {len(value)} items")
        for number, item in enumerate(value):
            found += faults(rule["items"], item, f"{path}[{number}]")
    if isinstance(value, dict):
        found += [f"{path}: lacks {name}" for name in rule.get("required", []) if name not in value]
        for name, item in value.items():
            inner = rule.get("properties", {}).get(name, rule.get("additionalProperties", True))
            if inner is False:
                found.append(f"{path}: has no {name}")
            elif isinstance(inner, dict):
                found += faults(inner, item, f"{path}.{name}")
    return found


def documents_of(path):
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]


EXAMPLE_FILES = sorted(EXAMPLES.rglob("*.yaml"))


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


def assert_structural(rule, path):
    """https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema"""
    assert "type" in rule or rule.get("x-kubernetes-int-or-string") is True, path
    assert not {"additionalProperties", "$schema", "const", "$ref", "oneOf"} & rule.keys(), path
    if "anyOf" in rule:
        assert rule["anyOf"] == [{"type": "integer"}, {"type": "string"}] and rule["x-kubernetes-int-or-string"], path
    for name, inner in rule.get("properties", {}).items():
        assert_structural(inner, f"{path}.{name}")
    if rule.get("type") == "array":
        assert_structural(rule["items"], f"{path}[]")
        for key in rule.get("x-kubernetes-list-map-keys", []):
            assert key in rule["items"]["required"], f"{path}: a key of a list must be there"


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
    assert plurals == ["proxies", "serviceentries", "trafficpolicies"]


def test_all_kinds_at_once_and_wrong_usage():
    assert [one["title"] for one in json.loads(run("--json").stdout)["oneOf"]] == KINDS + GATEWAY_KINDS
    assert run("Proxy").stdout.startswith("## Proxy\n")
    for arguments in (["Foo"], ["--yaml"], ["Proxy", "ServiceEntry"], ["--json", "--crd"], ["HTTPRoute", "--crd"]):
        done = run(*arguments)
        assert done.returncode == 2 and "kinds: Proxy ServiceEntry TrafficPolicy" in done.stderr
