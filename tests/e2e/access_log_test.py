"""The access log: one line of JSON for each request that is wanted, with what people look for; nothing that a client sends can break or forge a line."""

import json
import os
import re
import signal
import socket
import threading

import pytest

from support.backend import held, message, replay, reply
from support.fleet import BIN, ROOT, answers, eventually
from support.h2_peer import H2Client
from support.hop import Hop, service
from support.wire import Wire, exchange


def exchange_on(wire, request):
    wire.send(request)
    return wire.response()


def hop_with(fleet, script=reply(200, b"hello"), workers=2, **log):
    """Lines of two workers are in no fixed order: a test that reads all of them once one is there says workers=1."""
    hop = Hop(fleet, {"backend": [fleet.backend(script).address]}, start=False, workers=workers)
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


@pytest.mark.parametrize("head, wanted", [
    (b'GET /a"b\\{} HTTP/1.1', {"path": '/a"b\\{}', "end": "bad_request"}), (b'GET /a"b{} HTTP/1.1', {"path": '/a"b{}', "end": "ok"}), (b"GET /" + b"x" * 5000 + b" HTTP/1.1", {"path": "/" + "x" * 348 + "...", "end": "ok"}),
    (b'GET / HTTP/1.1\r\nUser-Agent: a"b\\c\td {"end":"forged"}', {"user_agent": 'a"b\\c\td {"end":"forged"}', "end": "ok"}),
    (b"GET / HTTP/1.1\r\nUser-Agent: caf\xc3\xa9 \xff\xfe", {"user_agent": "caf\xe9 \ufffd\ufffd", "end": "ok"}),
    (b'GET / HTTP/1.1\r\nX-Request-Id: "},{"a":"', {"request_id": '"},{"a":"', "end": "ok"}),
    (b"GET / HTTP/1.1\r\nUser-Agent: " + b"\xf0\x9f" * 2000, {"user_agent": "\ufffd" * 47 + "...", "end": "ok"}),
    (b"GET /a\x01b HTTP/1.1", {"end": "bad_request"}), (b"GET / HTTP/1.1\r\nUser-Agent: a\x00b", {"end": "bad_request", "path": "/"})])
def test_nothing_that_a_client_sends_breaks_a_line(fleet, head, wanted):
    """Its values reach the log as they are, or as UTF-8 has them; more in access_formats_test.py."""
    hop = hop_with(fleet, workers=1)
    exchange(hop.address, head + b"\r\nHost: backend\r\n\r\n")
    exchange(hop.address, "GET /next HTTP/1.1\r\nHost: backend\r\n\r\n")
    hop.logged(path="/next")
    lines = hop.access_log.read_bytes().decode("utf-8").splitlines()
    assert len(lines) == 2 and wanted.items() <= json.loads(lines[0]).items(), lines


def test_the_usual_filter_is_errors(fleet):
    hop = Hop(fleet, [service("backend", [fleet.backend(reply(404)).address]), service("bad", [fleet.backend(reply(500)).address])], start=False, workers=1)
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
    old, hop.access_log = hop.access_log, fleet.folder / "hop" / "elsewhere.log"
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


def test_a_template_says_the_form(fleet):
    hop = hop_with(fleet, format="Text", template='%{peer} "%{method} %{path}" %{status} %{grpc_status} "%{user_agent}" 100%%')
    exchange(hop.address, b"GET /a HTTP/1.1\r\nHost: backend\r\nUser-Agent: x\" 500 \x1b[2J\r\n\r\n".replace(b"\x1b", b"\t"))
    line = eventually(lambda: hop.access_log.exists() and hop.access_log.read_text())
    assert re.fullmatch(r'127\.0\.0\.1:\d+ "GET /a" 200 - "x\\" 500 \\t\[2J" 100%\n', line), line
    hop.proxy["spec"]["telemetry"]["accessLog"].pop("template")
    hop.reload()
    exchange(hop.address, "GET /b HTTP/1.1\r\nHost: backend\r\n\r\n")
    eventually(lambda: '"GET backend/b HTTP/1.1" 200 ok ' in hop.access_log.read_text())


