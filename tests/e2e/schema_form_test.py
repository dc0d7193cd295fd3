# presets: dev
"""The form that policy documents keep, so that any YAML 1.1 parser and Kubernetes read what we read: names and words that are no booleans, numbers and shares that are integers, one type
for a field, lists keyed by name; and documents that say the same after another YAML library has read and written them. PyYAML is that library: it goes by YAML 1.1."""

import json
import re
import shutil
import subprocess

import pytest
import yaml

from support.fleet import BIN
from support.schema import EXAMPLES, documents_of, fields, schema

OURS = ["Proxy", "ServiceEntry", "TrafficPolicy"]
FIELDS = [(kind, path, rule) for kind in OURS for path, rule in fields(schema(kind, "--crd")["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"], "spec")]
EACH = pytest.mark.parametrize("kind, path, rule", FIELDS, ids=[f"{kind}.{path}" for kind, path, _ in FIELDS])

# Words of YAML 1.1's type bool, https://yaml.org/type/bool.html; PyYAML leaves out y and n.
BOOLEANS = {"y", "n", "yes", "no", "true", "false", "on", "off"}

# Words of other standards keep their form.
OTHER_STANDARDS = {"spec.retry.grpcCodes[]", "spec.telemetry.traces.propagators[]"}

# What YAML 1.1 alone takes for a text, since it wants a point in it; its readers do not all.
READ_BOTH_WAYS = {"1e3"}


def is_text(word):
    return word.lower() not in BOOLEANS and yaml.safe_load(word) == word


@EACH
def test_a_field_keeps_the_form(kind, path, rule):
    name = path.rsplit(".", 1)[-1].rstrip("[]")
    assert is_text(name) and re.fullmatch(r"[a-z][A-Za-z0-9]*", name)
    if rule.get("x-kubernetes-int-or-string"):
        assert rule["pattern"].endswith("(Ki|Mi|Gi|Ti|k|M|G|T)?$"), "a quantity alone has two forms, as in Kubernetes"
    else:
        assert rule["type"] in {"object", "array", "string", "boolean", "integer"}, "no floats"
    if name.endswith("Percent"):
        assert rule["type"] == "integer" and {"minimum", "maximum"} <= rule.keys()
    if rule.get("type") == "integer":
        assert {"minimum", "maximum"} <= rule.keys(), "every number has bounds"
    if rule.get("type") == "array" and "name" in rule["items"].get("required", ()) and not name.endswith("Refs"):
        assert rule.get("x-kubernetes-list-map-keys") == ["name"], "what users name is a list keyed by name"
    assert rule.get("description") or rule["type"] == "object" or path.endswith("[]"), "each field says what it is for"


@EACH
def test_words_and_defaults_are_read_alike(kind, path, rule):
    for word in rule.get("enum", ()):
        assert is_text(word) and (path in OTHER_STANDARDS or re.fullmatch(r"[A-Z][A-Za-z0-9]*", word)), word
    if "default" in rule:
        written = json.dumps(rule["default"])
        try:
            read = yaml.safe_load(written.strip('"'))
        except yaml.YAMLError:  # a text that every reader wants in quotes
            read = yaml.safe_load(written)
        if rule.get("x-kubernetes-int-or-string"):
            assert isinstance(read, (int, str))
        else:
            assert read == rule["default"] and type(read) is type(rule["default"])


def check(folder):
    done = subprocess.run([BIN / "outrigger", "check", folder], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, re.sub(r"\S+\.(yaml|json):\d+: ", "", done.stderr), done.stdout


WRITERS = {
    "block": lambda documents: yaml.safe_dump_all(documents, default_flow_style=False),
    "flow": lambda documents: yaml.safe_dump_all(documents, default_flow_style=True, width=60, explicit_start=True),
    "quoted": lambda documents: yaml.safe_dump_all(documents, default_style=None, allow_unicode=False, indent=8, version=(1, 1)),
}


@pytest.mark.parametrize("folder", sorted({path.parent for path in EXAMPLES.rglob("proxy.yaml")}), ids=lambda folder: str(folder.relative_to(EXAMPLES)))
def test_documents_say_the_same_once_another_library_wrote_them(folder, tmp_path):
    """As a folder for each way to write, with the other files that documents name."""
    documents = [document for path in sorted(folder.rglob("*.yaml")) for document in documents_of(path)]
    said = set()
    for name in (*WRITERS, "json"):
        shutil.copytree(folder, tmp_path / name, ignore=shutil.ignore_patterns("*.yaml"))
    for name, write in WRITERS.items():
        (tmp_path / name / "all.yaml").write_text(write(documents), encoding="utf-8")
        said.add(check(tmp_path / name))
    for number, document in enumerate(documents):
        (tmp_path / "json" / f"{number:03}.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    said.add(check(tmp_path / "json"))
    assert said == {check(folder)}, said


def labelled(tmp_path, value, spec=""):
    (tmp_path / "proxy.yaml").write_text(f"apiVersion: outrigger.dev/v1alpha1\nkind: Proxy\nmetadata: {{name: p, labels: {{version: {value}}}}}\n"
                                         f"spec:\n  listeners: [{{name: outbound, role: Outbound}}]\n{spec}", encoding="utf-8")
    return check(tmp_path)


WORDS = ["on", "Off", "YES", "no", "true", "False", "y", "N", "1", "1.10", "010", "0x1f", "0b11", "1_000", "190:20:30", "1e3", "6.02e+23", ".5", "-.inf", ".NaN", "2026-11-28",
         "v1", "1.2.3", "10.0.0.1", "truey", "1s", "64Ki", "a-1", "yesterday", "0s", "e3", "1-2", "eu-1a"]


@pytest.mark.parametrize("word", WORDS)
def test_a_text_that_others_take_for_something_else_is_told(tmp_path, word):
    """A warning, where YAML 1.1 reads no text; none where it does."""
    code, errors, _ = labelled(tmp_path, word)
    assert code == 0, errors
    assert ("should be in quotes" in errors) == (word in READ_BOTH_WAYS or not is_text(word)), errors


@pytest.mark.parametrize("number", ["010", "0x10", "0b11", "1_0", "1:30", "+5", "1e1", "2.0", "0o17", ".5", "-1", "4 "])
def test_a_number_is_read_as_others_read_it_or_not_at_all(tmp_path, number):
    code, errors, _ = labelled(tmp_path, "v1", f"  workers: {number}\n")
    if code == 0:
        assert yaml.safe_load(number) == int(number)
    else:
        assert "spec.workers" in errors and "allowed: " in errors


@pytest.mark.parametrize("word", ["yes", "no", "on", "off", "True", "FALSE", "y", "n", "1", "0", "true", "false"])
def test_a_boolean_is_read_as_others_read_it_or_not_at_all(tmp_path, word):
    code, errors, _ = labelled(tmp_path, "v1", f"  edge: {{proxyStatus: {word}}}\n")
    if code == 0:
        assert yaml.safe_load(word) is (word == "true")
    else:
        assert "spec.edge.proxyStatus" in errors and "allowed: true or false" in errors
