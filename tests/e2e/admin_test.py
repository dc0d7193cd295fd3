# presets: dev tsan release
# seconds: 22
"""The admin pages and metrics of a running proxy: what they tell is what happened, over all its workers, also while it is reloaded, drained and stopped."""

import json
import signal
import socket
import ssl
import threading

import pytest

from support.backend import cut, held, message, reply
from support.fleet import eventually, http_get, split_address
from support.hop import Hop, service, traffic
from support.test_ca import HOUR, Authority, spiffe_id
from support.wire import Wire, exchange

KEY = "default/backend:80"
IDENTITY = spiffe_id("school", "courses")


def two_workers(fleet, script=None, policies=(), **options):
    backend = fleet.backend(script or reply(200, b"x"))
    return Hop(fleet, {"backend": [backend.address]}, policies=policies, workers=2, **options)


def cluster(hop, key=KEY):
    return next(row for row in hop.page("/clusters") if row["service"] == key)


def limit(hop, name, scope="process"):
    return next(row for row in hop.page("/limits") if (row["limit"], row["scope"]) == (name, scope))


def identity_files(fleet, authority, name="identity", **options):
    """(certificate, key, bundle) as paths, and the spec.identity that names them."""
    certificate, key = authority.issue(IDENTITY, **options).write(fleet.folder / name)
    bundle = fleet.write(f"{name}/ca.crt", authority.bundle_pem)
    return {"source": "Files", "certificate": str(certificate), "privateKey": str(key), "trustBundle": str(bundle)}


# --- services and requests, summed over workers ---

def test_clusters_sum_what_the_workers_have_under_way(fleet):
    event = threading.Event()
    hop = two_workers(fleet, held(event, message(200, b"x")))
    wires = [Wire(hop.address).get() for _ in range(6)]
    eventually(lambda: cluster(hop)["endpoints"][0]["active"] == 6)
    row = cluster(hop)["endpoints"][0]
    assert (row["state"], row["tls"], row["weight"], row["failures"]) == ("available", "None", 1, 0)
    eventually(lambda: cluster(hop)["endpoints"][0]["connections"] == 6)
    # The acceptor gives each connection to the worker with the fewest: both have some.
    event.set()
    for wire in wires:
        assert wire.response().status == 200
    row = eventually(lambda: cluster(hop)["endpoints"][0] if cluster(hop)["endpoints"][0]["active"] == 0 else None)
    assert row["requests"] == 6 and row["idle"] == 6 and row["ewma_us"] > 0


def test_clusters_tell_failures_and_what_is_left_of_the_retry_budget(fleet):
    hop = two_workers(fleet, cut(message(200, b"0123456789"), 5))
    before = cluster(hop)
    assert before["retry_budget"] == 10 and before["load_balancer"] == "PeakEWMA"
    assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 502
    assert cluster(hop)["endpoints"][0]["failures"] >= 1

    gone = fleet.backend()
    gone.close()
    hop.reload([hop.proxy, service("backend", [gone.address])])
    assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 502
    assert hop.figure("outrigger_retries_total") >= 1
    assert cluster(hop)["retry_budget"] < 10


def test_requests_are_counted_by_service_over_all_workers(fleet):
    hop = two_workers(fleet)
    for _ in range(10):
        assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200
    assert exchange(hop.address, "POST / HTTP/1.1\r\nHost: nowhere\r\nContent-Length: 0\r\n\r\n", "POST").status == 502
    common = {"direction": "outbound", "service": KEY}
    assert hop.figure("outrigger_request_ends_total", **common, end="ok") == 10
    assert hop.figure("http_client_request_duration_seconds_count", service=KEY, http_request_method="GET", http_response_status_code="200") == 10
    # What no service was found for has a series of its own.
    assert hop.figure("http_client_request_duration_seconds_count", service="unknown", http_request_method="POST", http_response_status_code="502", error_type="host_unknown") == 1
    assert hop.figure("outrigger_request_ends_total", service="unknown", end="host_unknown") == 1


