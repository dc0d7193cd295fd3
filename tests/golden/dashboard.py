"""docs/grafana/outrigger.json: a dashboard, written as the few things that its panels differ in. `./dev generate` rewrites it."""

import json

from golden.operations import ROOT

FILE = ROOT / "docs" / "grafana" / "outrigger.json"
HERE = '{instance=~"$instance"}'

# Row, panels: title, unit, queries with what their lines are called.
ROWS = (
    ("Requests that come in", (
        ("Requests per second", "reqps", (('sum by (service) (rate(http_server_request_duration_seconds_count{instance=~"$instance", service=~"$service"}[$__rate_interval]))', "{{service}}"),
                                          ('sum by (service) (rate(rpc_server_call_duration_seconds_count{instance=~"$instance", service=~"$service"}[$__rate_interval]))', "{{service}} gRPC"))),
        ("Share of errors", "percentunit", (('sum by (service) (rate(http_server_request_duration_seconds_count{instance=~"$instance", service=~"$service", error_type!=""}[$__rate_interval])) / '
                                             'sum by (service) (rate(http_server_request_duration_seconds_count{instance=~"$instance", service=~"$service"}[$__rate_interval]))', "{{service}}"),)),
        ("Duration: half, and 99 of 100", "s", (
            ('histogram_quantile(0.5, sum by (service, le) (rate(http_server_request_duration_seconds_bucket{instance=~"$instance", service=~"$service"}[$__rate_interval])))', "{{service}} p50"),
            ('histogram_quantile(0.99, sum by (service, le) (rate(http_server_request_duration_seconds_bucket{instance=~"$instance", service=~"$service"}[$__rate_interval])))', "{{service}} p99"))),
    )),
    ("Requests that go out", (
        ("Requests per second", "reqps", (('sum by (service) (rate(http_client_request_duration_seconds_count{instance=~"$instance", service=~"$service"}[$__rate_interval]))', "{{service}}"),
                                          ('sum by (service) (rate(rpc_client_call_duration_seconds_count{instance=~"$instance", service=~"$service"}[$__rate_interval]))', "{{service}} gRPC"))),
        ("Errors per second, by what they were", "reqps", (('sum by (service, error_type) (rate(http_client_request_duration_seconds_count{instance=~"$instance", service=~"$service", error_type!=""}[$__rate_interval]))', "{{service}} {{error_type}}"),)),
        ("Duration: half, and 99 of 100", "s", (
            ('histogram_quantile(0.5, sum by (service, le) (rate(http_client_request_duration_seconds_bucket{instance=~"$instance", service=~"$service"}[$__rate_interval])))', "{{service}} p50"),
            ('histogram_quantile(0.99, sum by (service, le) (rate(http_client_request_duration_seconds_bucket{instance=~"$instance", service=~"$service"}[$__rate_interval])))', "{{service}} p99"))),
        ("By rule of a route", "reqps", (('sum by (http_route) (rate(http_client_request_duration_seconds_count{instance=~"$instance", service=~"$service", http_route!=""}[$__rate_interval]))', "{{http_route}}"),)),
        ("Tries after the first", "reqps", (('sum by (reason) (rate(outrigger_retries_total' + HERE + '[$__rate_interval]))', "{{reason}}"),
                                            ('sum by (reason) (rate(outrigger_retries_refused_total' + HERE + '[$__rate_interval]))', "refused: {{reason}}"))),
        ("Endpoints", "short", (('max by (service, state) (outrigger_service_endpoints{instance=~"$instance", service=~"$service"})', "{{service}} {{state}}"),)),
    )),
    ("Policies", (
        ("Refused per second", "reqps", (('sum by (policy, rule) (rate(outrigger_policy_refusals_total{instance=~"$instance", mode="enforce"}[$__rate_interval])) > 0', "{{policy}}: {{rule}}"),)),
        ("How requests end, but well", "reqps", (('sum by (end) (rate(outrigger_request_ends_total{instance=~"$instance", service=~"$service", end!="ok"}[$__rate_interval]))', "{{end}}"),)),
        ("Circuit breakers: 1 open, 2 half-open", "short", (('max by (policy, target) (outrigger_breaker_state{instance=~"$instance", mode="enforce"})', "{{policy}} {{target}}"),)),
        ("Bulkheads", "short", (('sum by (rule, target) (outrigger_bulkhead_in_use' + HERE + ')', "{{target}} {{rule}}: in use"),
                                ('sum by (rule, target) (outrigger_bulkhead_queued' + HERE + ')', "{{target}} {{rule}}: waiting"))),
    )),
    ("The proxy itself", (
        ("CPU", "short", (('sum by (instance) (rate(process_cpu_seconds_total' + HERE + '[$__rate_interval]))', "{{instance}}"),)),
        ("Memory", "bytes", (('process_resident_memory_bytes' + HERE, "{{instance}}"),)),
        ("Share of the loops' time", "percentunit", (('sum by (instance) (rate(outrigger_loop_busy_seconds_total' + HERE + '[$__rate_interval])) / sum by (instance) (outrigger_workers' + HERE + ')', "{{instance}}"),)),
        ("Connections", "short", (('sum(outrigger_downstream_connections_active' + HERE + ')', "of clients"), ('sum(outrigger_upstream_connections_active' + HERE + ')', "to endpoints"))),
        ("TLS handshakes", "ops", (('sum by (side, kind) (rate(outrigger_tls_handshakes_total' + HERE + '[$__rate_interval]))', "{{side}} {{kind}}"),
                                   ('sum by (side, reason) (rate(outrigger_tls_failures_total' + HERE + '[$__rate_interval])) > 0', "{{side}} failed: {{reason}}"))),
        ("Time until a certificate ends", "s", (('min by (instance, identity) (outrigger_identity_not_after_timestamp_seconds' + HERE + ') - time()', "{{instance}} {{identity}}"),)),
        ("Errors of documents", "short", (('outrigger_config_pending_errors' + HERE + ' > 0', "{{instance}}"),)),
        ("Limits met per second", "ops", (('sum by (limit, scope) (rate(outrigger_limit_hits_total' + HERE + '[$__rate_interval])) > 0', "{{scope}} {{limit}}"),)),
    )),
)

