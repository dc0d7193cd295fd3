# presets: dev release
"""The access log and the audit log as log records of OpenTelemetry: what a strict receiver decodes is what happened, with the ids of its trace."""

import signal
import threading

import pytest

from support.authorize import authorize
from support.backend import held, reply
from support.fleet import BIN, eventually
from support.hop import Hop, service
from support.otlp_receiver import PROTOCOLS, ended
from support.wire import Wire, exchange

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(params=PROTOCOLS)
def receiver(receiver_of, request):
    return receiver_of(request.param, "logs")


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
    for host in ("good", "bad", "good", "bad", "good"):
        exchange(hop.address, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
    hop.process.stop()  # nothing comes behind it
    assert [attributes(record)["server.address"] for record in receiver.spans] == ["bad", "bad"]


def test_what_ends_while_documents_change_is_in_one_place_or_the_other(fleet, receiver_of):
    """From a file to a collector and back, with so many services that workers switch over in many turns."""
    receiver = receiver_of(signal="logs")
    to_file = {"accessLog": {"path": str(fleet.folder / "hop" / "access.log"), "filter": "All"}}
    to_collector = {"accessLog": {"format": "OTLP", "filter": "All"}, "logs": {"endpoint": f"http://{receiver.address}", "batch": {"maxQueueSize": 65536, "scheduleDelay": "20ms"}}}
    hop = Hop(fleet, [service(f"s{number}", [f"127.0.0.1:{number + 1}"]) for number in range(400)], start=False, workers=2)
    hop.proxy["spec"]["telemetry"] = to_file
    hop.start()
    is_over = threading.Event()
    counts = []

    def ask():
        count = 0
        with Wire(hop.address) as wire:
            while not is_over.is_set():
                wire.send("GET / HTTP/1.1\r\nHost: nobody\r\n\r\n" * 8)
                for _ in range(8):
                    assert wire.response().status == 502
                count += 8
        counts.append(count)
    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for telemetry in (to_collector, to_file, to_collector):
        hop.proxy["spec"]["telemetry"] = telemetry
        for document in hop.documents[1:]:  # all of them change, so that there is something to switch over
            document["spec"]["endpoints"][0]["weight"] = document["spec"]["endpoints"][0].get("weight", 1) + 1
        hop.reload()
    is_over.set()
    for thread in threads:
        thread.join()
    assert len(counts) == 3
    made = hop.figure("outrigger_telemetry_records_total")
    eventually(lambda: len(hop.log()) + made == sum(counts), what=f"{sum(counts)} = {made} and {len(hop.log())} lines")
    disabled = hop.figure("outrigger_telemetry_records_dropped_total", reason="disabled")  # what still waited when it was to go to the file again
    hop.process.stop()
    assert len(receiver.spans) == made - disabled > 0


def test_records_that_have_nowhere_to_go_are_counted(fleet):
    hop = Hop(fleet, {"backend": [fleet.backend(reply(200)).address]}, start=False)
    hop.proxy["spec"]["telemetry"] = {"accessLog": {"format": "OTLP", "filter": "All"}}
    hop.start()
    for _ in range(3):
        assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200
    eventually(lambda: hop.figure("outrigger_access_log_dropped_total", reason="nowhere") == 3)


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


def test_the_end_in_a_hurry_is_a_record_too(fleet, receiver_of):
    """It is lost, and counted as one that was to be sent."""
    receiver, event = receiver_of(signal="logs"), threading.Event()
    backend = fleet.backend(held(event, b""))
    hop = Hop(fleet, {"backend": [backend.address]}, start=False)
    hop.proxy["spec"]["telemetry"].update(auditLog={"format": "OTLP"}, logs={"endpoint": f"http://{receiver.address}", "batch": {"scheduleDelay": "20ms"}})
    hop.start()
    with Wire(hop.address) as wire:
        wire.send("GET / HTTP/1.1\r\nHost: backend\r\n\r\n")
        eventually(lambda: backend.requests, what="a request that holds the end up")
        hop.process.signal(signal.SIGINT)
        eventually(lambda: "ending" in [attributes(record).get("outrigger.result") for record in receiver.spans], what="the first signal being told")
        hop.process.signal(signal.SIGINT)
        hop.process.wait()
        event.set()
    assert ended(hop, "logs")[0] == len(receiver.spans) + 1


def test_what_was_decided_is_a_record_that_leads_to_its_span(fleet, receiver, receiver_of):
    traces = receiver_of("http/protobuf", "traces")
    hop = Hop(fleet, inbound={"in": {"forwardTo": fleet.backend(reply(200)).address}}, outbound=False, service="app", start=False,
              policies=[authorize("guard", "Deny", {"name": "secret", "matches": [{"path": {"type": "PathPrefix", "value": "/secret"}}]})])
    soon = {"batch": {"scheduleDelay": "20ms"}}
    hop.proxy["spec"]["telemetry"].update(traces={"endpoint": f"http://{traces.address}", "events": "Log", **soon},
                                          logs={"endpoint": f"http://{receiver.address}", "protocol": PROTOCOLS[receiver.protocol], **soon})
    hop.start()
    assert exchange(hop.inbound["in"], f"GET /secret HTTP/1.1\r\nHost: app\r\ntraceparent: 00-{TRACE}-b7ad6b7169203331-01\r\n\r\n").status == 403
    [record] = eventually(lambda: receiver.spans)
    [span] = eventually(lambda: traces.spans)
    assert (record.event_name, record.severity_text, record.trace_id.hex(), record.span_id) == ("outrigger.refused", "INFO", TRACE, span.span_id)
    assert {"outrigger.policy": "AuthorizationPolicy/default/guard", "outrigger.rule": "secret", "outrigger.end": "denied"}.items() <= attributes(record).items()
    assert span.start_time_unix_nano <= record.time_unix_nano <= span.end_time_unix_nano <= record.observed_time_unix_nano
    assert not span.events and span.dropped_events_count == 0
    assert len(hop.log()) == 1


def test_what_makes_no_sense_is_told(fleet):
    hop = Hop(fleet, {"a": ["127.0.0.1:1"]}, start=False)
    hop.proxy["spec"]["telemetry"] = {"accessLog": {"format": "OTLP", "path": "/log"}, "logs": {"endpoint": "ftp://x"}}
    done = fleet.run([BIN / "outrigger", "check", hop.write()])
    said = done.stdout + done.stderr
    assert done.returncode == 3 and "accessLog.path: is not for format OTLP" in said and "logs.endpoint" in said
    hop.proxy["spec"]["telemetry"] = {"logs": {"endpoint": "http://127.0.0.1:4318"}}
    done = fleet.run([BIN / "outrigger", "check", hop.write()])
    assert done.returncode == 0 and "nothing is sent there" in done.stdout + done.stderr
    hop.proxy["spec"]["telemetry"] = {"accessLog": {"format": "OTLP"}, "auditLog": {"format": "OTLP"}}
    done = fleet.run([BIN / "outrigger", "check", hop.write()])
    said = done.stdout + done.stderr
    assert done.returncode == 0 and said.count("neither is set: nothing is logged") == 2, said