def test_requests_of_an_inbound_listener_belong_to_its_application(fleet):
    hop = Hop(fleet, inbound={"inbound": {"forwardTo": fleet.backend(reply(200, b"x")).address}}, outbound=False, workers=2)
    address = hop.inbound["inbound"]
    assert exchange(address, "GET / HTTP/1.1\r\nHost: any\r\n\r\n").status == 200
    # Refused before it was asked for, and still the application's.
    assert exchange(address, f"GET /{'x' * 9000} HTTP/1.1\r\nHost: any\r\n\r\n").status == 414
    assert hop.figure("http_server_request_duration_seconds_count", service="app/inbound", http_response_status_code="200") == 1
    assert hop.figure("outrigger_request_ends_total", direction="inbound", service="app/inbound", end="uri_too_long") == 1
    assert hop.figure("outrigger_request_ends_total", service="unknown") == 0


def test_a_service_of_a_namespace_called_app_is_no_application(fleet):
    document = service("backend", [fleet.backend(reply(200, b"x")).address], exportTo=["Mesh"])
    document["metadata"]["namespace"] = "app"
    hop = Hop(fleet, [document])
    assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200
    assert hop.figure("outrigger_request_ends_total", direction="outbound", service="app/backend:80") == 1


def test_thousands_of_services_are_told_while_requests_go_on(fleet):
    count = 1500
    backend = fleet.backend(reply(200, b"x")).address
    hop = Hop(fleet, [service(f"s{number}", [backend, f"127.0.0.2:{1000 + number}"]) for number in range(count)], workers=2)
    with Wire(hop.address) as wire:
        for number in (0, 700, count - 1):
            assert wire.get(host=f"s{number}").response().status == 200
        rows = hop.page("/clusters")
        assert [row["service"] for row in rows] == [f"default/s{number}:80" for number in range(count)]
        assert all(len(row["endpoints"]) == 2 for row in rows)
        assert sum(endpoint["requests"] for row in rows for endpoint in row["endpoints"]) >= 3
        assert wire.get(host="s1").response().status == 200
    # A service that nobody asked for makes no series.
    assert len({dict(labels)["service"] for name, labels in hop.figures() if name == "http_client_request_duration_seconds_count"}) == 4
    assert len([row for row in hop.page("/limits") if row["limit"] == "connections.maxPending"]) == count


# --- limits ---

def test_every_limit_of_a_proxy_is_shown(fleet):
    hop = two_workers(fleet)
    shown = {row["limit"]: row for row in hop.page("/limits") if row["scope"] in ("process", "listener/outbound")}
    assert {name: shown[name]["value"] for name in (
        "connections", "headers", "headerBytes", "urlBytes", "bodyBytes", "streamsPerConnection", "bufferPerStream", "headerTimeout", "bodyIdleTimeout",
        "idleTimeout", "drainTimeout", "memoryPercent")} == {
        "connections": 10000, "headers": 100, "headerBytes": 61440, "urlBytes": 8192, "bodyBytes": None, "streamsPerConnection": 100, "bufferPerStream": 65536,
        "headerTimeout": 10000, "bodyIdleTimeout": 60000, "idleTimeout": 3600000, "drainTimeout": 20000, "memoryPercent": 80}
    assert shown["descriptors"]["use"] > 0
    assert all(row["description"] and row["unit"] for row in shown.values())


def test_connections_of_a_listener_are_bounded_over_all_workers(fleet):
    hop = two_workers(fleet, limits={"connections": 3})
    wires = [Wire(hop.address) for _ in range(3)]
    for wire in wires:
        assert wire.get().response().status == 200
    with Wire(hop.address) as more:
        assert more.is_ended()
    row = limit(hop, "connections", "listener/outbound")
    assert (row["value"], row["use"], row["peak"], row["hits"]) == (3, 3, 3, 1)
    wires.pop().close()
    eventually(lambda: limit(hop, "connections", "listener/outbound")["use"] == 2)
    with Wire(hop.address) as again:
        assert again.get().response().status == 200
    assert hop.figure("outrigger_limit_hits_total", limit="connections", scope="listener/outbound") == 1
    assert hop.figure("outrigger_limit_use_peak", limit="connections", scope="listener/outbound") == 3


