# presets: dev tsan release
"""The audit log as such: what a line holds, which events are wanted, when it begins and ends, what is lost, what the documentation says."""

import re

from support.audited import Audited
from support.fleet import BIN, ROOT, eventually
from support.hop import API
from support.wire import exchange


def test_who_was_refused_what_is_told(fleet):
    audited = Audited(fleet)
    trace = "0af7651916cd43dd8448eb211c80319c"
    request = f"POST /secret/1?token=hidden HTTP/1.1\r\nHost: app\r\nAuthorization: Bearer hidden\r\nX-Request-Id: id-1\r\ntraceparent: 00-{trace}-b7ad6b7169203331-01\r\nContent-Length: 0\r\n\r\n"
    assert exchange(audited.address, request).status == 403
    assert exchange(audited.address, "GET /open HTTP/1.1\r\nHost: app\r\n\r\n").status == 200
    line = audited.line(event="denied")
    expected = {"status": 403, "listener": "in", "direction": "inbound", "end": "denied", "policy": "AuthorizationPolicy/default/guard: secret", "method": "POST", "authority": "app",
                "path": "/secret/1", "request_id": "id-1", "trace_id": trace}
    assert expected.items() <= line.items() and line["peer"].startswith("127.0.0.1:")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["time"])
    assert len(audited.lines(event="denied")) == 1 and "hidden" not in audited.path.read_text()


def test_limits_are_told_by_choice(fleet):
    limit = {"apiVersion": API, "kind": "RateLimitPolicy", "metadata": {"name": "few"},
             "spec": {"targetRefs": [{"kind": "Service", "name": "app"}], "rules": [{"name": "one", "key": [{"type": "ClientAddress"}], "limits": [{"requests": 1, "per": "1h"}]}]}}
    audited = Audited(fleet, [limit])
    assert [exchange(audited.address, "GET / HTTP/1.1\r\nHost: app\r\n\r\n").status for _ in range(2)] == [200, 429]
    audited.hop.logged(end="rate_limited")
    assert audited.lines(event="denied") == []
    audited.hop.proxy["spec"]["telemetry"]["auditLog"]["events"] = ["Limits"]
    audited.hop.reload()
    assert exchange(audited.address, "GET / HTTP/1.1\r\nHost: app\r\n\r\n").status == 429
    assert audited.line(event="denied")["policy"] == "RateLimitPolicy/default/few: one"
    exchange(audited.address, "GET /secret HTTP/1.1\r\nHost: app\r\n\r\n")
    audited.hop.logged(path="/secret")
    assert len(audited.lines(event="denied", end="denied")) == 0


def test_it_begins_and_ends_with_the_documents(fleet):
    audited = Audited(fleet, start=False)
    block = audited.hop.proxy["spec"]["telemetry"].pop("auditLog")
    audited.hop.start()
    assert exchange(audited.address, "GET /secret HTTP/1.1\r\nHost: app\r\n\r\n").status == 403
    audited.hop.proxy["spec"]["telemetry"]["auditLog"] = block
    audited.hop.reload()
    assert exchange(audited.address, "GET /secret/2 HTTP/1.1\r\nHost: app\r\n\r\n").status == 403
    audited.line(event="denied", path="/secret/2")
    assert len(audited.lines(event="denied")) == 1
    assert eventually(lambda: audited.hop.figure("outrigger_audit_log_lines_total")) >= 2
    del audited.hop.proxy["spec"]["telemetry"]["auditLog"]
    audited.hop.reload()
    assert audited.line(event="configuration", documents="~Proxy/default/hop", generation=3) == audited.lines()[-1], "who has ended it"
    exchange(audited.address, "GET /secret/3 HTTP/1.1\r\nHost: app\r\n\r\n")
    audited.hop.logged(path="/secret/3")
    assert len(audited.lines(event="denied")) == 1


def test_what_is_lost_is_counted(fleet):
    """A file that cannot be written to: each line is counted as lost."""
    audited = Audited(fleet, path="/dev/full")
    exchange(audited.address, "GET /secret HTTP/1.1\r\nHost: app\r\n\r\n")
    eventually(lambda: audited.hop.figure("outrigger_audit_log_dropped_total", reason="failed") >= 1)


def test_the_page_of_the_fields_is_complete():
    header = re.sub(r"\s*\\\n\s*", " ", (ROOT / "proxy/telemetry/audit_log.h").read_text()).replace('" "', "")
    fields = re.findall(r'X\(\w+, "(\w+)", (?:true|false), \d+, "([^"]+)"\)', header)
    events = re.findall(r'X\(\w+, "(\w+)", "([^"]+)"\)', header)
    page = (ROOT / "docs/telemetry.md").read_text()
    page = page[page.index("## Audit log"):]
    assert len(fields) > 30 and len(events) == 7
    assert re.findall(r"^\| `(\w+)` \| (.+) \|$", page, re.M)[:len(events) + len(fields)] == events + fields


def test_a_block_without_a_path_is_refused(fleet):
    audited = Audited(fleet, start=False)
    audited.hop.proxy["spec"]["telemetry"]["auditLog"] = {"events": ["Nothing"]}
    done = fleet.run([BIN / "outrigger", "check", audited.hop.write()])
    assert done.returncode == 3 and "auditLog.path: is required" in done.stdout + done.stderr and "Changes, Denials, Limits" in done.stdout + done.stderr