@pytest.mark.parametrize("log, message", [
    ({"format": "Text", "template": "%{statu}"}, "%{statu} is no field; did you mean %{status}?"),
    ({"format": "Text", "template": "50% off"}, "% off is no field; allowed: %{name}"),
    ({"format": "Text", "template": "%%" * 100}, "has more than 64 fields"),
    ({"template": "%{status}"}, "is for format Text alone"),
    ({"format": "Text", "template": "%UPSTREAM_HOSTS%"}, "%UPSTREAM_HOSTS% is no field; did you mean %UPSTREAM_HOST%?"),
    ({"format": "Text", "template": "%REQ(Authorization)%"}, "Authorization would stand in the log for all to read"),
    ({"format": "Text", "template": "%RESP(x-a?set-cookie)%"}, "set-cookie would stand in the log for all to read"),
    ({"format": "Text", "template": "%START_TIME(%Q)%"}, "has no format of a time that is known here"),
    ({"sampling": {"numerator": 2}}, "2 of 1 is more than all"),
    ({"format": "Text", "template": "a\nb"}, "control"),
    ({"format": "Text", "template": "a\n\n"}, "control")])
def test_a_template_that_is_wrong_is_refused(fleet, log, message):
    hop = Hop(fleet, {"backend": ["127.0.0.1:1"]}, start=False)
    hop.proxy["spec"]["telemetry"]["accessLog"].update(log)
    done = fleet.run([BIN / "outrigger", "check", hop.write()])
    assert done.returncode == 3 and message in done.stdout + done.stderr, done.stdout + done.stderr


def test_the_page_of_the_fields_is_complete():
    said = re.findall(r"X\(\w+, \"(\w+)\", \d+, \"([^\"]+)\"\)", (ROOT / "proxy/telemetry/access_log.h").read_text())
    page = (ROOT / "docs/operations.md").read_text()
    assert len(said) > 20 and said == [(name, text) for name, text in re.findall(r"^\| `(\w+)` \| (.+) \|$", page, re.M) if name in dict(said)]


def test_the_page_of_the_operators_is_complete():
    header = re.sub(r"\s*\\\n\s*", " ", (ROOT / "proxy/telemetry/access_template.h").read_text())
    said = [(name, "".join(re.findall(r'"([^"]*)"', text))) for name, text in re.findall(r'X\((\w+), \w+, ((?:"[^"]*"\s*)+)\)', header)]
    page = (ROOT / "docs/telemetry.md").read_text()
    assert len(said) > 20 and said == re.findall(r"^\| `([A-Z_]{3,})` \| (.+) \|$", page, re.M)[:len(said)]


ENVOY = ('[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% '
         '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %DOWNSTREAM_REMOTE_ADDRESS% '
         '%ROUTE_NAME% %TRACE_ID% %RESP(x-of-backend)%|%TRAILER(x-sum)%')


def test_a_format_of_envoy_s_says_the_same_here(fleet):
    script = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Of-Backend: here\r\nTrailer: x-sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n"
    hop = hop_with(fleet, replay(script), format="Text", template=ENVOY)
    trace = "0af7651916cd43dd8448eb211c80319c"
    exchange(hop.address, f"POST /a?secret=1 HTTP/1.1\r\nHost: backend\r\nUser-Agent: x\"y\r\nX-Request-Id: id-1\r\nTE: trailers\r\ntraceparent: 00-{trace}-b7ad6b7169203331-01\r\nContent-Length: 2\r\n\r\nhi")
    line = eventually(lambda: hop.access_log.exists() and hop.access_log.read_text())
    pattern = (r'\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\] "POST /a HTTP/1\.1" 200 - via_upstream 2 5 \d+ \d+ "-" "x\\"y" "id-1" "backend" "' + re.escape(fleet.backends[0].address) +
               r'" default/backend:80 127\.0\.0\.1:\d+ - ' + trace + r' here\|42\n')
    assert re.fullmatch(pattern, line), line
    exchange(hop.address, "GET /b HTTP/1.1\r\nHost: nobody\r\n\r\n")
    eventually(lambda: '"GET /b HTTP/1.1" 502 NR host_unknown 0 ' in hop.access_log.read_text())


