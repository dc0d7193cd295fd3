"""An application calls another through two sidecars: every version on either side, HTTP/2 over mutual TLS between them; what arrives, what is kept, what is hidden, how errors look."""
# seconds: 38

import collections
import json
import re
import threading

import grpc
import pytest

from support.backend import cut, held, message, replay, reply
from support.fleet import eventually, take_port
from support.grpc_echo import GrpcClient, GrpcServer, rounded_up, status
from support.h2_peer import H2Client, h2_echo, h2_server
from support.hop import traffic
from support.pair import CALLEE, CALLER, Pair
from support.test_ca import Authority
from support.wire import Wire, exchange

GET = "GET / HTTP/1.1\r\nHost: backend\r\n\r\n"


def told(response):
    assert response.status == 200, response
    return json.loads(response.body)


def test_a_request_arrives_as_it_was_sent(fleet):
    pair = Pair(fleet, fleet.backend().address)
    lines = ["X-Custom: Value", "Accept: a", "Cookie: a=1; b=2", "ETag: \"x\"", "User-Agent: me", "Content-Length: 4"]
    seen = told(exchange(pair.address, "\r\n".join(["POST /path?q=%20 HTTP/1.1", "Host: backend", *lines, "", "body"])))
    headers = dict(seen["headers"])
    assert (seen["method"], seen["target"], seen["version"], seen["body"]) == ("POST", "/path?q=%20", "HTTP/1.1", "body")
    assert (headers["Host"], headers["X-Custom"], headers["Cookie"], headers["ETag"]) == ("backend", "Value", "a=1; b=2", '"x"')
    assert f"URI={CALLER}" in headers["X-Forwarded-Client-Cert"].split(";")
    assert not [name for name in headers if name.lower().startswith("outrigger-")]
    near, far = pair.near.logged(end="ok"), pair.far.logged(end="ok")
    assert near["request_id"] == far["request_id"] == headers["X-Request-Id"]
    assert (far["tls"], far["peer_identity"], near["tls"], near["version"]) == (True, CALLER, False, "1.1")


def test_a_response_arrives_as_it_was_sent(fleet):
    answer = message(201, b"made", [("X-Custom", "1"), ("ETag", '"x"'), ("WWW-Authenticate", "Basic"), ("Set-Cookie", "a"), ("Set-Cookie", "b"), ("outrigger-refused", "mine"),
                                    ("Connection", "x-hop"), ("x-hop", "1")])
    response = exchange(Pair(fleet, fleet.backend(replay(answer)).address).address, GET)
    assert (response.status, response.body) == (201, b"made")
    assert [one for one in response.headers if one[0] != "Content-Length"] == [("X-Custom", "1"), ("ETag", '"x"'), ("WWW-Authenticate", "Basic"), ("Set-Cookie", "a"), ("Set-Cookie", "b")]
    assert response.header("content-length") == "4"


def test_a_port_of_http_1_keeps_bytes_and_case_between_two_proxies(fleet):
    backend = fleet.backend(replay(message(200, b"made", [("x-odd-CASE", "2")])))
    pair = Pair(fleet, backend.address, protocol="HTTP1")
    response = exchange(pair.address, "GET / HTTP/1.1\r\nHost: backend\r\nx-oDD-cAse: 1\r\noutrigger-protocol: 2\r\n\r\n")
    assert (response.status, response.body) == (200, b"made")
    assert ("x-odd-CASE", "2") in response.headers
    names = [name for name, _ in backend.requests[0].headers]
    assert "x-oDD-cAse" in names and "outrigger-protocol" not in names
    line = pair.far.logged(end="ok")
    assert (line["tls"], line["peer_identity"], line["version"]) == (True, CALLER, "1.1")


@pytest.mark.parametrize("protocol, version", [("HTTP", "2"), ("HTTP2", "2"), ("GRPC", "2"), ("HTTP1", "1.1")])
def test_what_is_spoken_between_two_proxies_is_the_port_s_protocol(fleet, protocol, version):
    pair = Pair(fleet, fleet.backend().address, protocol=protocol)
    told(exchange(pair.address, GET))
    assert pair.far.logged(end="ok")["version"] == version


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_the_far_application_is_spoken_to_as_the_near_one_speaks(fleet, version):
    seen = told(exchange(Pair(fleet, fleet.backend().address).address, f"GET / HTTP/{version}\r\nHost: backend\r\n\r\n"))
    assert seen["version"] == f"HTTP/{version}"