SOURCE = {"type": "prometheus", "uid": "${source}"}


def panel(number, place, title, unit, queries):
    return {"id": number, "type": "timeseries", "title": title, "datasource": SOURCE, "gridPos": place, "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
            "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
            "targets": [{"refId": chr(ord("A") + i), "datasource": SOURCE, "expr": expr, "legendFormat": legend, "exemplar": "_bucket" in expr} for i, (expr, legend) in enumerate(queries)]}


def variable(name, label, query):
    return {"name": name, "label": label, "type": "query", "datasource": SOURCE, "query": {"query": query, "refId": name}, "definition": query, "refresh": 2, "multi": True, "includeAll": True,
            "allValue": ".*", "current": {"text": "All", "value": "$__all"}, "sort": 1}


def dashboard():
    panels, y = [], 0
    for title, row in ROWS:
        panels.append({"id": len(panels) + 1, "type": "row", "title": title, "collapsed": False, "gridPos": {"h": 1, "w": 24, "x": 0, "y": y}, "panels": []})
        y += 1
        for i, (name, unit, queries) in enumerate(row):
            panels.append(panel(len(panels) + 1, {"h": 8, "w": 8, "x": i % 3 * 8, "y": y + i // 3 * 8}, name, unit, queries))
        y += (len(row) + 2) // 3 * 8
    variables = [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": {}, "hide": 0},
                 variable("instance", "proxy", "label_values(outrigger_build_info, instance)"), variable("service", "service", "label_values(outrigger_request_ends_total, service)")]
    return {"title": "Outrigger", "uid": "outrigger", "tags": ["outrigger"], "schemaVersion": 39, "version": 1, "editable": True, "timezone": "", "refresh": "30s",
            "time": {"from": "now-1h", "to": "now"}, "templating": {"list": variables}, "annotations": {"list": []}, "panels": panels}


def rewrite():
    FILE.write_text(json.dumps(dashboard(), indent=1) + "\n", encoding="utf-8")