def test_a_share_of_what_went_well_is_logged_and_all_that_failed(fleet):
    backends = [service("good", [fleet.backend(reply(200)).address]), service("bad", [fleet.backend(reply(503)).address])]
    hop = Hop(fleet, backends, start=False, workers=1)
    hop.proxy["spec"]["telemetry"]["accessLog"]["sampling"] = {"numerator": 1, "denominator": 4}
    hop.start()
    with Wire(hop.address) as wire:
        for count in range(200):
            for host in ("good", "bad"):
                exchange_on(wire, f"GET /{count} HTTP/1.1\r\nHost: {host}\r\nX-Request-Id: id-{count}\r\n\r\n")
    # R of a trace is the low 56 bits of its id: the last quarter of them is logged
    for first, is_logged in ((0x00, False), (0xbf, False), (0xc0, True), (0xff, True)):
        exchange(hop.address, f"GET /trace-{first} HTTP/1.1\r\nHost: good\r\ntraceparent: 00-{'1' * 18}{first:02x}{'0' * 12}-b7ad6b7169203331-00\r\n\r\n")
        if is_logged:
            hop.logged(path=f"/trace-{first}")
    lines = hop.log()
    assert len([line for line in lines if line["authority"] == "bad"]) == 200
    good = [line["request_id"] for line in lines if line["authority"] == "good" and not line["path"].startswith("/trace")]
    assert 20 < len(good) < 80 and {line["path"] for line in lines if line["path"].startswith("/trace")} == {"/trace-192", "/trace-255"}


def rotate(hop, number):
    hop.access_log.rename(f"{hop.access_log}.{number}")


@pytest.mark.parametrize("how", ["signal", "page", "alone"])
def test_a_file_that_was_renamed_is_opened_anew(fleet, how):
    hop = hop_with(fleet)
    exchange(hop.address, "GET /1 HTTP/1.1\r\nHost: backend\r\n\r\n")
    hop.logged(path="/1")
    rotate(hop, 1)
    if how == "signal":
        hop.process.signal(signal.SIGUSR1)
    elif how == "page":
        assert hop.post("/logging/reopen")[0] == 202

    def noticed():  # by itself: with a line that comes a second later
        if how == "alone":
            exchange(hop.address, "GET /2 HTTP/1.1\r\nHost: backend\r\n\r\n")
        return hop.access_log.exists()
    eventually(noticed)
    exchange(hop.address, "GET /3 HTTP/1.1\r\nHost: backend\r\n\r\n")
    hop.logged(path="/3")
    assert hop.figure("outrigger_access_log_dropped_total") == 0


def test_the_last_lines_are_written_before_the_end(fleet):
    hop = hop_with(fleet)
    with H2Client(hop.address) as client:
        for _ in range(50):
            assert client.get().status == 200
    hop.process.stop()
    assert len(hop.log()) == 50


def test_standard_output_may_be_a_socket(fleet):
    """As systemd gives it: it has no path that could be opened."""
    hop = Hop(fleet, {"backend": [fleet.backend().address]}, start=False)
    del hop.proxy["spec"]["telemetry"]["accessLog"]["path"]
    ours, theirs = socket.socketpair()
    program = "import os, sys; os.dup2(int(sys.argv[1]), 1); os.execv(sys.argv[2], sys.argv[2:])"
    os.set_inheritable(theirs.fileno(), True)
    hop.process = fleet.start("hop", ["/usr/bin/python3", "-c", program, theirs.fileno(), BIN / "outrigger-proxy", "--config", hop.write()],
                              answers(hop.metrics), pass_fds=[theirs.fileno()])
    exchange(hop.address, "GET /printed HTTP/1.1\r\nHost: backend\r\n\r\n")
    assert b'"path":"/printed"' in ours.recv(65536)
    ours.close()
    theirs.close()


def test_a_log_that_cannot_be_written_stops_no_request(fleet):
    hop = hop_with(fleet, path="/proc/nowhere/access.log")
    for _ in range(3):
        assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200
    eventually(lambda: hop.figure("outrigger_access_log_dropped_total") == 3)
