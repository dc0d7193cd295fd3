"""New documents while traffic flows: by SIGHUP, by themselves and by POST /reload; bad ones are refused whole and the old ones serve on; listeners come, go and move."""

import signal
import socket
import threading

import pytest

from support.backend import held, message, reply
from support.fleet import BIN, eventually, split_address
from support.h2_peer import H2Client
from support.hop import Hop, service, traffic
from support.wire import Wire, exchange

GET = "GET / HTTP/1.1\r\nHost: backend\r\n\r\n"


def ask(address, host="backend"):
    return exchange(address, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")


def is_refused(address):
    try:
        socket.create_connection(split_address(address)).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.fixture
def two(fleet):
    """A hop with service `backend` at the first of two backends, and the addresses of both."""
    addresses = [fleet.backend(reply(200, name)).address for name in (b"first", b"second")]
    return Hop(fleet, [service("backend", addresses[:1])]), addresses


def test_sighup_takes_new_documents(two):
    hop, addresses = two
    assert ask(hop.address).body == b"first"
    hop.reload([hop.proxy, service("backend", addresses[1:])])
    assert ask(hop.address).body == b"second"
    assert hop.page("/config")["generation"] == 2


def test_what_was_read_is_told(two):
    """Also of a set that is refused: how long it took; its documents are not those in force."""
    hop, addresses = two
    documents = [hop.proxy, *(service(f"s{number}", addresses) for number in range(3)), traffic("s1", retry={"attempts": 2})]
    hop.reload(documents)

    def told():
        kinds = ("Proxy", "ServiceEntry", "TrafficPolicy", "HTTPRoute")
        return [hop.figure("outrigger_config_documents", kind=kind) for kind in kinds] + [hop.figure("outrigger_config_files")]
    assert told() == [1, 3, 1, 0, 1]
    page = hop.page("/config")
    assert (page["files"], page["documents"]) == (1, 5) and 0 < page["load_us"] < 60_000_000
    assert 0 < hop.figure("outrigger_config_load_duration_seconds") < 60
    assert "event=config_accepted generation=2 services=3 files=1 decoded=1 documents=5 took_ms=" in hop.process.output()
    hop.write([*documents, service("s4", ["nowhere"])])
    hop.process.signal(signal.SIGHUP)
    eventually(lambda: hop.figure("outrigger_config_pending_errors") == 1)
    assert told() == [1, 3, 1, 0, 1]


def test_a_change_of_the_file_is_found(two):
    hop, addresses = two
    hop.write([hop.proxy, service("backend", addresses[1:])])
    eventually(lambda: ask(hop.address).body == b"second")


def test_post_reload_says_what_came_of_it(two):
    hop, addresses = two
    hop.write([hop.proxy, service("backend", addresses[1:])])
    status, told = hop.post("/reload")
    assert status == 200, told
    eventually(lambda: ask(hop.address).body == b"second")
    hop.write([hop.proxy, service("backend", ["nonsense"])])
    status, told = hop.post("/reload")
    assert "nonsense" in str(told)
    assert ask(hop.address).body == b"second"


def test_a_connection_lives_on_and_its_next_request_goes_by_the_new_documents(two):
    hop, addresses = two
    with Wire(hop.address) as wire, H2Client(hop.address) as client:
        assert wire.get().response().body == client.get().body == b"first"
        hop.reload([hop.proxy, service("backend", addresses[1:])])
        assert wire.get().response().body == client.get().body == b"second"
    assert hop.figure("outrigger_downstream_connections_total") == 2


def test_a_request_under_way_ends_where_it_began(fleet):
    event = threading.Event()
    old = fleet.backend(held(event, message(200, b"old")))
    hop = Hop(fleet, [service("backend", [old.address])])
    with Wire(hop.address) as wire:
        wire.get()
        eventually(lambda: old.connections and old.connections[0].requests)
        hop.reload([hop.proxy, service("backend", [fleet.backend(reply(200, b"new")).address])])
        assert ask(hop.address).body == b"new"
        event.set()
        assert wire.response().body == b"old"
        assert wire.get().response().body == b"new"
    eventually(lambda: not hop.figure("outrigger_upstream_connections_active") > 1, what="the connection to the old one is closed")


def test_a_request_that_waits_for_an_endpoint_that_is_taken_away_goes_to_another(fleet):
    event = threading.Event()
    old, new = fleet.backend(held(event, message(200, b"old"))), fleet.backend()
    policy = traffic("backend", connections={"max": 1}, retry={"attempts": 0})
    hop = Hop(fleet, [service("backend", [old.address])], policies=[policy], workers=1)
    with Wire(hop.address) as under_way, Wire(hop.address) as waiting:
        under_way.get()
        eventually(lambda: old.connections and old.connections[0].requests)
        waiting.post(b"body")
        eventually(lambda: hop.figure("outrigger_pool_waiting") == 1)
        hop.reload([hop.proxy, service("backend", [new.address]), policy])
        assert not new.requests, "the one place of the service is still in use"
        event.set()
        assert under_way.response().body == b"old"
        assert waiting.response().status == 200
        assert new.requests[0].body == b"body"
    hop.logged(2, end="ok", attempts=1)
    assert hop.figure("outrigger_retries_total") == 0


def test_what_did_not_change_keeps_its_connections(two):
    hop, addresses = two
    other = service("other", addresses[1:])
    with Wire(hop.address) as wire:
        assert wire.get().response().status == 200
        for _ in range(3):
            hop.reload([hop.proxy, service("backend", addresses[:1]), other, traffic("other", timeouts={"request": "9s"})])
            assert wire.get().response().status == 200
    assert hop.figure("outrigger_upstream_connections_total") == 1


def test_a_service_that_is_gone_is_unknown(two):
    hop, addresses = two
    hop.reload([hop.proxy, service("other", addresses[1:])])
    assert ask(hop.address).status == 502
    hop.logged(end="host_unknown")
    assert ask(hop.address, "other").body == b"second"


def test_a_policy_takes_effect(fleet):
    event = threading.Event()
    hop = Hop(fleet, {"backend": [fleet.backend(held(event, message(200, b"x"))).address]})
    hop.reload([*hop.documents, traffic("backend", timeouts={"request": "100ms"})])
    assert ask(hop.address).status == 504
    event.set()


BAD = """
apiVersion: outrigger.dev/v1alpha1
kind: ServiceEntry
metadata: {name: bad}
spec:
  hosts: [bad]
  ports: [{name: main, port: 80}]
  tls: {mode: Nonsense}
  endpionts: []
  endpoints: [{address: "nowhere"}]
---
apiVersion: outrigger.dev/v1alpha1
kind: TrafficPolicy
metadata: {name: worse}
spec: {targetRefs: [{kind: Service, name: bad}], timeouts: {request: soon}}
"""


@pytest.mark.parametrize("how", ["signal", "file"])
def test_bad_documents_are_refused_with_every_error_and_the_old_ones_serve_on(two, how):
    hop, _ = two
    with Wire(hop.address) as wire:
        assert wire.get().response().body == b"first"
        hop.fleet.write("hop/config.yaml", hop.config.read_text() + "---" + BAD)
        if how == "signal":
            hop.process.signal(signal.SIGHUP)
        eventually(lambda: hop.figure("outrigger_config_loads_total", result="refused") >= 1)
        output = hop.process.output()
        for wrong in ("Nonsense", "endpionts", "endpoints", "nowhere", "soon"):
            assert wrong in output, output
        assert f"{hop.config}:" in output and "ServiceEntry" in output
        assert wire.get().response().body == b"first"
    page = hop.page("/config")
    assert page["generation"] == 1 and len(page["pending_errors"]) >= 4, page
    assert hop.figure("outrigger_config_pending_errors") >= 4
    hop.reload()
    assert not hop.page("/config")["pending_errors"] and hop.figure("outrigger_config_pending_errors") == 0


def test_a_file_that_cannot_be_parsed_is_refused(two):
    hop, _ = two
    hop.fleet.write("hop/config.yaml", "kind: [")
    hop.process.signal(signal.SIGHUP)
    eventually(lambda: hop.figure("outrigger_config_loads_total", result="refused") >= 1)
    assert ask(hop.address).body == b"first"


def test_a_proxy_does_not_start_with_bad_documents(fleet):
    hop = Hop(fleet, start=False)
    hop.write()
    hop.fleet.write("hop/config.yaml", hop.config.read_text() + "---" + BAD)
    done = fleet.run([BIN / "outrigger-proxy", "--config", hop.config])
    assert done.returncode == 3
    for wrong in ("Nonsense", "endpionts", "nowhere", "soon"):
        assert wrong in done.stderr
    assert fleet.run([BIN / "outrigger-proxy", "--config", hop.config, "--check"]).returncode == 3


# --- listeners ---

def test_a_listener_is_added_and_removed(two):
    hop, _ = two
    more = hop.add_listener()
    hop.reload()
    assert ask(more).body == b"first" and ask(hop.address).body == b"first"
    with Wire(more) as kept, Wire(more) as slow:
        assert kept.get().response().body == b"first"
        assert slow.get().response().body == b"first"
        hop.proxy["spec"]["listeners"].pop()
        hop.reload()
        eventually(lambda: refuses(more), what="nobody listens there any more")
        assert ask(hop.address).body == b"first"
        # Those that were there are sent away in order: behind a response, or while idle.
        try:
            response = kept.get().response()
            assert response.status == 200 and response.header("connection") == "close"
        except (EOFError, ConnectionResetError, BrokenPipeError):
            pass
        assert slow.rest() == b""


def refuses(address):
    try:
        Wire(address).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_listener_moves_to_another_port(two):
    hop, _ = two
    old = hop.address
    listener = hop.proxy["spec"]["listeners"][0]
    new = listener["address"] = hop.fleet.address()
    hop.reload()
    assert ask(new).body == b"first"
    eventually(lambda: refuses(old))
    listener["address"] = old
    hop.reload()
    assert ask(old).body == b"first"


def test_two_listeners_change_places(two):
    hop, addresses = two
    hop.proxy["spec"]["listeners"].append({"name": "in", "role": "Inbound", "address": hop.fleet.address(), "forwardTo": addresses[1], "mtls": {"mode": "Disable"}})
    hop.reload()
    outbound, inbound = hop.proxy["spec"]["listeners"]
    assert ask(outbound["address"]).body == b"first" and ask(inbound["address"]).body == b"second"
    outbound["address"], inbound["address"] = inbound["address"], outbound["address"]
    hop.reload()
    assert ask(outbound["address"]).body == b"first" and ask(inbound["address"]).body == b"second"


def test_a_port_that_is_taken_refuses_the_whole_set(two):
    hop, addresses = two
    hop.proxy["spec"]["listeners"].append({"name": "taken", "role": "Outbound", "address": addresses[1]})
    hop.write([hop.proxy, service("backend", addresses[1:])])
    hop.process.signal(signal.SIGHUP)
    eventually(lambda: hop.figure("outrigger_config_loads_total", result="refused") >= 1)
    assert addresses[1] in hop.process.output()
    assert ask(hop.address).body == b"first"


# --- under load ---

def test_reloads_under_load_fail_no_request(two):
    hop, addresses = two
    sets = [[hop.proxy, service("backend", addresses[:1])], [hop.proxy, service("backend", addresses[1:])], [hop.proxy, service("backend", addresses), traffic("backend", timeouts={"request": "30s"})]]
    loads = [hop.fleet.start(f"load{count}", ["h2load", *options, "-n", "6000", "-c", "4", "--connect-to", hop.address, "http://backend/"])
             for count, options in enumerate((["--h1"], ["-m", "10"]))]
    for count in range(20):
        hop.reload(sets[count % 3])
    for load in loads:
        load.wait()
    failures = [line for line in hop.log() if line["end"] != "ok"]
    assert not failures, f"{len(failures)}: {failures[:3]}"
    for load in loads:
        assert "6000 succeeded, 0 failed, 0 errored, 0 timeout" in load.output() and "6000 2xx" in load.output(), load.output()
    eventually(lambda: hop.figure("outrigger_streams_active") == 0)


def test_what_needs_a_restart_is_said(two):
    hop, addresses = two
    spec = hop.proxy["spec"]
    was = dict(spec["admin"])
    spec["admin"] = {"address": hop.fleet.address()}
    spec["workers"] = hop.proxy["spec"].get("workers", 1) + 1
    hop.reload()
    assert ask(hop.address).body == b"first"
    assert hop.page("/version")["outrigger"], "the pages are where they were"
    said = [line for line in hop.process.output().splitlines() if "event=needs_restart" in line]
    assert any(f"field=spec.admin.address value={was['address']} wanted={spec['admin']['address']}" in line for line in said)
    assert any("field=spec.workers" in line for line in said)
    row = next(row for row in hop.page("/listeners") if row["name"] == "admin")
    assert (row["address"], row["state"], row["after_restart"]) == (was["address"], "listening", spec["admin"]["address"])
    hop.reload()
    again = [line for line in hop.process.output().splitlines() if "event=needs_restart" in line]
    assert len(again) >= len(said) + 2, "said as long as it holds"
    spec["admin"] = was
    hop.reload()
    assert "after_restart" not in next(row for row in hop.page("/listeners") if row["name"] == "admin")


def test_new_documents_open_nothing_at_the_end(fleet):
    event = threading.Event()
    backend = fleet.backend(held(event, message(200, b"done")))
    hop = Hop(fleet, inbound={"in": {"forwardTo": backend.address}}, outbound=False, limits={"drainTimeout": "2s"})
    with Wire(hop.inbound["in"]) as wire:
        wire.get()
        eventually(lambda: backend.connections and backend.connections[0].requests)
        hop.process.signal(signal.SIGTERM)
        late = hop.add_listener()
        eventually(lambda: is_refused(hop.inbound["in"]), what="the last call")
        hop.write()
        hop.process.signal(signal.SIGHUP)
        eventually(lambda: "event=config_accepted generation=2" in hop.process.output())
        assert is_refused(late)
        event.set()
        assert wire.response().body == b"done"
    assert hop.process.wait() == 0
