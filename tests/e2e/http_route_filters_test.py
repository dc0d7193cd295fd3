"""What rules of HTTPRoutes do beside routing: retries, copies to mirrors, CORS. Under the names of Gateway API's conformance tests where there are such."""
# presets: dev

import socket
import threading

import pytest

from support.backend import echo, reply
from support.fleet import eventually
from support.hop import Hop, service, traffic
from support.routes import backends, path, route
from support.wire import exchange


def ask(hop, target="/", method="GET", body=None, **fields):
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    length = "" if body is None else f"Content-Length: {len(body)}\r\n"
    return exchange(hop.address, f"{method} {target} HTTP/1.1\r\nHost: svc\r\n{lines}{length}\r\n{body or ''}")


def hop_with(fleet, backend, *rules, others=(), policies=(), **more):
    """A service `svc` whose routes lead to `v1`."""
    return Hop(fleet, [service("svc", ["127.0.0.1:1"]), service("v1", [backend.address]), *others], policies=[route("r", "svc", *rules), *policies], **more)


# --- retry ---

def failing(times, status):
    """A script: so many answers with that status over all connections, then 200."""
    left = [times]
    lock = threading.Lock()

    def script(connection):
        while connection.read_request() is not None:
            with lock:
                failed, left[0] = left[0] > 0, left[0] - 1
            connection.send(b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nok" % (status if failed else 200))
    return script


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_HTTPRouteRetry_codes(fleet, status):
    backend = fleet.backend(failing(2, status))
    rule = {"retry": {"codes": [status], "attempts": 2, "backoff": "10ms"}, "backendRefs": backends("v1")}
    hop = hop_with(fleet, backend, rule)
    assert ask(hop).status == 200
    line = hop.logged(1)
    assert line["attempts"] == 3 and line["retried_for"] == "code,code"


def test_HTTPRouteRetry_stops_after_its_attempts(fleet):
    backend = fleet.backend(failing(100, 503))
    hop = hop_with(fleet, backend, {"retry": {"codes": [503], "attempts": 3}, "backendRefs": backends("v1")})
    assert ask(hop).status == 503
    line = hop.logged(1)
    assert line["attempts"] == 4 and line["retry_refused"] == "attempts"


def test_HTTPRouteRetry_leaves_other_codes_and_methods(fleet):
    backend = fleet.backend(failing(100, 503))
    hop = hop_with(fleet, backend, {"matches": [path("/other")], "retry": {"codes": [500], "attempts": 3}, "backendRefs": backends("v1")},
                   {"retry": {"codes": [503], "attempts": 3}, "backendRefs": backends("v1")})
    assert ask(hop, "/other").status == ask(hop, method="POST", body="").status == 503
    assert [line["attempts"] for line in hop.logged(2)] == [1, 1]


def test_HTTPRouteRetry_connection_errors(fleet):
    """With the stanza a connection that breaks behind the request is tried again; of a POST, which may have been done, it is not."""
    broken = []

    def script(connection):
        while connection.read_request() is not None:
            if len(broken) < 1 or "POST" in connection.requests[-1].method:
                broken.append(1)
                connection.reset()
                return
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    hop = hop_with(fleet, fleet.backend(script), {"retry": {}, "backendRefs": backends("v1")})
    assert ask(hop).status == 200
    assert hop.logged(1)["retried_for"] == "reset"
    assert ask(hop, method="POST", body="").status == 502
    assert hop.logged(method="POST")["retry_refused"] == "method"


def test_HTTPRouteRetry_backend_timeout(fleet):
    silent = [1]

    def script(connection):
        while connection.read_request() is not None:
            if silent:
                silent.pop()
                connection.wait_for_end()
                return
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    hop = hop_with(fleet, fleet.backend(script), {"retry": {"attempts": 1}, "timeouts": {"backendRequest": "200ms"}, "backendRefs": backends("v1")})
    assert ask(hop).status == 200
    assert hop.logged(1)["retried_for"] == "timeout"


def test_without_a_stanza_the_policy_decides(fleet):
    backend = fleet.backend(failing(1, 503))
    by_policy = traffic("v1", retry={"codes": [503]})
    hop = hop_with(fleet, backend, {"backendRefs": backends("v1")}, policies=[by_policy])
    assert ask(hop).status == 200


# --- mirrors ---

def mirror(name, **share):
    return {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": name, "port": 80}, **share}}


def seen_by(backend, count):
    return eventually(lambda: backend.requests if len(backend.requests) >= count else None, what=f"{count} requests at the mirror")


def test_HTTPRouteRequestMirror(fleet):
    """The copy is what the backend gets: method, changed fields, path and host, body; its answer is nobody's."""
    backend, copies = fleet.backend(echo), fleet.backend(reply(500, b"dropped"))
    changes = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "X-Set", "value": "set"}], "remove": ["x-gone"]}}
    rewrite = {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}}}
    rule = {"matches": [path("/old")], "filters": [changes, rewrite, mirror("copies")], "backendRefs": backends("v1")}
    hop = hop_with(fleet, backend, rule, others=[service("copies", [copies.address])])
    assert ask(hop, "/old/x?q=1", X_Gone="1").status == 200
    assert ask(hop, "/old/y", method="POST", body="the body").status == 200
    first, second = seen_by(copies, 2)
    assert (first.method, first.target, first.header("host")) == ("GET", "/new/x?q=1", "svc")
    assert first.values("x-set") == ["set"] and first.header("x-gone") is None
    assert first.header("x-request-id") == backend.requests[0].header("x-request-id")
    assert (second.method, second.target, second.body) == ("POST", "/new/y", b"the body")
    eventually(lambda: hop.figure("outrigger_mirrored_requests_total", result="answered") == 2, what="two copies counted")
    assert hop.figure("outrigger_subrequests_total") == 2
    assert len(hop.logged(2)) == len(hop.log()) == 2  # a copy has no line of its own


