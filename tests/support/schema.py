"""`outrigger schema` for tests: what it prints, and whether a document is what it says."""

import json
import re
import subprocess

import yaml

from support.fleet import BIN, ROOT

EXAMPLES = ROOT / "docs" / "examples"
EXAMPLE_FILES = sorted(EXAMPLES.rglob("*.yaml"))


def run(*arguments):
    return subprocess.run([BIN / "outrigger", "schema", *arguments], capture_output=True, text=True, timeout=60, check=False)


def schema(kind, form="--json"):
    done = run(kind, form)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def documents_of(path):
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]


def fields(rule, path=""):
    """(path, rule) of each field of a schema, itself first."""
    yield path, rule
    for name, inner in rule.get("properties", {}).items():
        yield from fields(inner, f"{path}.{name}" if path else name)
    if "items" in rule:
        yield from fields(rule["items"], f"{path}[]")


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
