"""docs/grafana/outrigger.json: a dashboard, written as the few things that its panels differ in. `./dev generate` rewrites it."""

import json

from golden.operations import ROOT

FILE = ROOT / "docs" / "grafana" / "outrigger.json"
HERE = '{instance=~"$instance"}'

OF_SERVICE = 'instance=~"$instance", service=~"$service"'
# Nor what is moved to a family's overflow when a service or a rule leaves the documents: it was counted before, and no traffic of now.
TRAFFIC_OF_SERVICE = OF_SERVICE + ', otel_metric_overflow=""'


def rate(metric, by="", more="", matchers=TRAFFIC_OF_SERVICE):
    """What comes in a second, added up by these labels."""
    selected = f"rate({metric}{{{matchers}{', ' + more if more else ''}}}[$__rate_interval])"
    return f"sum by ({by}) ({selected})" if by else f"sum({selected})"


def here(metric, by="", more=""):
    """The same of the chosen proxies."""
    return rate(metric, by, more, 'instance=~"$instance"')


def quantiles(metric, by, legend):
    return tuple((f"histogram_quantile({share}, {rate(metric + '_bucket', by + ', le')})", f"{legend} p{share * 100:.0f}") for share in (0.5, 0.99))


def errors(metric, by):
    return f"{rate(metric + '_count', by, 'error_type!=' + chr(34) * 2)} / {rate(metric + '_count', by)}"


def traffic(side):
    """Requests, errors and durations of one side, HTTP and gRPC each."""
    http, rpc = f"http_{side}_request_duration_seconds", f"rpc_{side}_call_duration_seconds"
    return (
        ("Requests per second", "reqps", ((rate(http + "_count", "service"), "{{service}}"), (rate(rpc + "_count", "service"), "{{service}} gRPC"))),
        ("Share of errors", "percentunit", ((errors(http, "service"), "{{service}}"), (errors(rpc, "service"), "{{service}} gRPC"))),
        ("Errors per second, by what they were", "reqps", ((rate(http + "_count", "service, error_type", 'error_type!=""'), "{{service}} {{error_type}}"),
                                                           (rate(rpc + "_count", "service, error_type", 'error_type!=""'), "{{service}} gRPC {{error_type}}"))),
        ("Duration: half, and 99 of 100", "s", quantiles(http, "service", "{{service}}")),
        ("Duration of gRPC calls", "s", quantiles(rpc, "service, rpc_method", "{{service}} {{rpc_method}}")),
    )


OVERFLOWING = ("outrigger_request_ends_total", *(f"{kind}_{side}_{what}_duration_seconds_count" for kind, what in (("http", "request"), ("rpc", "call")) for side in ("server", "client")))

