"""HTTP/1.1 and 1.0 through a plain hop: messages and connections that are as they should be. Framing that is not stands in framing_test.py."""

import gzip
import json
import threading

import pytest

from support.backend import echo, held, message, replay, reply
from support.h2_peer import H2Client, h2_echo, h2_server
from support.hop import Hop
from support.wire import Wire, exchange


def told(response):
    """What an echo backend saw."""
    assert response.status == 200, response
    return json.loads(response.body)


def chunked(*pieces, trailers=""):
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + trailers.encode() + b"\r\n"


@pytest.fixture
def hop(fleet):
    return Hop(fleet, {"backend": [fleet.backend().address]})


def hop_to(fleet, script, **options):
    return Hop(fleet, {"backend": [fleet.backend(script).address]}, **options)


# --- connections ---

def test_a_connection_carries_many_requests_on_both_sides(hop):
    with Wire(hop.address) as wire:
        for count in range(20):
            seen = told(wire.get(f"/{count}").response())
            assert (seen["target"], seen["connection"]) == (f"/{count}", 0)
    assert hop.figure("outrigger_pool_reused_total") == 19


def test_a_client_that_says_close_is_closed_behind_its_response(hop):
    with Wire(hop.address) as wire:
        response = wire.get(headers=["Connection: close"]).response()
        assert response.status == 200 and response.header("connection") == "close"
        assert wire.is_ended()


def test_http_1_0_is_closed_unless_it_asks_for_more(hop):
    with Wire(hop.address) as wire:
        assert wire.send("GET / HTTP/1.0\r\nHost: backend\r\n\r\n").response().status == 200
        assert wire.is_ended()
    with Wire(hop.address) as wire:
        for _ in range(2):
            response = wire.send("GET / HTTP/1.0\r\nHost: backend\r\nConnection: keep-alive\r\n\r\n").response()
            assert response.status == 200 and response.header("connection").lower() == "keep-alive"


def test_http_1_0_gets_a_chunked_response_to_the_end_of_the_connection(fleet):
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"one", b"two", trailers="x-t: 1\r\n")
    hop = hop_to(fleet, replay(answer))
    with Wire(hop.address) as wire:
        response = wire.send("GET / HTTP/1.0\r\nHost: backend\r\nConnection: keep-alive\r\n\r\n").response()
        assert response.header("transfer-encoding") is None and response.body == b"onetwo"
        assert wire.is_ended()


def test_a_server_that_says_close_is_not_used_again(fleet):
    hop = hop_to(fleet, replay(message(200, b"x", [("Connection", "close")])))
    with Wire(hop.address) as wire:
        for _ in range(3):
            response = wire.get().response()
            assert response.status == 200 and response.header("connection") is None
    assert hop.figure("outrigger_upstream_connections_total") == 3


def test_a_response_without_length_ends_with_its_connection(fleet):
    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")

    with Wire(hop_to(fleet, script).address) as wire:
        for _ in range(2):
            response = wire.get().response()
            assert response.body == b"all of it" and response.header("transfer-encoding") == "chunked"


def test_requests_that_are_pipelined_are_answered_in_order(hop):
    with Wire(hop.address) as wire:
        wire.send("".join(f"GET /{count} HTTP/1.1\r\nHost: backend\r\n\r\n" for count in range(50)))
        assert [told(wire.response())["target"] for _ in range(50)] == [f"/{count}" for count in range(50)]


