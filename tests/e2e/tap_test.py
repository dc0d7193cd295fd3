# presets: dev tsan release
"""/tap and `outrigger tap`: who looks on sees what was asked for, as the access log has it, and disturbs nobody."""

import fcntl
import json
import os
import signal
import socket
import struct
import termios
import urllib.parse
from pathlib import Path

import pytest

from support.backend import reply
from support.fleet import READY_S, eventually, http_get
from support.hop import API, Hop
from support.wire import Wire, exchange

COMMAND = Path(os.environ["OUTRIGGER_BIN"]) / "outrigger"
MATCHES = [{"path": {"type": "PathPrefix", "value": "/secret"}}]
DENY = {"apiVersion": API, "kind": "AuthorizationPolicy", "metadata": {"name": "closed"},
        "spec": {"targetRefs": [{"kind": "Service", "name": "courses"}], "action": "Deny", "rules": [{"name": "nobody", "matches": MATCHES}]}}


def hop_of(fleet, workers=1, policies=(), script=None, **spec):
    backend = fleet.backend(script or reply(200, b"hello"))
    return Hop(fleet, {"courses": [backend.address], "gone": ["127.0.0.1:9"]}, policies=policies, inbound={"inbound": {"forwardTo": backend.address}}, service="courses",
               workers=workers, **spec)


