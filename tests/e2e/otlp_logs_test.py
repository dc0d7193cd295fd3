# presets: dev release
"""The access log and the audit log as log records of OpenTelemetry: what a strict receiver decodes is what happened, with the ids of its trace."""

import pytest

from support.authorize import authorize
from support.backend import reply
from support.fleet import BIN, eventually
from support.hop import Hop, service
from support.otlp_receiver import OtlpReceiver
from support.wire import exchange

PROTOCOLS = {"http/protobuf": "HTTPProtobuf", "http/json": "HTTPJSON", "grpc": "GRPC"}
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(params=PROTOCOLS)
def receiver(request):
    receiver = OtlpReceiver(request.param, signal="logs")
    yield receiver
    receiver.close()


def logging_hop(fleet, receiver, **log):
    hop = Hop(fleet, [service("good", [fleet.backend(reply(200, b"hello")).address]), service("bad", [fleet.backend(reply(503)).address])], start=False)
    hop.proxy["spec"]["telemetry"] = {"accessLog": {"format": "OTLP", "filter": "All", **log},
                                      "logs": {"endpoint": f"http://{receiver.address}", "protocol": PROTOCOLS[receiver.protocol], "batch": {"scheduleDelay": "20ms"}}}
    return hop


def attributes(record):
    return {item.key: item.value.string_value or item.value.int_value for item in record.attributes}


def test_each_request_is_a_record(fleet, receiver):
    hop = logging_hop(fleet, receiver)
    hop.start()
    exchange(hop.address, f"GET /a?secret=1 HTTP/1.1\r\nHost: good\r\nUser-Agent: x\"\xff\r\ntraceparent: 00-{TRACE}-b7ad6b7169203331-01\r\n\r\n".encode("latin-1"))
    exchange(hop.address, "GET /b HTTP/1.1\r\nHost: bad\r\n\r\n")
    exchange(hop.address, "GET /c HTTP/1.1\r\nHost: nobody\r\n\r\n")
    records = eventually(lambda: receiver.spans if len(receiver.spans) >= 3 else None)
    assert len(records) == 3 and {record.event_name for record in records} == {"outrigger.access"}
    by_path = {attributes(record)["url.path"]: record for record in records}
    good = attributes(by_path["/a"])
    assert {"http.request.method": "GET", "http.response.status_code": 200, "server.address": "good", "http.response.body.size": 5, "url.scheme": "http",
            "outrigger.listener": "outbound"}.items() <= good.items()
    assert by_path["/a"].trace_id.hex() == TRACE and by_path["/a"].severity_text == "INFO" and "error.type" not in good
    assert by_path["/b"].severity_text == "ERROR"
    assert attributes(by_path["/c"])["error.type"] == "host_unknown" and by_path["/c"].severity_number == 17
    assert not hop.access_log.exists()


def test_the_filter_holds_for_records_too(fleet, receiver):
    hop = logging_hop(fleet, receiver, filter="Errors")
    hop.start()
    for host in ("good", "bad"):
        exchange(hop.address, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
    records = eventually(lambda: receiver.spans)
    assert [attributes(record)["server.address"] for record in records] == ["bad"]


def test_the_audit_log_is_sent_by_workers_and_by_the_main_thread(fleet, receiver):
    hop = Hop(fleet, inbound={"in": {"forwardTo": fleet.backend(reply(200)).address}}, outbound=False, service="app", start=False, workers=2,
              policies=[authorize("guard", "Deny", {"name": "secret", "matches": [{"path": {"type": "PathPrefix", "value": "/secret"}}]})])
    hop.proxy["spec"]["telemetry"].update(auditLog={"format": "OTLP"}, logs={"endpoint": f"http://{receiver.address}", "protocol": PROTOCOLS[receiver.protocol], "batch": {"scheduleDelay": "20ms"}})
    hop.start()
    assert exchange(hop.inbound["in"], "GET /secret HTTP/1.1\r\nHost: app\r\n\r\n").status == 403
    assert hop.post("/logging?level=info")[0] == 200
    wanted = {"outrigger.audit.process", "outrigger.audit.denied", "outrigger.audit.admin"}
    records = eventually(lambda: receiver.spans if wanted <= {record.event_name for record in receiver.spans} else None)
    denied = next(record for record in records if record.event_name == "outrigger.audit.denied")
    assert denied.severity_text == "WARN" and attributes(denied)["outrigger.policy"] == "AuthorizationPolicy/default/guard: secret"
    changed = next(record for record in records if record.event_name == "outrigger.audit.admin")
    assert attributes(changed)["outrigger.page"] == "/logging" and changed.severity_text == "INFO"
    assert "outrigger.access" not in {record.event_name for record in records} and len(hop.log()) == 1
    hop.process.stop()
    told = [attributes(record)["outrigger.result"] for record in receiver.spans if record.event_name == "outrigger.audit.process"]
    assert told == ["ready", "draining", "ending", "ended"]


def test_what_makes_no_sense_is_told(fleet):
    hop = Hop(fleet, {"a": ["127.0.0.1:1"]}, start=False)
    hop.proxy["spec"]["telemetry"] = {"accessLog": {"format": "OTLP", "path": "/log"}, "logs": {"endpoint": "ftp://x"}}
    done = fleet.run([BIN / "outrigger", "check", hop.write()])
    said = done.stdout + done.stderr
    assert done.returncode == 3 and "accessLog.path: is not for format OTLP" in said and "logs.endpoint" in said
    hop.proxy["spec"]["telemetry"] = {"logs": {"endpoint": "http://127.0.0.1:4318"}}
    done = fleet.run([BIN / "outrigger", "check", hop.write()])
    assert done.returncode == 0 and "has format OTLP: nothing is sent there" in done.stdout + done.stderr
    hop.proxy["spec"]["telemetry"] = {"accessLog": {"format": "OTLP"}, "auditLog": {"format": "OTLP"}}
    done = fleet.run([BIN / "outrigger", "check", hop.write()])
    said = done.stdout + done.stderr
    assert done.returncode == 0 and said.count("neither is set: nothing is logged") == 2, said
