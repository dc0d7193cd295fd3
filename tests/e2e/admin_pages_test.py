# presets: dev tsan release
"""/routes, /listeners, /connections, /memory and /version of running proxies, over plain text, mutual TLS and HTTP/2, with one worker and several."""

import threading

from support.backend import held, message, reply
from support.edge import Edge
from support.fleet import eventually, http_get, split_address
from support.h2_peer import H2Client
from support.hop import Hop, service, traffic
from support.pair import CALLEE, CALLER, Pair
from support.routes import backends, headers, path, queries, route, to_gateway
from support.wire import Wire, exchange


def services(fleet, *names):
    return [service(name, [fleet.backend(reply(200, name.encode())).address]) for name in names]


def frontend(hop, key):
    return next(row for row in hop.page("/routes") if row["frontend"] == key)


def text(hop, page):
    status, body = http_get(hop.admin, f"{page}?format=text")
    assert status == 200
    return body.decode()


# --- routes ---

def test_routes_are_shown_in_the_order_in_which_they_are_tried(fleet):
    rules = [
        {"name": "rest", "backendRefs": backends("blue")},
        {"matches": [path("/users")], "backendRefs": backends(("blue", 9), ("green", 1))},
        {"matches": [path("/users/me", "Exact"), {**path("/users", method="GET"), **headers(x_version="2"), **queries(debug="1")}], "backendRefs": backends("green")},
        {"matches": [path("/u.*", "RegularExpression")], "backendRefs": backends("green")},
        {"matches": [path("/users/all"), path("/users/me/all", "Exact")], "backendRefs": backends("green")},
    ]
    hop = Hop(fleet, services(fleet, "front", "blue", "green"), policies=[route("split", "front", *rules), traffic("green", timeouts={"request": "7s"})])
    shown = frontend(hop, "default/front:80")
    assert [(row["path_type"], row["path"], row.get("method"), row["rule"].rpartition(": ")[2]) for row in shown["matches"]] == [
        ("Exact", "/users/me/all", None, "rule 5"), ("Exact", "/users/me", None, "rule 3"), ("RegularExpression", "/u.*", None, "rule 4"),
        ("PathPrefix", "/users/all", None, "rule 5"), ("PathPrefix", "/users", "GET", "rule 3"), ("PathPrefix", "/users", None, "rule 2"), ("PathPrefix", "/", None, "rest")]
    match = shown["matches"][4]
    assert match["headers"] == ["x-version = 2"] and match["query"] == ["debug = 1"]
    rule = next(rule for rule in shown["rules"] if rule["rule"] == "HTTPRoute/default/split: rule 2")
    assert [(row["to"], row["weight"]) for row in rule["destinations"]] == [("default/blue:80", 9), ("default/green:80", 1)]
    assert rule["destinations"][1]["request_timeout"] == "7s" and rule["destinations"][1]["policy"].endswith("green-traffic")
    assert rule["place"].rpartition(":")[0] == str(hop.config) and int(rule["place"].rpartition(":")[2]) > 1
    assert frontend(hop, "default/blue:80")["routes"] == "none: to its endpoints"
    # What is said is what is done.
    for target, wanted in (("/users/me", b"green"), ("/other", b"blue")):
        assert exchange(hop.address, f"GET {target} HTTP/1.1\r\nHost: front\r\n\r\n").body == wanted
    page = text(hop, "/routes")
    assert "frontend: default/front:80\n" in page and "x-version = 2" in page