def send(address, path="/", host="courses", method="GET", **fields):
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return exchange(address, f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n", method)


class Tap(Wire):
    """A reader. Once its head is there no request that ends is missed."""

    def __init__(self, hop, **wanted):
        if hop.admin.startswith("unix:"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(READY_S)
            self.socket.connect(hop.admin[len("unix:"):])
            self.received = bytearray()
        else:
            super().__init__(hop.admin)
        self.get("/tap?" + urllib.parse.urlencode(wanted), host="localhost")
        self.answer = self.head()
        self.text = b""
        assert self.answer.status == 200 and self.answer.header("content-type") == "application/x-ndjson" and self.answer.header("transfer-encoding") == "chunked"

    def line(self):
        while b"\n" not in self.text:
            piece = self.chunk()
            assert piece, "the tap ended"
            self.text += piece
        line, self.text = self.text.split(b"\n", 1)
        return json.loads(line)

    def lines(self, count):
        return [self.line() for _ in range(count)]

    def to_the_end(self):
        """(requests, the last line); what was said in between of dropped lines is left out."""
        while piece := self.chunk():
            self.text += piece
        assert self.text.endswith(b"\n")
        lines = [json.loads(line) for line in self.text.splitlines()]
        assert lines[-1]["event"] == "end"
        assert self.take(2) == b"\r\n"
        return [line for line in lines if "event" not in line], lines[-1]


def refused(hop, query):
    status, body = http_get(hop.admin, "/tap?" + query)
    return status, json.loads(body)["error"]


def over(hop):
    eventually(lambda: hop.figure("outrigger_taps") == 0, what="the end of all taps")


# --- what is seen ---

@pytest.mark.parametrize("workers", [1, 2])
def test_a_reader_gets_what_it_asked_for_and_nothing_else(fleet, workers):
    hop = hop_of(fleet, workers, [DENY])
    with Tap(hop, path="/a", method="GET", count=6) as tap, Tap(hop, listener="inbound", status="4xx", count=2) as denied, Tap(hop, end="connect_refused", count=1) as broken:
        for number in range(6):
            assert send(hop.address, f"/a/{number}?token=hush").status == 200
            assert send(hop.address, f"/b/{number}").status == 200
            assert send(hop.address, "/a", method="POST", content_length="0").status == 200
        for number in range(2):
            assert send(hop.inbound["inbound"], f"/secret/{number}").status == 403
            assert send(hop.inbound["inbound"], "/open").status == 200
        assert send(hop.address, host="gone").status == 502
        seen, end = tap.to_the_end()
        assert {line["path"] for line in seen} == {f"/a/{number}" for number in range(6)} and end == {"event": "end", "reason": "count", "dropped": 0, "lines": 6}
        assert all((line["listener"], line["method"], line["status"], line["service"]) == ("outbound", "GET", 200, "default/courses:80") for line in seen)
        seen, end = denied.to_the_end()
        assert {(line["path"], line["status"], line["end"], line["policy"]) for line in seen} == {
            (f"/secret/{number}", 403, "denied", "AuthorizationPolicy/default/closed: nobody") for number in range(2)}
        (line,), _ = broken.to_the_end()
        assert line["service"] == "default/gone:80" and line["status"] == 502
    assert hop.figure("outrigger_tap_lines_total") == 9 and hop.figure("outrigger_tap_dropped_total") == 0
    over(hop)


def test_lines_are_those_of_the_access_log_whatever_a_request_has_in_it(fleet):
    keys = [{"type": "Header", "name": "x-api-key"}]
    hop = hop_of(fleet)
    hop.proxy["spec"]["telemetry"]["accessLog"].update({"keys": keys, "headers": ["x-tier"]})
    hop.reload()
    requests = ["GET /a?token=hush1 HTTP/1.1\r\nHost: courses\r\nAuthorization: Bearer hush2\r\nCookie: a=hush3\r\nX-Api-Key: hush4\r\nX-Tier: free&\"tier\"\r\n\r\n",
                "GET /%22%7B%0A HTTP/1.1\r\nHost: courses\r\n\r\n", "GET /b HTTP/1.1\r\nHost: courses\r\nUser-Agent: \"}\n{\"x\":1}\r\n\r\n",
                "GET /c HTTP/1.1\r\nHost: courses\r\nUser-Agent: \xff\xfe\xc2\x9b\\\"\t}\r\nX-Request-Id: a\"b\r\n\r\n",
                "GET /" + "d" * 3000 + " HTTP/1.1\r\nHost: courses\r\n\r\n", "GET /e HTTP/1.1\r\nHost: a\"b\r\n\r\n"]
    with Tap(hop, count=len(requests)) as tap:
        for request in requests:
            exchange(hop.address, request)
        seen, _ = tap.to_the_end()
    logged = hop.logged(len(requests))
    assert seen == logged and "hush" not in json.dumps(seen)
    assert seen[0]["path"] == "/a" and seen[0]["keys"].startswith("Header+x-api-key=") and seen[0]["request_headers"] == "x-tier=free%26%22tier%22"


def test_the_log_may_be_off_and_documents_may_change(fleet):
    hop = hop_of(fleet, 2)
    hop.proxy["spec"]["telemetry"]["accessLog"]["filter"] = "None"
    hop.reload()
    with Tap(hop) as tap:
        assert send(hop.address, "/1").status == 200 and tap.line()["path"] == "/1"
        hop.documents.append(DENY)
        hop.reload()
        assert send(hop.inbound["inbound"], "/secret").status == 403 and tap.line()["policy"] == "AuthorizationPolicy/default/closed: nobody"
        hop.reload()
        assert send(hop.address, "/2").status == 200 and tap.line()["path"] == "/2"
    over(hop)
    assert hop.log() == []


def test_by_time_taken_host_service_and_direction(fleet):
    hop = hop_of(fleet)
    with Tap(hop, slower="0ms", host="Courses", service="courses", direction="outbound", count=1) as tap, Tap(hop, slower="1h") as slow, Tap(hop, host="courses:1", count=1) as other:
        assert send(hop.address, "/late", host="courses:80").status == 200
        (line,), end = tap.to_the_end()
        assert line["path"] == "/late" and end["reason"] == "count"
        assert hop.figure("outrigger_tap_lines_total") == 1 and slow.text == other.text == b""


# --- its bounds ---

def hop_that_keeps_little(fleet, workers=1):
    """Of a reply: the system keeps less of one in a Unix socket than in others."""
    hop = hop_of(fleet, workers, start=False)
    hop.admin = hop.proxy["spec"]["admin"]["address"] = f"unix:{fleet.folder}/admin.sock"
    hop.start()
    return hop


def send_long(hop, wires, count):
    """So many whose lines are long, on each of these connections in turn."""
    for number in range(count):
        wire = wires[number % len(wires)]
        wire.get("/" + "p" * 400, host="courses", headers=["User-Agent: " + "u" * 180, "X-Request-Id: " + "i" * 120])
        assert wire.response().status == 200


@pytest.mark.parametrize("workers", [1, 2])
def test_a_reader_that_does_not_read_holds_nobody_up_and_is_told_what_it_missed(fleet, workers):
    count = 1000
    hop = hop_that_keeps_little(fleet, workers)
    with Tap(hop, rate=1000) as tap:
        wires = [Wire(hop.address) for _ in range(2 * workers)]
        send_long(hop, wires, count)
        for wire in wires:
            wire.close()
        eventually(lambda: hop.figure("outrigger_tap_lines_total") + hop.figure("outrigger_tap_dropped_total") == count, what="an end of every request")
        made, dropped = hop.figure("outrigger_tap_lines_total"), hop.figure("outrigger_tap_dropped_total", reason="full")
        assert dropped > 0 and made + dropped == count
        seen, told = 0, 0
        while seen < made or told < dropped:
            line = tap.line()
            assert line.get("event") in (None, "dropped")
            seen += "event" not in line
            told = line.get("dropped", told)
        assert (seen, told) == (made, dropped)
        assert send(hop.address, "/after").status == 200 and tap.line()["path"] == "/after"
    over(hop)


def test_more_than_its_rate_is_dropped_and_counted(fleet):
    hop = hop_of(fleet)
    with Tap(hop, rate=1, path="/x") as tap:
        with Wire(hop.address) as wire:
            for _ in range(50):
                wire.get("/x", host="courses")
                assert wire.response().status == 200
        hop.logged(50)
        made = hop.figure("outrigger_tap_lines_total")
        dropped = hop.figure("outrigger_tap_dropped_total", reason="rate")
        assert made >= 1 and dropped > 0 and made + dropped == 50 and hop.figure("outrigger_tap_dropped_total", reason="full") == 0
        seen, told = 0, 0
        while seen < made or told < dropped:
            line = tap.line()
            seen += "event" not in line
            told = line.get("dropped", told)
        assert (seen, told) == (made, dropped)


def test_a_reader_that_does_not_read_loses_its_place_behind_the_end(fleet):
    """A proxy keeps the place for ten seconds, for one who takes something of what waits."""
    hop = hop_that_keeps_little(fleet)
    with Tap(hop, rate=1000, duration="3s"), Wire(hop.address) as wire:
        while hop.figure("outrigger_tap_dropped_total", reason="full") == 0 and hop.figure("outrigger_taps") > 0:
            send_long(hop, [wire], 20)
        over(hop)


def test_a_slow_reader_gets_the_end_of_a_process_that_ends(fleet):
    hop = hop_that_keeps_little(fleet)
    with Tap(hop, rate=1000) as tap, Wire(hop.address) as wire:
        while hop.figure("outrigger_tap_dropped_total", reason="full") == 0:
            send_long(hop, [wire], 20)
        wire.close()
        made, dropped = hop.figure("outrigger_tap_lines_total"), hop.figure("outrigger_tap_dropped_total")
        hop.process.signal(signal.SIGTERM)
        seen, end = tap.to_the_end()
        assert len(seen) == made and end == {"event": "end", "reason": "shutdown", "dropped": dropped, "lines": made}
        hop.process.wait()


def test_it_ends_when_its_time_is_over(fleet):
    hop = hop_of(fleet)
    with Tap(hop, duration="100ms") as tap:
        assert tap.to_the_end() == ([], {"event": "end", "reason": "duration", "dropped": 0, "lines": 0})
        tap.get("/version", host="localhost")  # the connection is a good one still
        assert tap.response().status == 200
    over(hop)


def test_so_many_look_on_at_once_and_who_goes_makes_room(fleet):
    hop = hop_of(fleet, 2)
    taps = [Tap(hop) for _ in range(4)]
    assert refused(hop, "") == (503, "4 readers are there already, the most at once")
    row = next(row for row in hop.page("/limits") if row["limit"] == "taps")
    assert (row["use"], row["peak"], row["value"], row["hits"]) == (4, 4, 4, 1) and hop.figure("outrigger_taps") == 4
    taps[0].close()
    taps[1].break_off()
    taps[2].end()
    eventually(lambda: hop.figure("outrigger_taps") == 1)
    assert send(hop.address, "/x").status == 200 and taps[3].line()["path"] == "/x"
    with Tap(hop) as another:
        assert send(hop.address, "/y").status == 200 and another.line()["path"] == taps[3].line()["path"] == "/y"
    taps[3].close()
    over(hop)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_end_of_the_proxy_is_told(fleet, workers):
    hop = hop_of(fleet, workers)
    with Tap(hop) as tap, Tap(hop):
        for number in range(3):
            assert send(hop.address, f"/{number}", user_agent="u" * 150).status == 200
        first = tap.line()
        hop.process.signal(signal.SIGTERM)
        seen, end = tap.to_the_end()
        assert {line["path"] for line in [first, *seen]} == {"/0", "/1", "/2"} and end == {"event": "end", "reason": "shutdown", "dropped": 0, "lines": 3}
        hop.process.wait()


def test_a_drain_that_is_asked_for_does_not_end_it(fleet):
    hop = hop_of(fleet)
    with Tap(hop) as tap:
        assert hop.post("/drain")[0] == 202
        assert send(hop.address, "/late").status == 200 and tap.line()["path"] == "/late"
        assert hop.post("/shutdown")[0] == 202
        assert tap.to_the_end()[1]["reason"] == "shutdown"
        hop.process.wait()


def test_bad_questions_say_what_is_allowed(fleet):
    hop = hop_of(fleet)
    for query, says in (("colour=red", "parameters are listener, direction, method, host, path, status, end, service, route, as, slower, count, duration, rate, format"),
                        ("status=20", "status:"), ("count=0", "count:"), ("count=1000001", "count:"), ("duration=11m", "duration:"), ("duration=0s", "duration:"), ("rate=1001", "rate:"),
                        ("path=x", "path:"), ("path=/a?b", "path:"), ("path=/a%3Fb", "path:"), ("end=broken", "end:"), ("as=bob", "as:"), ("slower=5", "slower:"),
                        ("direction=up", "direction:"), ("method=a%20b", "method:"), ("host=a%20b", "host:"), ("listener=", "listener:"), ("format=xml", "format:"),
                        ("count=1&count=2", "count: once")):
        status, error = refused(hop, query)
        assert status == 400 and says in error, (query, error)
    assert exchange(hop.admin, "HEAD /tap HTTP/1.1\r\nHost: localhost\r\n\r\n", "HEAD").status == 200
    assert exchange(hop.admin, "GET /tap HTTP/1.1\r\nHost: rebound.example\r\n\r\n").status == 403
    assert http_get(hop.metrics, "/tap")[0] == 404
    assert hop.figure("outrigger_taps") == 0


# --- for people ---

def tap_command(fleet, hop, *options, output=None, exit_codes=(0,)):
    before = hop.figure("outrigger_taps")
    into = ["/bin/sh", "-c", 'exec "$@" > "$0"', output] if output else []
    process = fleet.start("tap", [*into, COMMAND, "tap", "--admin", hop.admin, *options], exit_codes=exit_codes)
    eventually(lambda: hop.figure("outrigger_taps") == before + 1, what="a reader")
    return process


def test_the_command_says_it_in_words(fleet):
    hop = hop_of(fleet, policies=[DENY])
    process = tap_command(fleet, hop, "--listener", "inbound", "--count", "2")
    assert send(hop.inbound["inbound"], "/a?b=c").status == 200
    assert send(hop.inbound["inbound"], "/secret", host="x\x1b").status in (400, 403)
    assert send(hop.inbound["inbound"], "/secret").status == 403
    process.wait()
    good, bad, *_ = lines = process.output().splitlines()
    words = good.split()
    assert len(lines) == 3 and words[1:5] == ["inbound", "GET", "courses/a", "200"] and words[5].endswith("ms") and ":" in words[6] and len(words) == 7
    assert " - end=\"" in bad and "\x1b" not in bad and lines[2].startswith("# end: count")


def test_the_command_passes_json_on_until_it_is_stopped(fleet):
    hop = hop_of(fleet)
    process = tap_command(fleet, hop, "--json", "--path", "/a", "--method", "GET", "--status", "2xx", "--rate", "1000")
    assert send(hop.address, "/a/b").status == 200 and send(hop.address, "/b").status == 200
    eventually(lambda: process.output().endswith("\n"))
    assert json.loads(process.output())["path"] == "/a/b"
    process.signal(signal.SIGINT)
    assert process.wait() == 0
    over(hop)


def test_the_command_tells_what_is_wrong(fleet):
    hop = hop_of(fleet)
    for arguments, code, says in ((["--status", "x"], 2, "status: 100 to 599"), (["--status"], 2, "a value is missing"), (["--colour", "red"], 2, "unknown option --colour"),
                                  (["more"], 2, "unknown option more")):
        result = fleet.run([COMMAND, "tap", "--admin", hop.admin, *arguments])
        assert (result.returncode, result.stdout) == (code, "") and says in result.stderr, result
    assert fleet.run([COMMAND, "tap", "--admin", "127.0.0.1:1"]).returncode == 1
    process = tap_command(fleet, hop, exit_codes=(1,))
    hop.process.kill()
    process.wait()
    assert "ended in the middle" in process.output()


def pipe_of(fleet):
    """(its path, the end to read from), of one page: what was put into it first is all that it takes."""
    path = fleet.folder / "pipe"
    os.mkfifo(path)
    end = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, 4096)
    return path, end


def waiting_in(pipe):
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]


def test_the_command_tells_that_its_output_fails(fleet):
    hop = hop_of(fleet)
    process = tap_command(fleet, hop, output="/dev/full", exit_codes=(1,))
    assert send(hop.address).status == 200
    process.wait()
    assert process.output() == "outrigger tap: output: No space left on device\n"
    over(hop)


def test_the_command_is_ended_by_a_pipe_that_nobody_reads(fleet):
    """As any command."""
    hop = hop_of(fleet)
    path, end = pipe_of(fleet)
    process = tap_command(fleet, hop, output=path, exit_codes=(-signal.SIGPIPE,))
    os.close(end)
    assert send(hop.address).status == 200
    process.wait()
    over(hop)


def test_the_command_is_stopped_while_nobody_takes_what_it_prints(fleet):
    hop = hop_of(fleet)
    path, end = pipe_of(fleet)
    process = tap_command(fleet, hop, "--json", "--rate", "1000", output=path)
    with Wire(hop.address) as wire:
        send_long(hop, [wire], 20)
        eventually(lambda: waiting_in(end) > 0, what="a full pipe")
        process.signal(signal.SIGINT)
        assert process.wait() == 0
    os.close(end)
    over(hop)