def test_limits_on_messages_tell_the_most_and_what_they_refused(fleet):
    hop = two_workers(fleet, limits={"headers": 10, "urlBytes": 128, "bodyBytes": 1000})
    lines = "".join(f"X-{number}: y\r\n" for number in range(20))
    assert exchange(hop.address, "GET /12345678 HTTP/1.1\r\nHost: backend\r\nX-A: 1\r\nX-B: 2\r\n\r\n").status == 200
    assert exchange(hop.address, f"GET / HTTP/1.1\r\nHost: backend\r\n{lines}\r\n").status == 431
    assert exchange(hop.address, f"GET /{'x' * 200} HTTP/1.1\r\nHost: backend\r\n\r\n").status == 414
    assert exchange(hop.address, "POST / HTTP/1.1\r\nHost: backend\r\nContent-Length: 2000\r\n\r\n", "POST").status == 413
    assert exchange(hop.address, "POST / HTTP/1.1\r\nHost: backend\r\nContent-Length: 7\r\n\r\n1234567", "POST").status == 200
    rows = {row["limit"]: row for row in hop.page("/limits")}
    assert rows["headers"]["hits"] == 1 and 2 <= rows["headers"]["peak"] <= 10
    assert rows["urlBytes"]["hits"] == 1 and rows["urlBytes"]["peak"] == 9
    assert rows["bodyBytes"]["hits"] == 1 and rows["bodyBytes"]["peak"] >= 7
    assert rows["streamsPerConnection"]["peak"] == 1
    assert 0 < rows["headerBytes"]["peak"] < 61440


def test_the_queue_for_connections_and_their_number_are_limits(fleet):
    event = threading.Event()
    hop = two_workers(fleet, held(event, message(200, b"x")), [traffic("backend", connections={"max": 1, "maxPending": 1})])
    pending, most = f"service/{KEY}", None
    with Wire(hop.address) as first, Wire(hop.address) as second, Wire(hop.address) as third, Wire(hop.address) as fourth:
        wires = [first, second, third, fourth]
        for number, wire in enumerate(wires, 1):
            wire.get()
            # One is under way; each worker lets one wait.
            eventually(lambda: limit(hop, "connections.maxPending", pending)["hits"] + cluster(hop)["waiting"] + cluster(hop)["endpoints"][0]["active"] >= min(number, 3))
        eventually(lambda: hop.figure("outrigger_pool_full_total") >= 1)
        row = limit(hop, "connections.maxPending", pending)
        assert (row["value"], row["use"], row["peak"]) == (1, 1, 1) and row["hits"] >= 1
        most = next(row for row in hop.page("/limits") if row["limit"] == "connections.max")
        assert (most["value"], most["use"], most["peak"]) == (1, 1, 1) and most["hits"] >= 1 and most["scope"] == pending
        event.set()
        assert sorted(wire.response().status for wire in wires).count(200) >= 1
    assert hop.figure("outrigger_limit_hits_total", limit="connections.maxPending", scope=pending) >= 1


# --- certificates ---

def test_certs_tell_the_leaf_and_its_roots(fleet):
    authority = Authority()
    identity = identity_files(fleet, authority, lifetime=3 * HOUR)
    hop = two_workers(fleet, identity=identity)
    page = hop.page("/certs")
    assert page["identity"] == "loaded" and page["generation"] == 1 and "pending_error" not in page
    leaf, root = page["certificates"]
    assert (leaf["role"], leaf["id"], leaf["file"]) == ("identity", IDENTITY, identity["certificate"])
    assert leaf["ends_in"].startswith(("2h", "3h")) and int(leaf["serial"], 16) > 0
    assert (root["role"], root["id"], root["file"]) == ("trust bundle", "school.local", identity["trustBundle"])
    assert "Test Root" in root["subject"] and int(root["serial"], 16) == authority.certificate.serial_number
    ends = {name: value for (name, labels), value in hop.figures().items() if "not_after" in name}
    assert len(ends) == 2 and ends["outrigger_identity_not_after_timestamp_seconds"] < ends["outrigger_trust_root_not_after_timestamp_seconds"]
    assert "PRIVATE" not in json.dumps(page)


def test_an_identity_from_other_files_is_a_further_version(fleet):
    authority = Authority()
    hop = two_workers(fleet, identity=identity_files(fleet, authority))
    hop.proxy["spec"]["identity"] = identity_files(fleet, authority, "other")
    hop.reload()
    page = eventually(lambda: hop.page("/certs") if hop.page("/certs")["identity"] == "loaded" else None)
    assert page["generation"] == 2 and page["certificates"][0]["file"] == hop.proxy["spec"]["identity"]["certificate"]
    del hop.proxy["spec"]["identity"]
    hop.reload()
    assert hop.page("/certs")["identity"] == "none"


def test_without_an_identity_certs_say_so(fleet):
    page = two_workers(fleet).page("/certs")
    assert page["identity"] == "none" and page["certificates"] == []