def test_what_gets_500_is_not_copied(fleet):
    backend, copies = fleet.backend(echo), fleet.backend(echo)
    hop = hop_with(fleet, backend, {"filters": [mirror("copies")], "backendRefs": backends("nobody")}, others=[service("copies", [copies.address])])
    assert ask(hop).status == 500 and hop.logged(1)["end"] == "backend_invalid"
    assert hop.figure("outrigger_mirrored_requests_total") == 0 and copies.requests == []


def test_a_request_for_the_whole_server_keeps_its_asterisk(fleet):
    backend = fleet.backend(echo)
    rewrite = {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/v2"}}}
    hop = hop_with(fleet, backend, {"matches": [path("/")], "filters": [rewrite], "backendRefs": backends("v1")})
    assert ask(hop, "*", method="OPTIONS").status == 200 and backend.requests[-1].target == "*"


def test_the_log_names_the_policy_that_acted(fleet):
    """Connections are the backend's: what a policy of the frontend says of its own does not count there."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    with listener, socket.create_connection(listener.getsockname()):  # takes the one place there is
        backend = service("v1", [f"127.0.0.1:{listener.getsockname()[1]}"])
        policies = [traffic("svc", connections={"connectTimeout": "30s"}), traffic("v1", connections={"connectTimeout": "50ms"})]
        hop = Hop(fleet, [service("svc", ["127.0.0.1:1"]), backend], policies=[route("r", "svc", {"backendRefs": backends("v1")}), *policies])
        assert ask(hop).status == 504
        assert hop.logged(1)["policy"] == "TrafficPolicy/default/v1-traffic: connections.connectTimeout"


def test_HTTPRouteRequestMultipleMirrors(fleet):
    backend, one, two = fleet.backend(echo), fleet.backend(reply(200, b"")), fleet.backend(reply(200, b""))
    rule = {"filters": [mirror("one"), mirror("two")], "backendRefs": backends("v1")}
    hop = hop_with(fleet, backend, rule, others=[service("one", [one.address]), service("two", [two.address])])
    assert ask(hop, method="PUT", body="x" * 1000).status == 200
    assert seen_by(one, 1)[0].body == seen_by(two, 1)[0].body == b"x" * 1000


def test_HTTPRouteRequestPercentageMirror(fleet):
    backend, all_of, none, some = (fleet.backend(reply(200, b"")) for _ in range(4))
    rule = {"filters": [mirror("all", percent=100), mirror("none", percent=0), mirror("some", fraction={"numerator": 1, "denominator": 2})], "backendRefs": backends("v1")}
    others = [service("all", [all_of.address]), service("none", [none.address]), service("some", [some.address])]
    hop = hop_with(fleet, backend, rule, others=others)
    for _ in range(100):
        assert ask(hop).status == 200
    seen_by(all_of, 100)
    eventually(lambda: hop.figure("outrigger_subrequests_active") == 0, what="no copy under way")
    assert not none.requests and 10 < len(some.requests) < 90  # 40 off has a chance of 1 in 10^15


@pytest.mark.parametrize("kind", ["refused", "silent", "absent"])
def test_a_mirror_that_is_ill_is_nobodys_matter(fleet, kind):
    backend = fleet.backend(echo)
    ill = fleet.backend(lambda connection: connection.wait_for_end())
    others = [service("copies", ["127.0.0.1:1" if kind == "refused" else ill.address])] if kind != "absent" else []
    hop = hop_with(fleet, backend, {"filters": [mirror("copies")], "backendRefs": backends("v1")}, others=others)
    for _ in range(3):
        assert ask(hop, method="POST", body="x").status == 200
    assert {line["end"] for line in hop.logged(3)} == {"ok"}
    if kind == "refused":
        eventually(lambda: hop.figure("outrigger_mirrored_requests_total", result="failed") == 3, what="three failed copies")
    if kind == "silent":
        assert hop.figure("outrigger_subrequests_active") == 3
    hop.process.stop()  # in order, though copies are under way


def test_a_body_that_is_too_long_is_not_copied(fleet):
    backend, copies = fleet.backend(echo), fleet.backend(reply(200, b""))
    hop = hop_with(fleet, backend, {"filters": [mirror("copies")], "backendRefs": backends("v1")}, others=[service("copies", [copies.address])])
    assert ask(hop, method="POST", body="x" * 200000).status == 200
    assert ask(hop, method="POST", body="x" * 60000).status == 200
    assert len(seen_by(copies, 1)[0].body) == 60000
    assert hop.figure("outrigger_mirror_skipped_total", reason="body") == 1


# --- CORS ---

CORS = {"allowOrigins": ["https://www.foo.com", "https://*.bar.com", "http://local:8080"], "allowMethods": ["GET", "OPTIONS"], "allowHeaders": ["x-header-1", "x-header-2"],
        "exposeHeaders": ["x-header-3", "x-header-4"], "allowCredentials": True, "maxAge": 3600}


def cors_hop(fleet, backend, name="hop", **cors):
    return hop_with(fleet, backend, {"filters": [{"type": "CORS", "cors": cors}], "backendRefs": backends("v1")}, name=name)


def cors_of(response):
    prefix = "access-control-"
    return {name.lower()[len(prefix):]: value for name, value in response.headers if name.lower().startswith(prefix)}


def preflight(hop, origin, method="GET", **fields):
    return ask(hop, method="OPTIONS", Origin=origin, Access_Control_Request_Method=method, **fields)


@pytest.mark.parametrize("origin", ["https://www.foo.com", "https://www.bar.com", "https://xpto.www.bar.com", "http://local:8080", "HTTPS://WWW.FOO.COM:443"])
def test_HTTPRouteCORS_preflight_of_an_allowed_origin(fleet, origin):
    backend = fleet.backend(echo)
    hop = cors_hop(fleet, backend, **CORS)
    response = preflight(hop, origin, Access_Control_Request_Headers="x-header-1, x-header-2")
    assert response.status == 204 and "Origin" in response.header("vary")
    assert cors_of(response) == {"allow-origin": origin, "allow-credentials": "true", "allow-methods": "GET, OPTIONS", "allow-headers": "x-header-1, x-header-2",
                                 "expose-headers": "x-header-3, x-header-4", "max-age": "3600"}
    assert not backend.requests and hop.logged(1)["end"] == "ok"


@pytest.mark.parametrize("origin", ["https://foobar.com", "https://bar.com", "http://www.foo.com", "https://www.foo.com:8443", "https://www.foo.com.evil.org", "https://xbar.com", "null",
                                    "https://www.foo.com/", "www.foo.com", "https://user@www.foo.com"])
def test_HTTPRouteCORS_an_origin_that_is_not_allowed(fleet, origin):
    """A preflight gets nothing to go on; a request is served, and the browser keeps the answer from its page."""
    backend = fleet.backend(echo)
    hop = cors_hop(fleet, backend, **CORS)
    response = preflight(hop, origin)
    assert response.status == 204 and cors_of(response) == {} and not backend.requests
    response = ask(hop, Origin=origin)
    assert response.status == 200 and cors_of(response) == {} and response.header("vary") == "Origin"
    assert len(backend.requests) == 1


def test_HTTPRouteCORS_requests(fleet):
    """What the backend says of CORS is replaced, with or without an origin."""
    answer = (b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: false\r\nAccess-Control-Max-Age: 1\r\nVary: Accept, origin\r\n"
              b"Content-Length: 0\r\n\r\n")
    backend = fleet.backend(lambda connection: [connection.send(answer) for _ in iter(connection.read_request, None)])
    hop = cors_hop(fleet, backend, **CORS)
    response = ask(hop, Origin="https://www.bar.com")
    assert cors_of(response) == {"allow-origin": "https://www.bar.com", "allow-credentials": "true", "expose-headers": "x-header-3, x-header-4"}
    assert response.values("vary") == ["Accept, origin"]
    assert cors_of(ask(hop)) == {}
    assert ask(hop, method="OPTIONS", Origin="https://www.foo.com").status == 200  # no preflight: it names no method
    assert ask(hop, method="OPTIONS", Access_Control_Request_Method="GET").status == 200
    assert len(backend.requests) == 4


def test_HTTPRouteCORS_wildcards(fleet):
    """`*` is what was asked for; with credentials too, where browsers would take it for a name."""
    backend = fleet.backend(echo)
    any_thing = {"allowOrigins": ["*"], "allowMethods": ["*"], "allowHeaders": ["*"]}
    hop = cors_hop(fleet, backend, **any_thing, exposeHeaders=["*"])
    response = preflight(hop, "https://foobar.com:12345", "PUT", Access_Control_Request_Headers="x-a,x-b")
    assert cors_of(response) == {"allow-origin": "*", "allow-methods": "PUT", "allow-headers": "x-a,x-b", "expose-headers": "*", "max-age": "5"}
    assert cors_of(preflight(hop, "null"))["allow-origin"] == "*"
    with_credentials = cors_hop(fleet, backend, **any_thing, allowCredentials=True, name="other")
    response = preflight(with_credentials, "https://other.foo.com", "PUT")
    assert cors_of(response) == {"allow-origin": "https://other.foo.com", "allow-credentials": "true", "allow-methods": "PUT", "max-age": "5"}
    assert cors_of(ask(with_credentials, Origin="https://a.b")) == {"allow-origin": "https://a.b", "allow-credentials": "true"}


def test_errors_can_be_read_by_their_page(fleet):
    backend = fleet.backend(echo)
    rule = {"filters": [{"type": "CORS", "cors": CORS}], "backendRefs": backends("gone")}
    hop = hop_with(fleet, backend, rule)
    response = ask(hop, Origin="https://www.foo.com")
    assert response.status == 500 and cors_of(response)["allow-origin"] == "https://www.foo.com"