def test_http_2_becomes_http_1_unless_the_listener_says_otherwise(fleet):
    pair = Pair(fleet, fleet.backend().address)
    with H2Client(pair.address) as client:
        assert told(client.get())["version"] == "HTTP/1.1"


def test_http_2_from_end_to_end(fleet):
    pair = Pair(fleet, fleet.backend(h2_server(h2_echo)).address, listener={"appProtocol": "HTTP2"})
    with H2Client(pair.address) as client:
        answer = client.post(b"body", "/p", trailers=[("x-t", "1")], headers=[("te", "trailers")])
        assert (answer.body, answer.trailers, answer.header("seen-path")) == (b"body", [("seen-x-t", "1")], "/p")
        assert not answer.header("seen-outrigger-protocol")
    assert exchange(pair.address, GET).status == 200


def test_bodies_and_trailers_go_both_ways(fleet):
    body = bytes(range(256)) * 32768  # 8 MiB
    pair = Pair(fleet, fleet.backend(lambda connection: [connection.send(message(200, request.body)) for request in iter(connection.read_request, None)]).address)
    with Wire(pair.address) as wire, H2Client(pair.address) as client:
        assert wire.post(body).response().body == body
        assert client.post(body).body == body


def test_trailers_go_both_ways(fleet):
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n"
    backend = fleet.backend(replay(answer))
    with Wire(Pair(fleet, backend.address).address) as wire:
        wire.send("POST / HTTP/1.1\r\nHost: backend\r\nTE: trailers\r\nConnection: te\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-Up: 2\r\n\r\n")
        response = wire.response()
    assert (response.body, [(name.lower(), value) for name, value in response.trailers]) == (b"abc", [("x-sum", "3")])
    assert (backend.requests[0].body, [(name.lower(), value) for name, value in backend.requests[0].trailers]) == (b"ab", [("x-up", "2")])