def test_requests_with_bodies_can_be_pipelined(hop):
    with Wire(hop.address) as wire:
        for count in range(10):
            wire.post(b"body %d" % count, f"/{count}")
            wire.send(b"POST /c HTTP/1.1\r\nHost: backend\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"chunk", b"%d" % count))
        for count in range(10):
            assert told(wire.response())["body"] == f"body {count}"
            assert told(wire.response())["body"] == f"chunk{count}"


def test_a_client_may_end_its_side_and_still_gets_its_answers(hop):
    with Wire(hop.address) as wire:
        wire.get("/1").get("/2").post(b"last", "/3").end()
        assert [told(wire.response())["target"] for _ in range(3)] == ["/1", "/2", "/3"]
        assert wire.is_ended()


def test_bytes_that_come_one_by_one_make_a_request(hop):
    with Wire(hop.address) as wire:
        wire.send_slowly(b"POST /slow HTTP/1.1\r\nHost: backend\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"ab", b"c", trailers="X-T: 1\r\n"))
        seen = told(wire.response())
        assert (seen["target"], seen["body"], seen["trailers"]) == ("/slow", "abc", [["X-T", "1"]])


def test_bytes_that_the_server_sends_one_by_one_make_a_response(fleet):
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n" + chunked(b"ab", b"c", trailers="X-T: 1\r\n")

    def script(connection):
        while connection.read_request() is not None:
            for position in range(len(answer)):
                connection.send(answer[position:position + 1])
    with Wire(hop_to(fleet, script).address) as wire:
        for _ in range(2):
            response = wire.get(headers=["TE: trailers"]).response()
            assert (response.body, response.header("x-a"), response.trailers) == (b"abc", "b", [("X-T", "1")])


def test_empty_lines_before_a_request_are_passed_over(hop):
    with Wire(hop.address) as wire:
        assert wire.send("\r\n\r\nGET /1 HTTP/1.1\r\nHost: backend\r\n\r\n\r\nGET /2 HTTP/1.1\r\nHost: backend\r\n\r\n").response().status == 200
        assert told(wire.response())["target"] == "/2"


# --- bodies ---

def test_a_chunked_request_is_passed_on_with_its_trailers(hop):
    with Wire(hop.address) as wire:
        wire.send(b"POST / HTTP/1.1\r\nHost: backend\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" + chunked(b"one", b"two", trailers="X-Sum: 6\r\n"))
        seen = told(wire.response())
        assert (seen["body"], seen["trailers"]) == ("onetwo", [["X-Sum", "6"]])
        assert ["Transfer-Encoding", "chunked"] in seen["headers"]


def test_trailers_of_a_response_are_passed_on(fleet):
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" + chunked(b"body", trailers="X-Sum: 4\r\nX-More: 1\r\n")
    response = exchange(hop_to(fleet, replay(answer)).address, "GET / HTTP/1.1\r\nHost: backend\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
    assert (response.body, response.trailers) == (b"body", [("X-Sum", "4"), ("X-More", "1")])


def test_extensions_of_chunks_are_not_passed_on(hop):
    with Wire(hop.address) as wire:
        wire.send("POST / HTTP/1.1\r\nHost: backend\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b;c=\"d\"\r\nabc\r\n0;last\r\n\r\n")
        assert told(wire.response())["body"] == "abc"


def test_a_stated_length_stays_stated(hop):
    with Wire(hop.address) as wire:
        seen = told(wire.post(b"four").response())
        assert ["Content-Length", "4"] in seen["headers"] and seen["body"] == "four"
        seen = told(wire.post(b"").response())
        assert ["Content-Length", "0"] in seen["headers"]
        assert "Content-Length" not in dict(told(wire.get().response())["headers"])


@pytest.mark.parametrize("status", [204, 304])
def test_a_response_that_has_no_body_is_not_waited_for(fleet, status):
    answer = b"HTTP/1.1 %d No\r\nETag: \"x\"\r\n%s\r\n" % (status, b"Content-Length: 5\r\n" if status == 304 else b"")
    with Wire(hop_to(fleet, replay(answer)).address) as wire:
        for _ in range(2):
            response = wire.get().response()
            assert (response.status, response.header("etag"), response.header("transfer-encoding")) == (status, '"x"', None)
            assert response.header("content-length") == ("5" if status == 304 else None)


def test_a_length_has_no_place_where_no_body_can_be(fleet):
    """RFC 9110 section 8.6: neither on 204 nor on 1xx, whatever the server says."""
    answer = b"HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\n\r\nHTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"
    hop = hop_to(fleet, replay(answer))
    with Wire(hop.address) as wire:
        response = wire.get().response()
        for head in (*response.interim, response):
            assert head.header("content-length") is None and head.header("transfer-encoding") is None, head
    with H2Client(hop.address) as client:
        answer = client.get()
        assert (answer.status, answer.header("content-length")) == (204, None)


def test_head_has_the_length_of_a_body_and_no_body(fleet):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"
    with Wire(hop_to(fleet, replay(answer)).address) as wire:
        for _ in range(2):
            response = wire.send("HEAD / HTTP/1.1\r\nHost: backend\r\n\r\n").response("HEAD")
            assert (response.status, response.header("content-length")) == (200, "1234")


def test_head_of_a_chunked_body_has_none(fleet):
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Wire(hop_to(fleet, replay(answer)).address) as wire:
        for _ in range(2):
            assert wire.send("HEAD / HTTP/1.1\r\nHost: backend\r\n\r\n").response("HEAD").status == 200


# --- 100 Continue and other interim responses ---

def test_expect_is_forwarded_before_the_body_and_100_comes_from_the_server(fleet):
    with Wire(hop_to(fleet, echo).address) as wire:
        wire.send("POST / HTTP/1.1\r\nHost: backend\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert wire.head().status == 100
        seen = told(wire.send("body").response())
        assert seen["body"] == "body" and ["Expect", "100-continue"] in seen["headers"]
        assert told(wire.get("/next").response())["target"] == "/next"


def test_a_server_may_refuse_before_the_body(fleet):
    def script(connection):
        connection.read_head()
        connection.send(message(403, b"no"))
        connection.wait_for_end()
    with Wire(hop_to(fleet, script).address) as wire:
        wire.send("POST / HTTP/1.1\r\nHost: backend\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        response = wire.response()
        assert (response.status, response.body, response.interim) == (403, b"no", [])
        assert wire.is_ended(), "the body may still come: nothing else can be read from this connection"


def test_an_expectation_that_nobody_knows_is_417(hop):
    response = exchange(hop.address, "POST / HTTP/1.1\r\nHost: backend\r\nContent-Length: 0\r\nExpect: 200-maybe\r\n\r\n")
    assert response.status == 417
    hop.logged(end="expectation", status=417)


def test_expect_of_http_1_0_is_ignored(hop):
    seen = told(exchange(hop.address, "POST / HTTP/1.0\r\nHost: backend\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody"))
    assert seen["body"] == "body" and "Expect" not in dict(seen["headers"])


def test_interim_responses_are_forwarded_in_order(fleet):
    answer = b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\nHTTP/1.1 110 Odd\r\n\r\n" + message(200, b"done")
    response = exchange(hop_to(fleet, replay(answer)).address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n")
    assert [interim.status for interim in response.interim] == [102, 103, 110]
    assert response.interim[1].header("link") == "</a>; rel=preload" and response.body == b"done"


def test_interim_responses_do_not_reach_http_1_0(fleet):
    answer = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + message(200, b"done")
    response = exchange(hop_to(fleet, replay(answer)).address, "GET / HTTP/1.0\r\nHost: backend\r\n\r\n")
    assert (response.interim, response.body) == ([], b"done")


# --- heads ---

def test_fields_keep_their_order_case_and_repetition(hop):
    lines = ["x-LOWER-and-UPPER: 1", "ACCEPT: a", "Accept: b", "Cookie: a=1", "Cookie: b=2", "X-Empty:", "X-Spaces:   in  the middle \t "]
    seen = told(exchange(hop.address, "\r\n".join(["GET / HTTP/1.1", "Host: backend", *lines, "", ""])))
    assert seen["headers"][1:8] == [["x-LOWER-and-UPPER", "1"], ["ACCEPT", "a"], ["Accept", "b"], ["Cookie", "a=1"], ["Cookie", "b=2"], ["X-Empty", ""],
                                    ["X-Spaces", "in  the middle"]]


def test_bytes_above_ascii_pass_in_values(hop):
    seen = told(exchange(hop.address, b"GET / HTTP/1.1\r\nHost: backend\r\nX-Name: caf\xc3\xa9 \xff\r\n\r\n"))
    assert dict(seen["headers"])["X-Name"].encode("latin-1") == b"caf\xc3\xa9 \xff"


def test_fields_of_one_connection_are_not_passed_on(hop):
    lines = ["Connection: keep-alive, X-Private, Authorization", "X-Private: 1", "Authorization: Bearer x", "Keep-Alive: timeout=5", "Proxy-Connection: close",
             "TE: gzip", "Upgrade: h2c", "X-Public: 1"]
    seen = dict(told(exchange(hop.address, "\r\n".join(["GET / HTTP/1.1", "Host: backend", *lines, "", ""])))["headers"])
    assert {"X-Public": "1", "Authorization": "Bearer x"}.items() <= seen.items()
    assert not {"Connection", "X-Private", "Keep-Alive", "Proxy-Connection", "Upgrade"} & seen.keys()
    assert "gzip" not in seen.get("TE", "")


def test_fields_of_one_connection_are_not_passed_back(fleet):
    answer = message(200, b"x", [("Connection", "X-Private"), ("X-Private", "1"), ("Keep-Alive", "timeout=5"), ("Proxy-Connection", "keep-alive"), ("X-Public", "1")])
    response = exchange(hop_to(fleet, replay(answer)).address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n")
    assert [name for name, _ in response.headers] == ["Content-Length", "X-Public"]


def test_what_is_said_to_another_proxy_is_passed_on(fleet):
    """RFC 9110 section 11.7: we ask nobody for credentials, so that they are meant for a proxy behind us."""
    hop = hop_to(fleet, replay(message(407, b"", [("Proxy-Authenticate", "Basic realm=\"x\"")])))
    response = exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\nProxy-Authorization: Basic eDp5\r\n\r\n")
    assert (response.status, response.header("proxy-authenticate")) == (407, "Basic realm=\"x\"")
    assert fleet.backends[0].requests[0].header("proxy-authorization") == "Basic eDp5"


def test_a_body_and_what_is_said_of_it_are_never_changed(fleet):
    """RFC 9110 section 7.7."""
    packed = gzip.compress(b"hello " * 1000)
    said = [("Content-Encoding", "gzip"), ("Cache-Control", "no-transform"), ("Content-Type", "text/plain"), ("ETag", "\"1\""), ("Accept-Ranges", "bytes")]
    hop = hop_to(fleet, replay(message(200, packed, said)))
    with Wire(hop.address) as wire:
        response = wire.post(packed, headers=[f"{name}: {value}" for name, value in said]).response()
    assert response.body == packed and response.headers[1:] == said
    seen = fleet.backends[0].requests[0]
    assert seen.body == packed and set(said) <= set(seen.headers)


def test_each_request_has_an_id_and_a_via(hop):
    seen = dict(told(exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n"))["headers"])
    assert len(seen["X-Request-Id"]) == 36 and seen["Via"] == "1.1 outrigger"
    hop.logged(request_id=seen["X-Request-Id"])
    seen = told(exchange(hop.address, "GET / HTTP/1.0\r\nHost: backend\r\nX-Request-Id: mine\r\nVia: 1.1 before\r\n\r\n"))["headers"]
    assert ["X-Request-Id", "mine"] in seen and [value for name, value in seen if name == "Via"] == ["1.1 before", "1.0 outrigger"]


def test_headers_of_the_mesh_are_taken_from_strangers(hop):
    lines = ["outrigger-protocol: 2", "Outrigger-Refused: breaker_open", "outrigger-anything: 1", "X-Forwarded-Client-Cert: URI=spiffe://x/y", "X-Forwarded-For: 1.2.3.4"]
    seen = told(exchange(hop.address, "\r\n".join(["GET / HTTP/1.1", "Host: backend", *lines, "", ""])))["headers"]
    assert not [name for name, _ in seen if name.lower().startswith("outrigger-") or name.lower() == "x-forwarded-client-cert"]
    assert ["X-Forwarded-For", "1.2.3.4"] in seen


def test_a_stranger_behind_us_cannot_speak_for_the_mesh(fleet):
    answer = message(200, b"x", [("outrigger-refused", "denied"), ("Outrigger-Any", "1"), ("X-Kept", "1")])
    response = exchange(hop_to(fleet, replay(answer)).address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n")
    assert [name for name, _ in response.headers] == ["Content-Length", "X-Kept"]


# --- targets ---

def test_an_absolute_target_wins_over_host_and_goes_on_in_origin_form(hop):
    seen = told(exchange(hop.address, "GET http://backend/path?q=1 HTTP/1.1\r\nHost: elsewhere\r\n\r\n"))
    assert (seen["target"], dict(seen["headers"])["Host"]) == ("/path?q=1", "backend")
    assert told(exchange(hop.address, "GET http://backend HTTP/1.1\r\nHost: backend\r\n\r\n"))["target"] == "/"
    assert told(exchange(hop.address, "GET HTTP://BACKEND:80/x HTTP/1.1\r\nHost: backend\r\n\r\n"))["target"] == "/x"


def test_options_of_a_whole_server(hop):
    assert told(exchange(hop.address, "OPTIONS * HTTP/1.1\r\nHost: backend\r\n\r\n"))["target"] == "*"
    assert told(exchange(hop.address, "OPTIONS http://backend HTTP/1.1\r\nHost: backend\r\n\r\n"))["target"] == "*"


def test_the_host_is_found_in_any_case_with_its_port_or_without(hop):
    for host in ("backend", "BackEnd", "backend:80", "backend."):
        assert exchange(hop.address, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").status == 200, host


def test_an_application_may_use_it_as_its_proxy(fleet, hop):
    done = fleet.run(["curl", "-sS", "--fail-with-body", "http://backend/from/curl?x=1", "http://backend/again"], environment={"http_proxy": f"http://{hop.address}"})
    assert done.returncode == 0, done.stderr
    assert '"target": "/from/curl?x=1"' in done.stdout and '"target": "/again"' in done.stdout
    assert '"Proxy-Connection"' not in done.stdout


def test_early_responses_end_what_is_left_of_the_request(fleet):
    def script(connection):
        connection.read_head()
        connection.send(message(200, b"early"))
        connection.wait_for_end()
    hop = hop_to(fleet, script)
    with Wire(hop.address) as wire:
        wire.send("POST / HTTP/1.1\r\nHost: backend\r\nContent-Length: 1000000\r\n\r\n").send(b"x" * 1000)
        assert wire.response().body == b"early"
        assert wire.is_ended()
    hop.logged(end="ok", status=200)


def test_a_slow_server_holds_up_nobody_else(fleet):
    event = threading.Event()
    hop = Hop(fleet, {"slow": [fleet.backend(held(event, message(200, b"slow"))).address], "fast": [fleet.backend(reply(200, b"fast")).address]})
    with Wire(hop.address) as slow, Wire(hop.address) as fast:
        slow.get(host="slow")
        for _ in range(10):
            assert fast.get(host="fast").response().body == b"fast"
        event.set()
        assert slow.response().body == b"slow"


# --- upgrades ---

@pytest.mark.parametrize("protocol", ["HTTP1", "HTTP2"])
def test_an_upgrade_to_http2_in_plain_text_is_not_taken(fleet, protocol):
    """As some clients try with each request: it is answered as if they had not (RFC 9113 section 3.1)."""
    backend = fleet.backend(h2_server(h2_echo) if protocol == "HTTP2" else echo)
    hop = Hop(fleet, {"backend": [backend.address]}, protocol=protocol)
    with Wire(hop.address) as wire:
        for _ in range(2):
            fields = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"]
            response = wire.get(headers=fields).response()
            assert response.status == 200 and response.header("upgrade") is None
            assert b"h2c" not in response.body.lower() and b"settings" not in response.body.lower()