# Row, panels: title, unit, queries with what their lines are called.
ROWS = (
    ("Requests that come in", traffic("server")),
    ("Requests that go out", (
        *traffic("client"),
        ("By rule of a route", "reqps", ((rate("http_client_request_duration_seconds_count", "http_route", 'http_route!=""'), "{{http_route}}"),)),
        ("Tries after the first", "reqps", ((here("outrigger_retries_total", "reason"), "{{reason}}"), (here("outrigger_retries_refused_total", "reason"), "refused: {{reason}}"))),
        ("Endpoints", "short", ((f"max by (service, state) (outrigger_service_endpoints{{{OF_SERVICE}}})", "{{service}} {{state}}"),)),
    )),
    ("Policies", (
        ("Refused per second", "reqps", ((here("outrigger_policy_refusals_total", "policy, rule", 'mode="enforce"') + " > 0", "{{policy}}: {{rule}}"),)),
        ("How requests end, but well", "reqps", ((rate("outrigger_request_ends_total", "end", 'end!="ok"'), "{{end}}"),)),
        ("Circuit breakers: 1 open, 2 half-open", "short", (('outrigger_breaker_state{instance=~"$instance", mode="enforce"} > 0', "{{instance}} {{policy}} {{target}}"),)),
        ("Bulkheads", "short", (("sum by (rule, target) (outrigger_bulkhead_in_use" + HERE + ")", "{{target}} {{rule}}: in use"),
                                ("sum by (rule, target) (outrigger_bulkhead_queued" + HERE + ")", "{{target}} {{rule}}: waiting"))),
    )),
    ("The proxy itself", (
        ("CPU", "short", ((here("process_cpu_seconds_total", "instance"), "{{instance}}"),)),
        ("Share of each loop's time", "percentunit", ((here("outrigger_loop_turn_seconds_sum", "instance, thread"), "{{instance}} {{thread}}"),)),
        ("Lag: 999 of 1,000 turns, and the longest", "s", (
            ("histogram_quantile(0.999, " + here("outrigger_loop_turn_seconds_bucket", "instance, thread, le") + ")", "{{instance}} {{thread}} p99.9"),
            ("outrigger_loop_turn_longest_seconds" + HERE, "{{instance}} longest"))),
        ("What waits", "short", (("outrigger_loop_wake_list" + HERE, "{{instance}} streams for a turn"), ("outrigger_mailbox_waiting" + HERE, "{{instance}} messages"),
                                 ("outrigger_pool_waiting" + HERE, "{{instance}} requests for a connection"))),
        ("Memory", "bytes", (("process_resident_memory_bytes" + HERE, "{{instance}}"),)),
        ("Memory by kind", "bytes", (("sum(outrigger_buffer_blocks" + HERE + ") * 16384", "buffers"), ("sum(outrigger_pool_chunks" + HERE + ") * 4096", "pools"),
                                     ("sum(outrigger_http2_memory_bytes" + HERE + ")", "HTTP/2"), ("sum(outrigger_tls_buffers_free_bytes" + HERE + ")", "TLS, kept"))),
        ("Connections", "short", (("sum(outrigger_downstream_connections_active" + HERE + ")", "of clients"), ("sum(outrigger_upstream_connections_active" + HERE + ")", "to endpoints"))),
        ("TLS handshakes", "ops", ((here("outrigger_tls_handshakes_total", "side, kind"), "{{side}} {{kind}}"),
                                   (here("outrigger_tls_failures_total", "side, reason") + " > 0", "{{side}} failed: {{reason}}"))),
        ("Time until a certificate ends; below 0 it has", "s!", (("min by (instance, identity) (outrigger_identity_not_after_timestamp_seconds" + HERE + ") - time()", "{{instance}} {{identity}}"),
                                                                ("min by (hostname) (outrigger_edge_certificate_not_after_timestamp_seconds" + HERE + ") - time()", "{{hostname}}"),
                                                                ("min by (files) (outrigger_ca_set_not_after_timestamp_seconds" + HERE + ") - time()", "{{files}}"))),
        ("Set of documents: in force, and reached by all workers", "short", (("outrigger_config_generation" + HERE, "{{instance}}"),
                                                                             ("outrigger_worker_config_generation" + HERE, "{{instance}} workers"))),
        ("Errors of documents", "short", (("outrigger_config_pending_errors" + HERE + " > 0", "{{instance}}"),)),
        ("Limits met per second", "ops", ((here("outrigger_limit_hits_total", "limit, scope") + " > 0", "{{scope}} {{limit}}"),)),
    )),
    ("Telemetry on its way", (
        ("Records exported per second", "ops", ((here("outrigger_telemetry_records_exported_total", "signal"), "{{signal}}"),)),
        ("Records dropped per second", "ops", ((here("outrigger_telemetry_records_dropped_total", "signal, reason") + " > 0", "{{signal}}: {{reason}}"),
                                               (here("outrigger_access_log_dropped_total", "reason") + " > 0", "lines of the access log: {{reason}}"),
                                               (here("outrigger_audit_log_dropped_total", "reason") + " > 0", "lines of the audit log: {{reason}}"))),
        ("Records that wait", "short", (("sum by (signal) (outrigger_telemetry_records_waiting" + HERE + ")", "{{signal}}"),
                                        ("sum by (signal) (outrigger_telemetry_queue_capacity" + HERE + ")", "{{signal}}: room"))),
        ("Requests to a collector, and tries again", "ops", ((here("outrigger_telemetry_exports_total", "signal, result"), "{{signal}} {{result}}"),
                                                            (here("outrigger_telemetry_export_retries_total", "signal"), "{{signal}} again"))),
        ("Series, of as many as may be", "short", (("max by (family) (outrigger_metric_series" + HERE + ")", "{{family}}"), ("max(outrigger_metric_series_max" + HERE + ")", "the most"))),
        ("Counted together per second: beyond the bound, and what moves when a service or a rule leaves", "reqps", tuple(
            (here(metric, more='otel_metric_overflow="true"') + " > 0", metric) for metric in OVERFLOWING)),
    )),
)

SOURCE = {"type": "prometheus", "uid": "${source}"}


def panel(number, place, title, unit, queries):
    """A unit with `!` may be below zero."""
    least = {} if unit.endswith("!") else {"min": 0}
    unit = unit.rstrip("!")
    return {"id": number, "type": "timeseries", "title": title, "datasource": SOURCE, "gridPos": place, "fieldConfig": {"defaults": {"unit": unit} | least, "overrides": []},
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
