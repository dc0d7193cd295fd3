"""The access log: one line of JSON for each request that is wanted, with what people look for; nothing that a client sends can break or forge a line."""

import json
import re
import threading

import pytest

from support.backend import held, message, reply
from support.fleet import eventually
from support.h2_peer import H2Client
from support.hop import Hop, service
from support.wire import Wire, exchange


def hop_with(fleet, script=reply(200, b"hello"), **log):
    hop = Hop(fleet, {"backend": [fleet.backend(script).address]}, start=False)
    hop.proxy["spec"]["telemetry"]["accessLog"].update(log)
    hop.start()
    return hop


def test_a_line_says_what_happened(fleet):
    hop = hop_with(fleet)
    request = "POST /path/1?secret=1 HTTP/1.1\r\nHost: backend\r\nUser-Agent: tester/1\r\nX-Request-Id: abc\r\nAuthorization: Bearer secret\r\nCookie: secret=1\r\nContent-Length: 4\r\n\r\nbody"
    assert exchange(hop.address, request).status == 200
    line = hop.logged()
    expected = {"listener": "outbound", "direction": "outbound", "method": "POST", "authority": "backend", "path": "/path/1", "version": "1.1", "tls": False, "status": 200, "end": "ok",
                "request_bytes": 4, "response_bytes": 5, "service": "default/backend:80", "endpoint": fleet.backends[0].address, "attempts": 1, "request_id": "abc", "user_agent": "tester/1"}
    assert expected.items() <= line.items()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["time"]) and line["peer"].startswith("127.0.0.1:")
    assert line["duration_us"] >= line["upstream_duration_us"] > 0
    assert "secret" not in hop.access_log.read_text()


def test_each_request_has_one_line(fleet):
    hop = hop_with(fleet)
    with Wire(hop.address) as wire, H2Client(hop.address) as client:
        for count in range(20):
            assert wire.get(f"/1/{count}").response().status == 200
            assert client.get(f"/2/{count}").status == 200
    lines = hop.logged(40, end="ok")
    assert sorted(line["path"] for line in lines) == sorted(f"/{version}/{count}" for version in (1, 2) for count in range(20))
    assert {line["version"] for line in lines} == {"1.1", "2"}


def test_a_line_comes_at_the_end_of_its_request(fleet):
    event = threading.Event()
    hop = hop_with(fleet, held(event, message(200, b"x")))
    with Wire(hop.address) as wire:
        wire.get("/slow")
        eventually(lambda: hop.figure("outrigger_streams_active") == 1)
        assert hop.log() == []
        event.set()
        assert wire.response().status == 200
    hop.logged(path="/slow")


@pytest.mark.parametrize("name, value, field", [("GET /a\"b\\{} HTTP/1.1", None, "path"), (None, "User-Agent: a\"b\\c\td {\"end\":\"forged\"}", "user_agent"), (None, "User-Agent: caf\xc3\xa9 \xff\xfe", "user_agent"),
                                                (None, "X-Request-Id: \"},{\"a\":\"", "request_id"), (None, "User-Agent: " + "\xf0\x9f" * 2000, "user_agent"), ("GET /" + "x" * 5000 + " HTTP/1.1", None, "path")])
def test_nothing_that_a_client_sends_breaks_a_line(fleet, name, value, field):
    hop = hop_with(fleet)
    request = "\r\n".join([name or "GET / HTTP/1.1", "Host: backend", *([value] if value else []), "", ""])
    exchange(hop.address, request.encode("latin-1"))
    exchange(hop.address, "GET /next HTTP/1.1\r\nHost: backend\r\n\r\n")
    hop.logged(path="/next")
    lines = hop.access_log.read_bytes().decode("utf-8").splitlines()
    assert len(lines) == 2 and json.loads(lines[0])["end"] != "forged"
    assert field in json.loads(lines[0]) or json.loads(lines[0])["end"] != "ok"


def test_the_usual_filter_is_errors(fleet):
    hop = Hop(fleet, [service("backend", [fleet.backend(reply(404)).address]), service("bad", [fleet.backend(reply(500)).address])], start=False)
    del hop.proxy["spec"]["telemetry"]["accessLog"]["filter"]
    hop.start()
    for host in ("backend", "bad", "nobody", "backend"):
        exchange(hop.address, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
    hop.logged(end="host_unknown")
    assert [(line["authority"], line["status"]) for line in hop.log()] == [("bad", 500), ("nobody", 502)]


def test_none_is_none(fleet):
    hop = hop_with(fleet, filter="None")
    assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: nobody\r\n\r\n").status == 502
    assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200
    eventually(lambda: hop.figure("outrigger_streams_active") == 0)
    assert hop.log() == []


def test_filter_and_path_change_with_the_documents(fleet):
    hop = hop_with(fleet)
    assert exchange(hop.address, "GET /1 HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200
    hop.logged(path="/1")
    old, hop.access_log = hop.access_log, fleet.folder / "elsewhere.log"
    hop.proxy["spec"]["telemetry"]["accessLog"]["path"] = str(hop.access_log)
    hop.reload()
    assert exchange(hop.address, "GET /2 HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200
    hop.logged(path="/2")
    assert "/2" not in old.read_text()


def test_standard_output_is_the_usual_path(fleet):
    hop = Hop(fleet, {"backend": [fleet.backend().address]}, start=False)
    del hop.proxy["spec"]["telemetry"]["accessLog"]["path"]
    hop.start()
    assert exchange(hop.address, "GET /printed HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200
    eventually(lambda: '"path":"/printed"' in hop.process.output())


def test_a_log_that_cannot_be_written_stops_no_request(fleet):
    hop = hop_with(fleet, path="/proc/nowhere/access.log")
    for _ in range(3):
        assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200
    eventually(lambda: hop.figure("outrigger_access_log_dropped_total") == 3)
