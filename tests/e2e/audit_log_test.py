# presets: dev tsan release
"""The audit log: who changed what on the proxy, who was refused what; nothing that anybody sends breaks or forges a line, and what is lost is told."""

import json
import os
import re
import signal
import socket

import pytest

from support.authorize import authorize
from support.backend import reply
from support.fleet import BIN, ROOT, eventually
from support.hop import API, Hop
from support.wire import exchange


def rules(*allowed):
    return authorize("guard", "Deny", {"name": "secret", "matches": [{"path": {"type": "PathPrefix", "value": "/secret"}}]})


class Audited:
    """A proxy beside an application that denies /secret, with an audit log."""

    def __init__(self, fleet, policies=(), start=True, **audit):
        self.path = fleet.folder / "hop" / "audit.log"
        self.hop = Hop(fleet, inbound={"in": {"forwardTo": fleet.backend(reply(200)).address}}, outbound=False, service="app", policies=[rules(), *policies], start=False)
        self.hop.proxy["spec"]["telemetry"]["auditLog"] = {"path": str(self.path), **audit}
        if start:
            self.hop.start()

    @property
    def address(self):
        return self.hop.inbound["in"]

    def lines(self, **wanted):
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        lines = [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]
        return [line for line in lines if wanted.items() <= line.items()]

    def line(self, **wanted):
        return eventually(lambda: self.lines(**wanted), what=f"a line with {wanted}; {self.lines()[-3:]}")[0]


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


@pytest.mark.parametrize("field", ["path", "authority", "request_id"])
@pytest.mark.parametrize("value", ["a\"b", "\"},{\"event\":\"forged\"", "caf\xc3\xa9\xff\xfe", "x" * 200, "a\\b"], ids=["quote", "forged", "bytes", "long", "backslash"])
def test_nothing_that_a_client_sends_breaks_a_line(fleet, field, value):
    audited = Audited(fleet)
    sent = {"path": "/", "authority": "app", "request_id": "1", field: value}
    target = "/secret/" + re.sub(r"[^a-z\"]", "x", sent["path"])
    host = re.sub(r"[^a-z]", "x", sent["authority"])
    exchange(audited.address, f"GET {target} HTTP/1.1\r\nHost: {host}\r\nX-Request-Id: {sent['request_id']}\r\n\r\n".encode("latin-1"))
    line = audited.line(event="denied")
    assert line["end"] == "denied" and audited.lines(event="forged") == []


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


def test_changes_by_the_admin_listener_are_told_with_who_and_how(fleet):
    audited = Audited(fleet)
    hop = audited.hop
    assert hop.post("/logging?level=debug&token=hidden")[0] == 200
    done = audited.line(event="admin", page="/logging")
    assert (done["result"], done["status"], done["listener"]) == ("done", 200, "admin") and done["peer"].startswith("127.0.0.1:")
    assert done["arguments"] == "level=debug&token=REDACTED" and "hidden" not in audited.path.read_text()
    assert exchange(hop.admin, f"POST /drain HTTP/1.1\r\nHost: {hop.admin}\r\nContent-Length: 0\r\n\r\n").status == 401
    refused = audited.line(event="admin", page="/drain")
    assert (refused["result"], refused["status"]) == ("refused", 401)
    assert hop.post("/reload")[0] == 200
    assert audited.line(event="configuration", cause="admin")["result"] == "accepted"
    hop.post("/drain")
    audited.line(event="process", result="draining")


def test_over_a_unix_socket_the_process_is_named(fleet):
    audited = Audited(fleet, start=False)
    path = fleet.folder / "admin.sock"
    audited.hop.proxy["spec"]["admin"] = {"address": f"unix:{path}"}
    audited.hop.start()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"POST /logging?level=info HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        assert b" 200 " in client.makefile("rb").readline()
    line = audited.line(event="admin")
    assert (line["peer"], line["uid"], line["pid"]) == ("unix", os.getuid(), os.getpid())


def test_documents_and_the_process_are_told(fleet):
    audited = Audited(fleet)
    hop = audited.hop
    assert hop.page("/config")["proxy"]["audit_log"] == str(audited.path)
    assert audited.line(event="configuration") == {"time": audited.lines()[0]["time"], "event": "configuration", "result": "accepted", "cause": "start", "generation": 1}
    audited.line(event="process", result="ready")
    good = hop.documents
    hop.write([*good, {"apiVersion": API, "kind": "TelemetryPolicy", "metadata": {"name": "bad"}, "spec": {}}])
    hop.process.signal(signal.SIGHUP)
    refused = audited.line(event="configuration", result="refused", cause="signal")
    assert refused["errors"] == 1 and "targetRefs" in refused["reason"] and refused["generation"] == 1
    hop.write(good)
    hop.process.signal(signal.SIGHUP)
    audited.line(event="configuration", result="accepted", cause="signal", generation=2)
    hop.process.stop()
    assert [line["result"] for line in audited.lines(event="process")] == ["ready", "draining", "ending", "ended"]


def test_the_file_is_opened_anew_by_signal(fleet):
    audited = Audited(fleet)
    audited.line(event="process", result="ready")
    audited.path.rename(f"{audited.path}.1")
    audited.hop.process.signal(signal.SIGUSR1)
    eventually(audited.path.exists)
    exchange(audited.address, "GET /secret HTTP/1.1\r\nHost: app\r\n\r\n")
    audited.line(event="denied")


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
    exchange(audited.address, "GET /secret/3 HTTP/1.1\r\nHost: app\r\n\r\n")
    audited.hop.logged(path="/secret/3")
    assert len(audited.lines(event="denied")) == 1


def test_what_is_lost_is_counted(fleet):
    """A file that cannot be written to: each line is counted as lost."""
    audited = Audited(fleet, path="/dev/full")
    exchange(audited.address, "GET /secret HTTP/1.1\r\nHost: app\r\n\r\n")
    eventually(lambda: audited.hop.figure("outrigger_audit_log_dropped_total", reason="failed") >= 1)


def test_the_page_of_the_fields_is_complete():
    header = re.sub(r"\s*\\\n\s*", " ", (ROOT / "proxy/telemetry/audit_log.h").read_text())
    fields = re.findall(r'X\(\w+, "(\w+)", (?:true|false), \d+, "([^"]+)"\)', header)
    events = re.findall(r'X\(\w+, "(\w+)", "([^"]+)"\)', header)
    page = (ROOT / "docs/telemetry.md").read_text()
    page = page[page.index("## Audit log"):]
    assert len(fields) > 20 and len(events) == 6
    assert re.findall(r"^\| `(\w+)` \| (.+) \|$", page, re.M)[:len(events) + len(fields)] == events + fields


def test_a_block_without_a_path_is_refused(fleet):
    audited = Audited(fleet, start=False)
    audited.hop.proxy["spec"]["telemetry"]["auditLog"] = {"events": ["Nothing"]}
    done = fleet.run([BIN / "outrigger", "check", audited.hop.write()])
    assert done.returncode == 3 and "auditLog.path: is required" in done.stdout + done.stderr and "Changes, Denials, Limits" in done.stdout + done.stderr