def test_routes_show_what_a_rule_does_with_a_request(fleet):
    rules = [
        {"matches": [path("/old")], "filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "new.example", "statusCode": 301}}]},
        {"matches": [path("/api")], "backendRefs": backends("front"), "filters": [
            {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-a", "value": "1"}], "remove": ["x-b"]}},
            {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/v1"}}}]},
        {"matches": [path("/gone")], "backendRefs": backends("nowhere")},
    ]
    hop = Hop(fleet, services(fleet, "front"), policies=[route("does", "front", *rules)])
    shown = {rule["rule"].rpartition(" ")[2]: rule for rule in frontend(hop, "default/front:80")["rules"]}
    assert shown["1"]["filters"][0].startswith("redirect: 301 to scheme of the request, host new.example")
    assert shown["2"]["filters"] == ["request: set x-a: 1", "request: remove x-b", "rewrite: prefix /api becomes /v1"]
    assert shown["3"]["destinations"][0]["to"] == "no backend: 500"


def test_routes_show_copies_and_other_origins(fleet):
    share = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "copies", "port": 80}, "fraction": {"numerator": 1, "denominator": 8}}}
    whole = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "front", "port": 80}}}
    cors = {"type": "CORS", "cors": {"allowOrigins": ["https://app.example", "https://*.test.example"], "allowMethods": ["GET", "PUT"], "allowHeaders": ["x-a"], "exposeHeaders": ["x-b"], "allowCredentials": True, "maxAge": 60}}
    rules = [{"matches": [path("/copied")], "filters": [share, whole], "backendRefs": backends("front")},
             {"matches": [path("/asked")], "filters": [cors], "backendRefs": backends("front")}]
    hop = Hop(fleet, services(fleet, "front", "copies"), policies=[route("does", "front", *rules)])
    shown = {rule["rule"].rpartition(" ")[2]: rule for rule in frontend(hop, "default/front:80")["rules"]}
    assert shown["1"]["mirrors"] == [{"to": "default/copies:80", "copies": 1, "of_requests": 8}, {"to": "default/front:80", "copies": 100, "of_requests": 100}]
    assert shown["2"]["cors"] == {"origins": ["https://app.example", "https://*.test.example"], "methods": ["GET", "PUT"], "headers": ["x-a"], "exposed_headers": ["x-b"], "credentials": True, "max_age": "1m"}
    assert "cors" not in shown["1"] and "mirrors" not in shown["2"]
    page = text(hop, "/routes")
    assert "default/copies:80" in page and "https://*.test.example" in page


def test_routes_show_what_is_repeated(fleet):
    retry = {"attempts": 2, "conditions": ["Timeout"], "codes": [429, 502, 503, 504], "grpcCodes": ["UNAVAILABLE"], "methods": ["GET", "PUT"], "backoff": {"base": "50ms", "max": "1s"}, "respectRetryAfter": "3s"}
    rules = [{"matches": [path("/by/policy")], "backendRefs": backends("front")},
             {"matches": [path("/by/rule")], "retry": {"codes": [500, 599], "attempts": 4, "backoff": "100ms"}, "backendRefs": backends("front")}]
    hop = Hop(fleet, services(fleet, "front", "once"), policies=[route("does", "front", *rules), route("never", "once", {"backendRefs": backends("once")}), traffic("front", retry=retry), traffic("once", retry={"disabled": True})])
    policy, rule = (shown["destinations"][0] for shown in sorted(frontend(hop, "default/front:80")["rules"], key=lambda shown: shown["rule"]))
    assert policy["retry_attempts"] == 2 and policy["retry_by"] == "TrafficPolicy/default/front-traffic"
    assert policy["retry_on"] == ["Timeout", "429", "502-504", "gRPC UNAVAILABLE"] and policy["retry_methods"] == ["GET", "PUT"]
    assert (policy["retry_backoff_least"], policy["retry_backoff"], policy["retry_backoff_max"], policy["retry_after_max"]) == ("0s", "50ms", "1s", "3s")
    assert rule["retry_attempts"] == 4 and {"ConnectFailure", "Reset", "Timeout", "500", "599"} <= set(rule["retry_on"]) and rule["retry_backoff_least"] == "100ms"
    never = frontend(hop, "default/once:80")["rules"][0]["destinations"][0]
    assert never["retry_attempts"] == 0 and "retry_on" not in never
    assert "502-504" in text(hop, "/routes")


def test_routes_of_a_gateway_are_shown_by_host(fleet):
    edge = Edge(fleet, services(fleet, "one", "two"), [{"hostname": "*.example.com"}],
                route("one", [to_gateway()], {"backendRefs": backends("one")}, hostnames=["a.example.com"]),
                route("two", [to_gateway()], {"backendRefs": backends("two")}, hostnames=["*.example.com"]))
    row = next(row for row in edge.hop.page("/routes") if row["frontend"].startswith("gateway/"))
    assert [(host["host"], host["rules"][0]["rule"]) for host in row["hosts"]] == [
        ("a.example.com", "HTTPRoute/default/one: rule 1"), ("*.example.com", "HTTPRoute/default/two: rule 1")]
    listener = edge.hop.page("/listeners")[0]
    assert (listener["role"], listener["leads_to"]) == ("Gateway", "Gateway/default/edge")
    assert listener["hosts"][0].endswith(": *.example.com")


