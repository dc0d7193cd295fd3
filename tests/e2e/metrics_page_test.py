# presets: dev
"""docs/metrics.md, the dashboard and the alerts of docs/ name the metrics that there are, and those read what we serve: Prometheus, its promtool, and the strict parser of its Python client."""

import http.client
import json
import os
import re
import subprocess
import time
import urllib.parse

from golden import dashboard, metrics_page, operations
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from support.backend import reply
from support.fleet import answers, eventually, http_get, split_address
from support.hop import Hop, service, traffic
from support.pair import Pair
from support.wire import exchange

METRICS = operations.metrics()
ENDS = re.findall(r'X\([A-Z_0-9]+, "([a-z_]+)"\)', (operations.ROOT / "proxy" / "base" / "error.h").read_text(encoding="utf-8"))
DOCS = operations.ROOT / "docs"
RULES = DOCS / "prometheus" / "alerts.yaml"
OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0"}


def test_the_pages_are_those_of_the_sources():
    assert metrics_page.PAGE.read_text(encoding="utf-8") == metrics_page.page(), "if it should be so: ./dev generate"
    assert json.loads(dashboard.FILE.read_text(encoding="utf-8")) == dashboard.dashboard(), "if it should be so: ./dev generate"
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names)) > 70


def test_a_running_proxy_exposes_these_metrics_and_no_others(fleet):
    pair = Pair(fleet, fleet.backend(reply(200, b"x")).address)
    assert exchange(pair.near.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200
    known = {metric.name.removesuffix("_total"): metric for metric in METRICS}
    shown = {}
    for hop in (pair.near, pair.far):
        for family in text_string_to_metric_families(http_get(hop.metrics, "/metrics")[1].decode()):
            shown[family.name] = family
            metric = known[family.name]
            assert (family.type, family.documentation) == (metric.type, metric.help), family.name
            names = {name for name in re.split(r"[:,] ?", metric.labels) if name}
            for sample in family.samples:
                assert set(sample.labels) - {"le"} <= names, (family.name, sample.labels)
    assert set(shown) == set(known)


def names_in(expression):
    """Metrics that a query names: words outside of strings and braces that are no labels of an aggregation, functions or keywords."""
    text = re.sub(r'"[^"]*"', '""', expression)
    found = set(re.findall(r"\b(?:outrigger|http|rpc|process)_[a-z0-9_]+", re.sub(r"\{[^}]*\}|\b(?:by|ignoring|on|without) \([^)]*\)", "", text)))
    return {re.sub(r"_(bucket|count|sum)$", "", name) if name.endswith(("_bucket", "_count", "_sum")) else name for name in found}


def queries_of_docs():
    """What the dashboard's panels and the alerts ask."""
    queries = [target["expr"] for panel in dashboard.dashboard()["panels"] for target in panel.get("targets", ())]
    found = re.findall(r"expr: (?:\|\n((?:        .*\n|      .*\n)+)|(.*))", RULES.read_text(encoding="utf-8"))
    return queries + ["".join(one) for one in found]


def test_what_moves_to_an_overflow_is_no_traffic():
    """When a service or a rule leaves the documents, all that was counted of it is added to the overflow: a rate leaves it out, or asks for it alone."""
    overflowing = {metric.name for metric in METRICS if "otel_metric_overflow" in metric.labels}
    seen = 0
    for query in queries_of_docs():
        for name, matchers in re.findall(r"(?:rate|increase)\((\w+)(?:\{([^}]*)\})?\[", query):
            if re.sub(r"_(bucket|count|sum)$", "", name) in overflowing:
                seen += 1
                assert re.search(r'otel_metric_overflow=|\b\w+!=""|\b(?!instance|le\b)\w+="[^"]', matchers), query
    assert seen > 20


def test_the_dashboard_and_the_alerts_name_metrics_that_there_are():
    known = {metric.name for metric in METRICS}
    labels = {metric.name: metric.labels for metric in METRICS}
    queries = queries_of_docs()
    assert len(queries) > 40
    for query in queries:
        used = names_in(query)
        assert used <= known, (query, used - known)
        for name, matchers in re.findall(r"\b((?:outrigger|http|rpc|process)_[a-z0-9_]+)\{([^}]*)\}", query):
            for label in re.findall(r"([a-z_]+)\s*[=!]", matchers):
                name = re.sub(r"_(bucket|count|sum)$", "", name)
                assert label in ("instance", "le") or re.search(rf"\b{label}\b", labels[name]), (name, label)
        for label in re.findall(r"[a-z_]+", " ".join(re.findall(r"\bby \(([^)]*)\)", query))):
            assert label in ("instance", "le", "job") or any(re.search(rf"\b{label}\b", labels[name]) for name in used), (query, label)
        for wanted in "|".join(re.findall(r'\bend=~?"([^"]*)"', query)).split("|"):
            assert any(re.fullmatch(wanted, end) for end in ("", *ENDS)), (query, wanted)


def test_figures_of_the_process_and_its_threads(fleet):
    """When it began does not move, its descriptors are those that the system counts, and each thread has its own lag."""
    hop = Hop(fleet, [service("backend", [fleet.backend().address])], workers=2)
    begun = hop.figure("process_start_time_seconds")
    for _ in range(5):
        assert hop.figure("process_start_time_seconds") == begun
    assert abs(begun - time.time()) < 600
    assert abs(hop.figure("process_open_fds") - len(os.listdir(f"/proc/{hop.process.child.pid}/fd"))) < 5
    threads = {dict(labels)["thread"] for (name, labels) in hop.figures() if name == "outrigger_loop_turn_seconds_count"}
    assert threads == {"main", "worker-0", "worker-1"}
    assert hop.figure("outrigger_loop_turn_seconds_count", thread="main") > 5
    assert 0 < hop.figure("outrigger_loop_turn_seconds_sum", thread="main") < 600
    assert 0 < hop.figure("outrigger_loop_turn_longest_seconds") < 60


def test_each_alert_has_a_test():
    names = set(re.findall(r"alert: (\w+)", RULES.read_text(encoding="utf-8")))
    assert names == set(re.findall(r"alertname: (\w+)", RULES.with_name("alerts_test.yaml").read_text(encoding="utf-8")))


def test_promtool_takes_the_alerts_and_their_test():
    for command in (["check", "rules", RULES], ["test", "rules", RULES.with_name("alerts_test.yaml")]):
        done = subprocess.run(["promtool", *command], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def everything(fleet):
    """A pair of sidecars of which most things have something to tell, hostile names among them."""
    pair = Pair(fleet, fleet.backend(reply(200, b"x")).address, policies=[traffic("backend", connections={"max": 5}, circuitBreaker={"failureThreshold": 5})])
    for method, path in (("GET", "/"), ("POST", "/a%22%0ab"), ("FLY", "/" + "x" * 5000)):
        assert exchange(pair.near.address, f"{method} {path} HTTP/1.1\r\nHost: backend\r\nContent-Length: 0\r\nx: a\"b\\\xff\r\n\r\n", method).status in (200, 400, 501)
    assert exchange(pair.near.address, "GET / HTTP/1.1\r\nHost: no\"body\r\n\r\n").status in (400, 502)
    return pair


def test_promtool_has_no_complaint_about_a_scrape(fleet):
    pair = everything(fleet)
    for hop in (pair.near, pair.far):
        _, text = http_get(hop.metrics, "/metrics")
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=120, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b""), done


def test_the_strict_parser_takes_a_scrape(fleet):
    pair = everything(fleet)
    for hop in (pair.near, pair.far):
        connection = http.client.HTTPConnection(*split_address(hop.metrics), timeout=60)
        connection.request("GET", "/metrics", headers=OPENMETRICS)
        text = connection.getresponse().read().decode()
        connection.close()
        assert sum(1 for _ in openmetrics.text_string_to_metric_families(text)) > 70


def test_prometheus_scrapes_and_answers(fleet):
    pair = everything(fleet)
    folder = fleet.folder / "prometheus"
    folder.mkdir()
    targets = ", ".join(f"'{hop.metrics}'" for hop in (pair.near, pair.far))
    (folder / "prometheus.yml").write_text(f"global: {{scrape_interval: 1s}}\nrule_files: ['{RULES}']\n"
                                           f"scrape_configs: [{{job_name: outrigger, static_configs: [{{targets: [{targets}]}}]}}]\n", encoding="utf-8")
    address = fleet.address()
    fleet.start("prometheus", ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data", f"--web.listen-address={address}", "--log.level=warn"],
                ready=answers(address, "/-/ready"))

    def ask(query):
        _, body = http_get(address, "/api/v1/query?" + urllib.parse.urlencode({"query": query}))
        return json.loads(body)["data"]["result"]
    eventually(lambda: len(ask("up == 1")) == 2, timeout=60, what="both sidecars scraped")
    counted = ask('sum by (service) (http_client_request_duration_seconds_count{service="default/backend:80", http_request_method="GET"})')
    assert [row["value"][1] for row in counted] == ["1"]
    assert ask('http_server_request_duration_seconds_count{http_response_status_code="200"}') != []
    assert len(ask("outrigger_build_info")) == 2
