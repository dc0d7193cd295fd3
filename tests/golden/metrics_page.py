"""docs/metrics.md: every metric, by area, made of the tables in the sources (golden/operations.py reads them). `./dev generate` rewrites it; tests/e2e/metrics_page_test.py compares it with what a
running proxy says, and with the dashboard and the alert rules of docs/."""

from golden.operations import ROOT, metrics, table

PAGE = ROOT / "docs" / "metrics.md"

# Area, and how the names in it begin. The first that fits counts.
AREAS = (
    ("Requests", ("http_", "rpc_", "outrigger_request_ends", "outrigger_opaque", "outrigger_streams", "outrigger_tunnels")),
    ("Clients and their connections", ("outrigger_downstream", "outrigger_detected", "outrigger_proxy_headers")),
    ("Services, endpoints and their connections", ("outrigger_upstream", "outrigger_pool_reused", "outrigger_pool_stale", "outrigger_pool_wait", "outrigger_pool_full", "outrigger_service",
                                                   "outrigger_endpoint", "outrigger_health", "outrigger_starvation")),
    ("Tries", ("outrigger_attempts", "outrigger_retries", "outrigger_hedges")),
    ("Policies", ("outrigger_policy", "outrigger_breaker", "outrigger_bulkhead", "outrigger_subrequests", "outrigger_mirror", "outrigger_tokens", "outrigger_jwks")),
    ("Names", ("outrigger_dns",)),
    ("Certificates and TLS", ("outrigger_identity", "outrigger_trust_root", "outrigger_edge", "outrigger_ca_set", "outrigger_tls")),
    ("Documents", ("outrigger_config", "outrigger_worker_")),
    ("Telemetry itself", ("outrigger_access_log", "outrigger_tap", "outrigger_export", "outrigger_otlp", "outrigger_audit", "outrigger_span", "outrigger_trace", "outrigger_telemetry", "outrigger_metric")),
    ("Limits, memory and the loop", ("outrigger_limit", "outrigger_output", "outrigger_http2", "outrigger_buffer", "outrigger_pool_chunks", "outrigger_memory", "outrigger_loop", "outrigger_mailbox")),
    ("The process", ("outrigger_build", "outrigger_ready", "outrigger_draining", "outrigger_workers", "process_")),
)

HEAD = """# Metrics

Made of the tables in the sources by `./dev generate`. What `GET /metrics` serves, on the metrics and the admin address; [telemetry.md](telemetry.md#metrics) says how requests are told, what bounds
series, and what to make of it: a [dashboard](grafana/outrigger.json) for Grafana and [alert rules](prometheus/alerts.yaml) for Prometheus use these names.

A metric that nothing was counted for has no series. Labels with a few values of ours have them behind a colon. The unit is `s` (seconds), `By` (bytes), or nothing: a number of things.
"""


def unit(name):
    return "s" if name.removesuffix("_total").endswith("_seconds") else "By" if name.removesuffix("_total").endswith("_bytes") else ""


def area(metric):
    fits = [title for title, beginnings in AREAS if metric.name.startswith(beginnings)]
    assert fits, f"{metric.name} has no area: tests/golden/metrics_page.py"
    return fits[0]


def page():
    found = metrics()
    parts = [HEAD]
    for title, _ in AREAS:
        rows = [(f"`{one.name}`", one.type, unit(one.name), one.labels or "-", one.help) for one in found if area(one) == title]
        parts.append(f"## {title}\n\n{table(('metric', 'type', 'unit', 'labels', 'what it says'), rows)}\n")
    return "\n".join(parts)


def rewrite():
    PAGE.write_text(page(), encoding="utf-8")