# --- listeners ---

def test_listeners_show_use_state_and_where_they_are_configured(fleet):
    backend = fleet.backend(reply(200, b"x"))
    hop = Hop(fleet, {"backend": [backend.address]}, inbound={"in": {"forwardTo": backend.address}}, workers=2, limits={"connections": 3, "drainTimeout": "5m"})
    with Wire(hop.address) as wire, Wire(hop.inbound["in"]) as other:
        assert wire.get().response().status == 200 and other.get().response().status == 200
        rows = {row["name"]: row for row in hop.page("/listeners")}
        assert list(rows) == ["outbound", "in", "admin", "metrics"]
        assert (rows["outbound"]["connections"], rows["outbound"]["limit"], rows["outbound"]["state"]) == (1, 3, "listening")
        assert (rows["in"]["protocol"], rows["in"]["leads_to"], rows["in"]["service"]) == ("HTTP", backend.address, "app/in")
        assert rows["in"]["place"].startswith(str(hop.config)) and rows["admin"]["connections"] >= 1
        assert hop.post("/drain")[0] == 202
        assert {row["name"]: row["state"] for row in hop.page("/listeners")}["in"] == "draining"
    assert "leads to" in text(hop, "/listeners")


def test_listeners_of_bytes_and_of_several_ports_are_shown(fleet):
    backend = fleet.backend(reply(200, b"x"))
    port = split_address(backend.address)[1]
    hop = Hop(fleet, [service("backend", [backend.address], protocol="TCP")],
              inbound={"in": {"transparent": True, "forwards": [{"port": port, "to": backend.address}]}, "bytes": {"forwardTo": backend.address, "appProtocol": "TCP"},
                       "said": {"transparent": True, "forwards": [{"port": port, "to": backend.address, "protocol": "HTTP"}], "appProtocol": "HTTP1", "forwardTo": backend.address},
                       "found": {"forwardTo": backend.address, "detection": {"timeout": "1s"}}}, start=False)
    tcp = hop.add_listener("tcp", "TCP", service={"name": "backend", "port": 80})
    hop.start()
    rows = {row["name"]: row for row in hop.page("/listeners")}
    assert (rows["tcp"]["protocol"], rows["tcp"]["service"], rows["bytes"]["protocol"]) == ("bytes", "default/backend:80", "bytes")
    assert (rows["in"]["protocol"], rows["said"]["protocol"], rows["found"]["protocol"]) == ("HTTP or bytes", "HTTP", "HTTP or bytes")
    assert rows["in"]["transparent"] and rows["in"]["forwards"] == [f"port {port} to {backend.address}"]
    with Wire(tcp) as wire:
        assert wire.get().response().status == 200
        page = hop.page("/connections")
        assert [side["connections"][0]["protocol"] for side in page.values()] == ["bytes", "bytes"]


# --- connections ---

def test_connections_show_clients_and_endpoints_of_all_workers(fleet):
    event = threading.Event()
    backend = fleet.backend(held(event, message(200, b"x")))
    hop = Hop(fleet, {"backend": [backend.address]}, workers=2)
    wires = [Wire(hop.address).get() for _ in range(4)]
    eventually(lambda: sum(row["streams"] for row in hop.page("/connections")["endpoints"]["connections"]) == 4)
    page = hop.page("/connections")
    clients, endpoints = page["clients"], page["endpoints"]
    assert clients["total"] == clients["shown"] == 4 and endpoints["total"] == 4
    assert {row["id"].partition("-")[0] for row in clients["connections"]} == {"0", "1"}
    assert sorted(row["peer"] for row in clients["connections"]) == sorted("127.0.0.1:%d" % wire.socket.getsockname()[1] for wire in wires)
    for row in clients["connections"]:
        assert (row["listener"], row["state"], row["protocol"], row["tls"], row["streams"]) == ("outbound", "open", "HTTP/1", False, 1)
        assert row["bytes_in"] > 0 and row["bytes_out"] == 0 and row["age_ms"] >= 0
    for row in endpoints["connections"]:
        assert (row["service"], row["peer"], row["state"], row["streams"]) == ("default/backend:80", backend.address, "open", 1)
    event.set()
    for wire in wires:
        assert wire.response().status == 200
    eventually(lambda: {row["state"] for row in hop.page("/connections")["clients"]["connections"]} == {"idle"})
    wires[0].close()
    eventually(lambda: hop.page("/connections")["clients"]["total"] == 3)
    assert "default/backend:80" in text(hop, "/connections")