def test_interim_responses_and_expect(fleet):
    answer = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + message(200, b"done")

    def script(connection):
        connection.read_request()
        connection.send(answer)
        connection.wait_for_end()
    with Wire(Pair(fleet, fleet.backend(script).address).address) as wire:
        wire.send("POST / HTTP/1.1\r\nHost: backend\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert wire.head().status == 100
        response = wire.send("body").response()
        assert [(one.status, one.header("link")) for one in response.interim] == [(103, "</a>")] and response.body == b"done"


@pytest.mark.parametrize("method, status", [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_responses_without_a_body(fleet, method, status):
    answer = b"HTTP/1.1 %d No\r\n%s\r\n" % (status, b"" if status == 204 else b"Content-Length: 5\r\n")
    with Wire(Pair(fleet, fleet.backend(replay(answer)).address).address) as wire:
        for _ in range(2):
            response = wire.send(f"{method} / HTTP/1.1\r\nHost: backend\r\n\r\n").response(method)
            assert (response.status, response.header("content-length")) == (status, None if status == 204 else "5")


def test_all_four_kinds_of_grpc(fleet):
    port = take_port()
    pair = Pair(fleet, f"127.0.0.1:{port}", protocol="GRPC")
    with GrpcServer(port) as server, GrpcClient(pair.address, "backend") as client:
        assert client.unary(b"x", metadata=(("x-bin", b"\x00\xff"),), timeout=100) == b"x"
        assert server.calls[0][0]["x-bin"] == b"\x00\xff" and server.calls[0][1] <= rounded_up(100)
        assert list(client.down(b"50")) == [b"%d" % number for number in range(50)]
        assert client.up(iter([b"xx"] * 50)) == b"50 100"
        assert list(client.both(iter([b"%d" % number for number in range(50)]))) == [b"%d" % number for number in range(50)]
        assert status(client.unary, b"x", metadata=(("fail", "NOT_FOUND"),))[0] == grpc.StatusCode.NOT_FOUND
    with GrpcClient(pair.address, "backend") as client:
        code, details, _ = status(client.unary, b"x")
    assert code == grpc.StatusCode.UNAVAILABLE and "connect_refused" in details


# --- connections between sidecars ---

def test_requests_share_one_connection(fleet):
    pair = Pair(fleet, fleet.backend(reply(200, b"x" * 1000)).address)
    for options in (["--h1"], ["-m", "10"]):
        done = fleet.run(["h2load", *options, "-n", "2000", "-c", "10", "--connect-to", pair.address, "http://backend/"])
        assert "2000 succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout and "2000 2xx" in done.stdout, done.stdout
    assert pair.far.figure("outrigger_downstream_connections_total") <= 4
    assert pair.far.figure("outrigger_tls_handshakes_total", side="server") == pair.near.figure("outrigger_tls_handshakes_total", side="client") <= 4


def test_stalled_streams_hold_up_no_other(fleet):
    """50 downloads that nobody reads, on the one connection between the sidecars."""
    def script(connection):
        request = connection.read_request()
        while request is not None:
            if request.target == "/large":
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n" + b"x" * 4000000)
            else:
                connection.send(message(200, b"small"))
            request = connection.read_request()
    pair = Pair(fleet, fleet.backend(script).address, near={"workers": 1})
    with H2Client(pair.address, holds=True) as stalled, Wire(pair.address) as wire:
        stalled.h2.increment_flow_control_window(1 << 30)
        stalled.flush()
        streams = [stalled.request("/large") for _ in range(50)]
        stalled.wait(lambda: all(len(stalled.message(stream).body) == 65535 for stream in streams), "full windows")
        for _ in range(20):
            assert wire.get("/small").response().body == b"small"
    assert pair.far.figure("outrigger_downstream_connections_total") == 1


def test_a_request_that_is_given_up_is_given_up_at_the_far_end(fleet):
    gone = threading.Event()

    def script(connection):
        connection.read_request()
        connection.wait_for_end()
        gone.set()
    pair = Pair(fleet, fleet.backend(script).address)
    wire = Wire(pair.address)
    wire.get()
    eventually(lambda: fleet.backends[0].connections and fleet.backends[0].connections[0].requests)
    wire.break_off()
    assert gone.wait(60)
    pair.near.logged(end="client_gone")
    pair.far.logged(end="client_gone")


# --- errors ---

def test_an_error_of_the_far_sidecar_is_passed_on_and_told_in_the_log(fleet):
    pair = Pair(fleet, fleet.address())
    response = exchange(pair.address, GET)
    assert response.status == 502 and "connection_refused" in response.header("proxy-status")
    assert not [name for name, _ in response.headers if name.lower().startswith("outrigger-")]
    pair.near.logged(end="connect_refused", status=502)
    assert pair.far.logged(end="connect_refused")["peer_identity"] == CALLER


def test_a_response_that_is_cut_is_cut_for_the_caller(fleet):
    whole = message(200, b"0123456789")
    pair = Pair(fleet, fleet.backend(cut(whole, len(whole) - 3)).address)
    with Wire(pair.address) as wire:
        assert wire.get().head().status == 200
        assert len(wire.rest()) < 10
    pair.near.logged(end="response_incomplete")
    pair.far.logged(end="response_incomplete")


def test_another_identity_than_the_expected_is_refused(fleet):
    pair = Pair(fleet, fleet.backend().address, expected="spiffe://school.local/ns/school/sa/somebody-else")
    for _ in range(2):
        response = exchange(pair.address, GET)
        assert response.status == 502 and "tls_certificate_error" in response.header("proxy-status")
    assert pair.near.logged(2, end="identity_mismatch")
    assert pair.near.figure("outrigger_upstream_connections_failed_total", reason="identity_mismatch") >= 2
    assert fleet.backends[0].requests == []


def test_a_server_of_another_root_is_refused(fleet):
    pair = Pair(fleet, fleet.backend().address)
    pair.far_identity.issue(Authority("school.local", name="Other Root"))
    eventually(lambda: pair.far.figure("outrigger_identity_loads_total", result="accepted") == 2)
    response = exchange(pair.address, GET)
    assert response.status == 502 and "tls_" in response.header("proxy-status")
    pair.near.logged(end="tls_failed")
    assert fleet.backends[0].requests == []


def test_plain_http_behind_a_mesh_endpoint_is_tls_failed(fleet):
    pair = Pair(fleet, fleet.backend().address)
    plain = fleet.backend(lambda connection: connection.socket.recv(1) and connection.send(message(400)))
    pair.service["spec"]["endpoints"] = [{"address": plain.address}]
    pair.near.reload()
    response = exchange(pair.address, GET)
    assert response.status == 502 and "tls_protocol_error" in response.header("proxy-status")
    pair.near.logged(end="tls_failed")


def test_a_timeout_at_the_near_end_cancels_the_far_one(fleet):
    event = threading.Event()
    pair = Pair(fleet, fleet.backend(held(event, message(200))).address, policies=[traffic("backend", timeouts={"request": "200ms"})])
    assert exchange(pair.address, GET).status == 504
    pair.near.logged(end="request_timeout")
    far = eventually(pair.far.log)[0]
    assert far["end"] in ("client_gone", "deadline_expired"), far
    event.set()


# --- under load ---

def lines_of(pair):
    return collections.Counter(line["end"] for line in pair.near.log())


def load(fleet, pair, seconds=3):
    return fleet.start("load", ["h2load", "-D", seconds, "-c", "4", "-m", "4", "--connect-to", pair.address, "http://backend/"])


def no_failure(running, pair):
    running.wait()
    assert re.search(r" 0 3xx, 0 4xx, 0 5xx", running.output()) and "0 failed, 0 errored, 0 timeout" in running.output(), running.output()
    assert lines_of(pair).keys() <= {"ok", "client_gone"}, lines_of(pair)


def test_certificates_rotate_under_load(fleet):
    """Kubernetes' swap of a symbolic link, on both sides, time and again: no request notices."""
    pair = Pair(fleet, fleet.backend(reply(200, b"x" * 100)).address)
    running = load(fleet, pair)
    for _ in range(4):
        for hop, identity in ((pair.near, pair.near_identity), (pair.far, pair.far_identity)):
            before = hop.figure("outrigger_identity_loads_total", result="accepted")
            seen = pair.far.figure("outrigger_streams_total")
            svid = identity.issue(pair.authority)
            eventually(lambda: hop.figure("outrigger_identity_loads_total", result="accepted") > before, what="the new certificate")
            eventually(lambda: pair.far.figure("outrigger_streams_total") > seen + 20 or not running.running())
            serials = json.dumps(hop.page("/certs")).lower()
            assert f"{svid.certificate.serial_number:x}" in serials
    no_failure(running, pair)
    assert pair.far.figure("outrigger_downstream_connections_total") >= 4


def test_a_root_is_replaced_under_load(fleet):
    """First both roots are trusted everywhere, then certificates of the new one come, then the old one goes."""
    pair = Pair(fleet, fleet.backend(reply(200, b"x" * 100)).address)
    new = Authority("school.local", name="New Root")
    both = pair.authority.bundle_pem + new.bundle_pem
    running = load(fleet, pair, 4)
    for authority, bundle in ((pair.authority, both), (new, both), (new, new.bundle_pem)):
        for hop, identity in ((pair.near, pair.near_identity), (pair.far, pair.far_identity)):
            before = hop.figure("outrigger_identity_loads_total", result="accepted")
            identity.issue(authority, bundle)
            eventually(lambda: hop.figure("outrigger_identity_loads_total", result="accepted") > before)
        seen = pair.far.figure("outrigger_streams_total")
        eventually(lambda: pair.far.figure("outrigger_streams_total") > seen + 50 or not running.running())
    no_failure(running, pair)


def test_bad_files_change_nothing_and_are_told(fleet):
    pair = Pair(fleet, fleet.backend().address)
    volume, good = pair.far_identity.volume, pair.authority.issue(CALLEE)
    other = pair.authority.issue(CALLEE)
    bundle = pair.authority.bundle_pem
    with Wire(pair.address) as wire:
        assert wire.get().response().status == 200
        refused = 0
        for files in ({"tls.crt": b"nonsense", "tls.key": good.key_pem, "ca.crt": bundle}, {"tls.crt": good.certificate_pem, "tls.key": other.key_pem, "ca.crt": bundle},
                      {"tls.crt": good.certificate_pem, "tls.key": good.key_pem, "ca.crt": b""}):
            volume.publish(files)
            eventually(lambda: pair.far.figure("outrigger_identity_loads_total", result="refused") > refused)
            refused = pair.far.figure("outrigger_identity_loads_total", result="refused")
            assert wire.get().response().status == 200
            assert pair.far.page("/certs")["pending_error"]
        pair.far_identity.issue(pair.authority)
        eventually(lambda: not pair.far.page("/certs").get("pending_error"))
        assert wire.get().response().status == 200
    assert "PRIVATE KEY" not in pair.far.process.output()


def test_a_rolling_update_behind_mutual_tls_fails_no_request(fleet):
    pair = Pair(fleet, fleet.backend(reply(200, b"x" * 100)).address, replicas=3)
    endpoints = list(pair.service["spec"]["endpoints"])
    running = load(fleet, pair)
    for old in range(2):
        eventually(lambda: pair.fars[old].figure("outrigger_streams_total") > 50)
        pair.fars[old].process.signal(15)
        pair.service["spec"]["endpoints"] = endpoints[old + 1:]
        pair.near.reload()
        assert pair.fars[old].process.wait() == 0
    no_failure(running, pair)