def test_failed_handshakes_are_counted_by_reason(fleet):
    identity = identity_files(fleet, Authority())
    hop = Hop(fleet, inbound={"inbound": {"forwardTo": fleet.backend().address, "mtls": {"mode": "Strict"}}}, outbound=False, identity=identity, workers=2)
    context = ssl.create_default_context(cafile=identity["trustBundle"])
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for _ in range(3):
        with socket.create_connection(split_address(hop.inbound["inbound"])) as plain:
            try:
                with context.wrap_socket(plain) as secure:
                    secure.recv(1)  # with TLS 1.3 the refusal comes behind our own Finished
            except OSError:
                pass
    with Wire(hop.inbound["inbound"]) as wire:
        wire.get().rest()
    assert eventually(lambda: hop.figure("outrigger_tls_failures_total", side="server", reason="no_certificate") == 3)
    assert hop.figure("outrigger_tls_failures_total", side="server", reason="protocol") == 1
    assert hop.figure("outrigger_tls_failures_total", side="client") == 0


# --- commands ---

def test_reload_answers_with_what_was_taken(fleet):
    hop = two_workers(fleet)
    status, value = hop.post("/reload")
    assert (status, value["result"], value["generation"], value["errors"]) == (200, "accepted", 2, [])
    assert eventually(lambda: hop.worker_generation() == 2)


def test_reload_answers_with_every_error(fleet):
    hop = two_workers(fleet)
    good = hop.documents
    bad = json.loads(json.dumps(good))
    bad[0]["spec"]["limits"] = {"headers": "many", "urlBites": 1}
    bad[1]["spec"]["ports"][0]["protocol"] = "Telepathy"
    hop.write(bad)
    status, value = hop.post("/reload")
    assert status == 422 and value["result"] == "refused" and value["generation"] == 1
    assert len(value["errors"]) == 3 and all(str(hop.config) in line for line in value["errors"])
    page = hop.page("/config")
    assert page["pending_errors"] == value["errors"] and page["generation"] == 1 and page["services"][0]["service"] == KEY
    assert hop.figure("outrigger_config_pending_errors") == 3
    assert hop.figure("outrigger_config_loads_total", result="refused") == 1
    assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200

    hop.write(good)
    assert hop.post("/reload")[0] == 200
    assert hop.page("/config")["pending_errors"] == [] and hop.figure("outrigger_config_pending_errors") == 0


def test_reload_waits_for_the_certificates(fleet):
    authority = Authority()
    identity = identity_files(fleet, authority)
    hop = two_workers(fleet, identity=identity)
    identity_files(fleet, authority)
    status, value = hop.post("/reload")
    assert status == 200 and hop.page("/certs")["generation"] == 2
    identity_files(fleet, Authority("other.example"))
    fleet.write("identity/ca.crt", authority.bundle_pem)  # the leaf does not verify
    status, value = hop.post("/reload")
    assert status == 422 and value["identity_error"]
    page = hop.page("/certs")
    assert page["identity"] == "loaded" and page["generation"] == 2 and page["pending_error"] == value["identity_error"]
    assert hop.figure("outrigger_identity_loads_total", result="refused") == 1


def change(address, token=None):
    """The response to a POST, and its status, of a client that shows that token."""
    fields = f"Authorization: Bearer {token}\r\n" if token else ""
    response = exchange(address, f"POST /reload HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: 0\r\n\r\n", "POST")
    return response.status, response


def test_a_change_over_tcp_needs_the_token(fleet):
    hop = two_workers(fleet)
    status, response = change(hop.admin)
    assert status == 401 and response.header("www-authenticate") == "Bearer" and b"spec.admin.tokenFile" in response.body
    assert change(hop.admin, "guessed")[0] == 401
    assert hop.generation() == 1
    assert change(hop.admin, hop.token)[0] == 200
    fleet.write("hop.token", "another")
    assert change(hop.admin, hop.token)[0] == 401
    assert change(hop.admin, "another")[0] == 200
    assert hop.generation() == 3


def test_where_no_token_is_set_changes_over_tcp_are_refused(fleet):
    hop = two_workers(fleet, admin={"address": fleet.address()})
    hop.admin = hop.proxy["spec"]["admin"]["address"]
    status, response = change(hop.admin, "anything")
    assert status == 403 and b"spec.admin.tokenFile" in response.body and b"unix:/path" in response.body
    assert hop.generation() == 1
    assert hop.page("/config")["generation"] == 1  # reading is free