def test_a_connection_is_new_until_it_is_known_what_it_speaks(fleet):
    backend = fleet.backend(reply(200, b"x"))
    hop = Hop(fleet, outbound=False, inbound={"in": {"forwardTo": backend.address, "proxyProtocol": "Require"}})
    with Wire(hop.inbound["in"]) as wire:
        row = eventually(lambda: hop.page("/connections")["clients"]["connections"], what="the connection")[0]
        assert (row["listener"], row["state"]) == ("in", "new")
        wire.send(b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\nGE")
        eventually(lambda: hop.page("/connections")["clients"]["connections"][0]["state"] != "new", what="HTTP being known")


def test_connections_of_the_mesh_show_who_is_at_the_other_end(fleet):
    pair = Pair(fleet, fleet.backend(reply(200, b"x")).address)
    with H2Client(pair.near.address) as client:
        assert client.get(authority="backend").status == 200
        [caller] = pair.near.page("/connections")["clients"]["connections"]
        assert (caller["protocol"], caller["state"]) == ("HTTP/2", "idle")
        [row] = pair.near.page("/connections")["endpoints"]["connections"]
        assert (row["tls"], row["alpn"], row["identity"], row["protocol"]) == (True, "outrigger/1", CALLEE, "HTTP/2")
        [row] = pair.far.page("/connections")["clients"]["connections"]
        assert (row["tls"], row["alpn"], row["identity"], row["listener"]) == (True, "outrigger/1", CALLER, "in")


def test_rows_of_connections_are_bounded_and_their_number_is_not(fleet):
    hop = Hop(fleet, {"backend": [fleet.backend(reply(200, b"x")).address]}, workers=2)
    wires = [Wire(hop.address) for _ in range(1100)]
    eventually(lambda: hop.page("/connections")["clients"]["total"] == 1100)
    page = hop.page("/connections")["clients"]
    assert page["shown"] == len(page["connections"]) == 1000
    assert len({row["id"] for row in page["connections"]}) == 1000
    assert {row["state"] for row in page["connections"]} == {"new"}
    for wire in wires:
        wire.close()
    eventually(lambda: hop.page("/connections")["clients"]["total"] == 0)


# --- version ---

def test_version_tells_build_libraries_and_what_documents_are_read(fleet):
    page = Hop(fleet, {"backend": [fleet.backend().address]}).page("/version")
    assert all(page[name] for name in ("outrigger", "build", "compiler", "openssl", "nghttp2", "llhttp", "libuv", "jansson", "yaml"))
    assert {"Proxy", "ServiceEntry", "TrafficPolicy", "HTTPRoute", "Gateway"} <= set(page["kinds"])


# --- memory ---

def test_memory_shows_what_is_held_by_whom(fleet):
    event = threading.Event()
    hop = Hop(fleet, {"backend": [fleet.backend(held(event, message(200, b"x"))).address]}, workers=2)
    with H2Client(hop.address) as client:
        client.request(authority="backend")
        busy = eventually(lambda: [row for row in hop.page("/memory")["workers"] if row["pools_used_bytes"] > 0])
        assert busy[0]["http2_used_bytes"] > 0
        page = hop.page("/memory")
        assert page["resident_bytes"] > 1_000_000 and [row["worker"] for row in page["workers"]] == [0, 1]
        assert page["budget"]["sheds"] == "nothing" and page["budget"]["sheds_from_percent"] == 80
        event.set()
    eventually(lambda: all(row["http2_used_bytes"] == row["pools_used_bytes"] == 0 for row in hop.page("/memory")["workers"]))
    assert hop.figure("outrigger_http2_memory_bytes", state="used") == 0 and "worker" in text(hop, "/memory")
