"""The table of limits in docs/operations.md, made of those in the sources, and what docs/metrics.md is made of (golden/metrics_page.py). `./dev generate` rewrites them; tests/e2e/operations_page_test.py compares them with the
page, and with what a running proxy says."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "operations.md"
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass
class Metric:
    name: str
    type: str
    labels: str
    help: str


def source(path):
    """The text of a source file, with lines that a backslash joins joined."""
    return re.sub(r"\\\n", "", (ROOT / "proxy" / path).read_text(encoding="utf-8"))


def calls(text, name):
    """What stands between the parentheses of each `name(...)`."""
    for match in re.finditer(rf"(?<![\w]){name}\(", text):
        depth, quoted, position = 1, False, match.end()
        while depth > 0:
            letter = text[position]
            if letter == '"' and text[position - 1] != "\\":
                quoted = not quoted
            elif not quoted:
                depth += (letter == "(") - (letter == ")")
            position += 1
        yield text[match.end():position - 1]


def literals(text):
    return [found.replace('\\"', '"') for found in LITERAL.findall(text)]


def family_metrics():
    """proxy/telemetry/metrics.h: X(identifier, type, name, help, label names...)."""
    for call in calls(source("telemetry/metrics.h"), "X"):
        words = literals(call)
        if len(words) >= 2:
            yield Metric(words[0], call.split(",")[1].strip().lower(), ", ".join(words[2:]), words[1])


def worker_metrics():
    """proxy/telemetry/worker_metrics.h: X(field, type, merge, unit, name, labels, help). Rows of one name make one metric, with the values that its label has."""
    found = {}
    for call in calls(source("telemetry/worker_metrics.h"), "X"):
        words = literals(call)
        if len(words) < 3:
            continue
        metric = found.setdefault(words[0], Metric(words[0], call.split(",")[1].strip().lower(), "", words[2]))
        label, _, value = words[1].partition("=")
        if label:
            metric.labels = f"{metric.labels}, {value.strip(chr(34))}" if metric.labels else f"{label}: {value.strip(chr(34))}"
    return found.values()


def metrics():
    return [*family_metrics(), *worker_metrics()]


@dataclass
class Limit:
    name: str
    unit: str
    descriptions: list


def limits():
    """The rows of /limits: app/figures_limits.c adds those of the process, worker_report.c and admin.c have theirs as structs."""
    found = {}
    for call in calls(source("app/figures_limits.c"), "add"):
        words = literals(call)
        if len(words) >= 3:
            found.setdefault(words[0], Limit(words[0], words[1], words[2:]))
    for path in ("app/worker_report.c", "admin/admin.c"):
        for struct in re.findall(r"\(struct admin_limit\)\{.*?\};?", source(path), re.S):
            fields = dict(re.findall(r'\.(name|unit|description) = BYTES\("((?:[^"\\]|\\.)*)"\)', struct))
            if len(fields) == 3:
                limit = found.setdefault(fields["name"], Limit(fields["name"], fields["unit"], []))
                limit.descriptions.append(fields["description"])
    return list(found.values())


def table(head, rows):
    return "\n".join([f"| {' | '.join(head)} |", "|" + "---|" * len(head), *[f"| {' | '.join(row)} |" for row in rows]])


def tables():
    """Name of a mark in the page -> what stands between it and its end."""
    return {
        "limits": table(("limit", "unit", "what it bounds"), [(f"`{one.name}`", one.unit, " / ".join(one.descriptions)) for one in limits()]),
    }


def page(text):
    """The page with its tables made anew."""
    for name, content in tables().items():
        begin, end = f"<!-- {name}: made by ./dev generate -->", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        assert found, f"{PAGE} has no place for {name}"
        text = f"{before}{begin}\n{content}\n\n{end}{after}"
    return text


def rewrite():
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