def test_a_change_over_a_unix_socket_needs_no_token(fleet):
    path = fleet.folder / "admin.sock"
    hop = two_workers(fleet, admin={"address": f"unix:{path}"})
    assert path.stat().st_mode & 0o777 == 0o600
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(str(path))
        client.sendall(b"POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"
    assert eventually(lambda: hop.generation() == 2)


def test_a_drain_takes_the_proxy_out_and_leaves_it_running(fleet):
    hop = two_workers(fleet)
    assert hop.post("/drain") == (202, {"state": "draining"})
    assert http_get(hop.metrics, "/readyz") == (503, b"draining\n")
    assert hop.figure("outrigger_draining") == 1 and hop.figure("outrigger_ready") == 0
    assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200  # what the application sends still goes out
    assert hop.page("/clusters")[0]["endpoints"][0]["requests"] == 1
    assert hop.process.running()
    assert hop.post("/shutdown") == (202, {"state": "draining"})
    assert hop.process.wait() == 0


def test_a_shutdown_ends_behind_the_last_response(fleet):
    event = threading.Event()
    hop = two_workers(fleet, held(event, message(200, b"late")))
    with Wire(hop.address) as wire:
        wire.get()
        eventually(lambda: cluster(hop)["endpoints"][0]["active"] == 1)
        assert hop.post("/shutdown")[0] == 202
        assert hop.process.running() and cluster(hop)["endpoints"][0]["active"] == 1
        event.set()
        assert wire.response().body == b"late"
    assert hop.process.wait() == 0


# --- under all circumstances ---

def ask_until(hop, stop, path, seen):
    while not stop.is_set():
        try:
            seen.append(http_get(hop.admin, path)[0])
        except (OSError, EOFError):
            pass  # it has ended, or answers nobody any more
        except Exception as error:
            if type(error).__module__ != "http.client":
                raise


@pytest.mark.parametrize("end", ["SIGTERM", "SIGINT twice"])
def test_pages_are_asked_for_all_the_time_until_it_ends(fleet, end):
    backend = fleet.backend(reply(200, b"x")).address
    documents = [service(f"s{number}", [backend]) for number in range(600)]
    hop = Hop(fleet, documents, workers=2)
    stop, seen = threading.Event(), []
    paths = ["/metrics", "/clusters", "/limits", "/config", "/metrics?x=1", "/clusters?format=text", "/limits?format=text", "/certs"]
    askers = [threading.Thread(target=ask_until, args=(hop, stop, path, seen)) for path in paths]
    for asker in askers:
        asker.start()
    try:
        with Wire(hop.address) as wire:
            for step in range(1, 6):
                assert wire.get(host=f"s{100 * step}").response().status == 200
                hop.reload([hop.proxy, *documents[step * 50:]])  # services go while they are copied
                assert wire.get(host=f"s{100 * step + 50}").response().status == 200
        hop.process.signal(signal.SIGTERM if end == "SIGTERM" else signal.SIGINT)
        if end != "SIGTERM":
            hop.process.signal(signal.SIGINT)
        assert hop.process.wait() == 0
    finally:
        stop.set()
        for asker in askers:
            asker.join()
    assert seen and set(seen) <= {200}


def test_clients_that_go_away_while_they_ask_harm_nobody(fleet):
    backend = fleet.backend(reply(200, b"x")).address
    hop = Hop(fleet, [service(f"s{number}", [backend]) for number in range(600)], workers=2)
    for _ in range(20):
        wires = [Wire(hop.admin).send("GET /clusters HTTP/1.1\r\nHost: localhost\r\n\r\n") for _ in range(20)]
        for wire in wires:
            wire.break_off()
    # The last of those questions may still be with the workers, and only so many are at a time.
    eventually(lambda: len(hop.page("/clusters")) == 600)
    assert hop.figure("outrigger_workers") == 2


def test_promtool_finds_no_fault_in_the_metrics(fleet):
    hop = two_workers(fleet, identity=identity_files(fleet, Authority()))
    assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200
    assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: nowhere\r\n\r\n").status == 502
    done = fleet.run(["promtool", "check", "metrics"], input=http_get(hop.metrics, "/metrics")[1].decode())
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
