"""WebSockets through the proxy, by python3-websockets: over HTTP/1.1 and extended CONNECT, to servers that speak either, through one hop and through a pair with mutual TLS."""
# presets: dev tsan release
# seconds: 40

import contextlib
import os
import random
import signal
import socket
import threading

import pytest

from support.backend import message
from support.fleet import eventually, http_get
from support.h2_peer import CANCEL, H2Client
from support.hop import Hop, service, traffic
from support.pair import Pair
from support.websocket import Refused, connect, h2_websocket_server, switched, websocket_server
from support.wire import Wire

KINDS = ["hop", "pair", "connect to http1", "connect through the pair", "http1 to connect", "connect to connect"]


class Way:
    """A way from a client to a server: `connect` shakes hands, `say` is whose log is looked at."""

    def __init__(self, fleet, kind, **options):
        self.fleet = fleet
        self.over_http2 = kind.startswith("connect")
        self.only_echoes = kind.endswith("to connect")  # the server
        if self.only_echoes:
            self.server = fleet.backend(h2_websocket_server())
            self.hop = Hop(fleet, {"backend": [self.server.address]}, protocol="HTTP2", **options)
        elif "pair" in kind:
            self.server = websocket_server(fleet)
            self.pair = Pair(fleet, self.server.address, **options)
            self.hop = self.pair.near
        else:
            self.server = websocket_server(fleet)
            self.hop = Hop(fleet, {"backend": [self.server.address]}, **options)

    @contextlib.contextmanager
    def connect(self, path="/echo", **options):
        with contextlib.ExitStack() as stack:
            if self.over_http2:
                client = stack.enter_context(H2Client(self.hop.address))
                client.wait(lambda: client.h2.remote_settings.enable_connect_protocol == 1, "ENABLE_CONNECT_PROTOCOL")
                options["client"] = client
            yield stack.enter_context(connect(self.hop.address, path, **options))


@pytest.fixture(params=KINDS)
def way(request, fleet):
    return Way(fleet, request.param)


def test_messages_fragments_and_pings_pass(way):
    with way.connect() as peer:
        for text in ("hello", "", "\u00e9" * 300, "x" * 70000):
            peer.send(text)
            assert peer.recv() == text
        peer.send_fragments(b"one ", b"", b"two ", b"three")
        assert peer.recv() == "one two three"
        assert peer.ping(b"are you there")
        assert peer.close(1000) == 1000
    line = way.hop.logged(status=101)
    assert (line["end"], line["method"], line["path"]) == ("ok", "GET", "/echo")
    assert line["request_bytes"] > 70000 and line["response_bytes"] > 70000


def test_a_message_of_a_megabyte_passes_both_ways(way):
    content = random.Random(1).randbytes(1 << 20)
    with way.connect() as peer:
        for _ in range(3):
            peer.send(content)
            assert peer.recv() == content
        assert peer.close() == 1000


def test_close_codes_pass_both_ways(way):
    with way.connect() as peer:
        assert peer.close(4321) == 4321
    if not way.only_echoes:
        with way.connect("/close/4000") as peer:
            assert peer.wait_for_close() == 4000
        eventually(lambda: way.server.ended[:2] == [4321, 4000], what="the codes at the server")


def test_many_at_once_do_not_mix(way):
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(way.connect()) for _ in range(20)]
        assert way.hop.figure("outrigger_tunnels_active", kind="websocket") == 20
        for turn in range(5):
            for number, peer in enumerate(peers):
                peer.send(f"{number} {turn}")
            for number, peer in enumerate(peers):
                assert peer.recv() == f"{number} {turn}"
    eventually(lambda: way.hop.figure("outrigger_tunnels_active", kind="websocket") == 0)
    assert way.hop.figure("outrigger_tunnels_total", kind="websocket") == 20


def test_a_refusal_comes_as_it_is(fleet):
    for kind in KINDS:
        way = Way(fleet, kind, **({} if "pair" in kind else {"name": kind.replace(" ", "-")})) if kind != KINDS[3] else None
        if way is None:
            continue  # the pair once
        with pytest.raises(Refused) as refused:
            with way.connect("/refuse/403"):
                pass
        assert (refused.value.status, refused.value.body) == (403, b"no")
        line = way.hop.logged(status=403)
        assert line["end"] == "ok"


def test_what_the_handshake_says_to_applications_passes(fleet):
    for kind in ("hop", "connect to http1", "pair"):
        way = Way(fleet, kind, **({} if kind == "pair" else {"name": kind.replace(" ", "-")}))
        with way.connect("/echo", subprotocols=["other", "chat"], headers=[("origin", "http://o.example"), ("cookie", "a=b")]) as peer:
            assert peer.headers["sec-websocket-protocol" if way.over_http2 else "Sec-WebSocket-Protocol"] in ("chat", "other")
            peer.send("x")
            assert peer.recv() == "x"
        headers = way.server.handshakes[-1][1]
        assert (headers["Origin"], headers["Cookie"], headers["Sec-WebSocket-Version"], headers["Connection"]) == \
            ("http://o.example", "a=b", "13", "Upgrade")
        assert way.over_http2 == ("sec-websocket-accept" not in peer.headers and "Sec-WebSocket-Accept" not in peer.headers)


def test_a_server_that_ends_first_ends_the_connection(way):
    if way.only_echoes:
        pytest.skip("the server over HTTP/2 only echoes")
    with way.connect("/count/100") as peer:
        assert [peer.recv() for _ in range(100)] == [f"{number}" for number in range(100)]
        assert peer.wait_for_close() == 1000
        assert peer.ended


def test_a_client_that_vanishes_takes_its_tunnel_along(way):
    with way.connect() as peer:
        peer.send("x")
        assert peer.recv() == "x"
        peer.channel.break_off()
        assert way.hop.logged(status=101)["end"] == "client_gone"
    if not way.only_echoes:
        eventually(lambda: way.server.ended == [1006] and way.server.open == 0, what="the end at the server")
    else:
        eventually(lambda: way.server.connections[0].server.message(1).reset == CANCEL, what="the reset at the server")
    assert way.hop.figure("outrigger_tunnels_active", kind="websocket") == 0


def upgrade(path="/", key="dGhlIHNhbXBsZSBub25jZQ=="):
    return (f"GET {path} HTTP/1.1\r\nHost: backend\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n")


SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"


@pytest.mark.parametrize("first", ["client", "server"])
def test_each_direction_ends_by_itself(fleet, first):
    """A FIN is passed on as a FIN, and the other direction goes on."""
    def script(connection):
        connection.send(switched(connection.read_head()))
        if first == "client":
            while (more := connection.socket.recv(65536)):
                connection.received += more
            connection.send(b"all of " + bytes(connection.received))
        else:
            connection.send(b"that was all")
            connection.end()
            while (more := connection.socket.recv(65536)):
                connection.received += more
            connection.backend.record(bytes(connection.received))
    backend = fleet.backend(script)
    pair = Pair(fleet, backend.address)
    with Wire(pair.address) as wire:
        wire.send(upgrade())
        head = wire.take_until(b"\r\n\r\n")
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head, "the answer to the client's own key"
        if first == "client":
            wire.send("half").end()
            assert wire.rest() == b"all of half"
        else:
            assert wire.rest() == b"that was all"
            wire.send("and more").end()
            eventually(lambda: backend.requests == [b"and more"], what="what came behind the server's end")
    assert pair.near.logged(status=101)["end"] == "ok"
    assert pair.far.logged(status=101)["end"] == "ok"


def test_a_server_that_breaks_off_is_told_by_a_reset(fleet):
    def script(connection):
        connection.send(switched(connection.read_head()) + b"part")
        connection.socket.recv(1)
        connection.reset()
    pair = Pair(fleet, fleet.backend(script).address)
    with Wire(pair.address) as wire:
        wire.send(upgrade())
        wire.take_until(b"\r\n\r\n")
        assert wire.take(4) == b"part"
        wire.send("x")
        with pytest.raises(ConnectionResetError):
            while wire.more():
                pass
    assert pair.near.logged(status=101)["end"] == "response_incomplete"


def test_bytes_before_the_answer_reach_a_tunnel_and_nothing_else(fleet):
    """Rows 11, 12 and 13 of the threats: what a client sends behind its upgrade goes up behind a 101; behind a 200 never, and the next client sees nothing of it."""
    early, asked, answers = [], threading.Event(), threading.Event()

    def script(connection):
        while (request := connection.read_head()) is not None:
            if request.header("upgrade"):
                asked.set()
                answers.wait(60)
                answers.clear()
                try:
                    early.append(bytes(connection.received) + connection.socket.recv(65536, socket.MSG_DONTWAIT))
                except BlockingIOError:
                    early.append(bytes(connection.received))
            if request.target == "/tunnel":
                connection.send(SWITCHED)
                connection.backend.record(connection.read_exactly(5))
                return
            connection.send(message(200, request.target.encode()))
    backend = fleet.backend(script)
    hop = Hop(fleet, {"backend": [backend.address], "witness": [fleet.backend().address]})

    def ask(wire, path, behind):
        asked.clear()
        wire.send(upgrade(path) + behind)
        asked.wait(60)
        with Wire(hop.address) as witness:  # by then all that goes on has gone on
            assert witness.get(host="witness").response().status == 200
        answers.set()
    with Wire(hop.address) as wire:
        ask(wire, "/tunnel", "early")
        assert wire.take_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101")
        eventually(lambda: backend.requests == [b"early"], what="what waited")
    for behind, status in (("GET /smuggled HTTP/1.1\r\nHost: backend\r\n\r\n", 200), ("\x81\x05hello", 400)):
        with Wire(hop.address) as wire:
            ask(wire, "/plain", behind)
            response = wire.response()
            assert (response.status, response.body) == (200, b"/plain")
            assert wire.response().status == status, "what is behind it is a request of its own"
        with Wire(hop.address) as other:
            for path in ("/one", "/two"):
                assert other.get(path).response().body == path.encode()
    assert early == [b"", b"", b""]
    upgrades = [connection for connection in backend.connections if any(request.header("upgrade") for request in connection.requests)]
    assert all(connection.requests[-1].header("upgrade") for connection in upgrades), "an upgrade is the last request of its connection, whatever came of it"


def test_an_upgrade_with_a_body_is_a_plain_request(fleet):
    """Row 4 of the threats: nobody reads it as an upgrade, so the pooled connection is as good as behind any request."""
    backend = fleet.backend()
    hop = Hop(fleet, {"backend": [backend.address]})
    body = "GET /smuggled HTTP/1.1\r\nHost: backend\r\n\r\n"
    for framing, text in ((f"Content-Length: {len(body)}", body), ("Transfer-Encoding: chunked", f"{len(body):x}\r\n{body}\r\n0\r\n\r\n")):
        with Wire(hop.address) as wire:
            wire.send(upgrade()[:-2] + framing + "\r\n\r\n" + text)
            assert wire.response().status == 200
            seen = backend.requests[-1]
            assert seen.body == body.encode() and seen.header("upgrade") is None and "upgrade" not in (seen.header("connection") or "").lower()
        with Wire(hop.address) as other:
            assert other.get("/next").response().status == 200
    assert "/smuggled" not in [request.target for request in backend.requests]


def test_other_upgrades_are_plain_requests(fleet):
    backend = fleet.backend()
    hop = Hop(fleet, {"backend": [backend.address]})
    with Wire(hop.address) as wire:
        for token in ("h2c", "TLS/1.2", "SPDY/3.1", "tcp"):
            assert wire.get(headers=["Connection: Upgrade", f"Upgrade: {token}"]).response().status == 200
            assert backend.requests[-1].header("upgrade") is None
        wire.send("GET / HTTP/1.0\r\nHost: backend\r\n" + upgrade().partition("\r\nHost: backend\r\n")[2])
        assert wire.response().status == 200
        assert backend.requests[-1].header("upgrade") is None


@pytest.mark.parametrize("answer, end", [
    (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", "upgrade_failed"),
    (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "upgrade_failed"),
    (SWITCHED, "upgrade_failed"),
    (message(200, b"plain"), "upgrade_failed"),
], ids=["another protocol", "no protocol", "another's answer", "a plain 200"])
def test_extended_connect_is_taken_by_a_right_101_alone(fleet, answer, end):
    def script(connection):
        while connection.read_head() is not None:
            connection.send(answer)
    hop = Hop(fleet, {"backend": [fleet.backend(script).address]})
    with H2Client(hop.address) as client:
        with pytest.raises(Refused) as refused:
            connect(hop.address, client=client)
        assert refused.value.status == 502
        assert f"; details=\"{end}" in refused.value.headers["proxy-status"]
    assert hop.logged(status=502)["end"] == end


def test_a_101_that_nobody_asked_for_is_502(fleet):
    def script(connection):
        while connection.read_head() is not None:
            connection.send(SWITCHED)
    hop = Hop(fleet, {"backend": [fleet.backend(script).address]})
    with Wire(hop.address) as wire:
        assert wire.get().response().status == 502
    assert hop.logged(status=502)["end"] == "response_malformed"


def test_an_http2_server_without_extended_connect_fails_the_upgrade(fleet):
    hop = Hop(fleet, {"backend": [fleet.backend(h2_websocket_server(connects=False)).address]}, protocol="HTTP2")
    with pytest.raises(Refused) as refused:
        connect(hop.address)
    assert refused.value.status == 502
    assert hop.logged(status=502)["end"] == "upgrade_failed"


def test_a_stranger_with_tls_and_no_extended_connect_is_asked_by_http_1(fleet):
    """A server that offers h2 and http/1.1 under mutual TLS and takes no extended CONNECT: the upgrade goes over a connection that chose HTTP/1.1."""
    pair = Pair(fleet, "127.0.0.1:9")
    stranger = pair.far_identity.context(alpn=("h2", "http/1.1"), server=True)
    over_http2 = h2_websocket_server(connects=False)

    def script(connection):
        if connection.socket.selected_alpn_protocol() == "h2":
            over_http2(connection)
            return
        connection.send(switched(connection.read_head()))
        connection.send(connection.read_exactly(4).upper())
        connection.end()
        connection.wait_for_end()
    backend = fleet.backend(script, tls=stranger)
    pair.near.reload([pair.near.proxy, {**pair.service, "spec": {**pair.service["spec"], "endpoints": [{"address": backend.address}]}}])
    for _ in range(2):
        with Wire(pair.address) as wire:
            wire.send(upgrade())
            assert wire.take_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101")
            wire.send("ping").end()
            assert wire.rest() == b"PING"


def test_a_tunnel_lives_through_a_reload_and_the_loss_of_its_endpoint(way):
    with way.connect() as peer:
        peer.send("before")
        assert peer.recv() == "before"
        gone = [service("backend", ["127.0.0.1:9"])]
        way.hop.reload([way.hop.proxy, *gone])
        peer.send("after")
        assert peer.recv() == "after"
        assert peer.close() == 1000


def test_the_time_of_a_request_ends_with_the_101(fleet):
    server = websocket_server(fleet)
    hop = Hop(fleet, {"backend": [server.address]}, policies=[traffic("backend", timeouts={"request": "1s", "idle": "500ms", "tcpIdle": "3s"})])
    with connect(hop.address) as peer:
        for _ in range(3):
            with contextlib.suppress(TimeoutError):  # nothing comes; what passes is time
                peer.channel.socket.settimeout(1)
                peer.channel.socket.recv(1)
            peer.channel.socket.settimeout(60)
            peer.send("x")
            assert peer.recv() == "x"
        assert not peer.pump(), "silence for longer than tcpIdle ends it"
    line = hop.logged(status=101)
    assert (line["end"], line["policy"]) == ("request_timeout", "TrafficPolicy/default/backend-traffic: timeouts.tcpIdle")


def test_a_drain_leaves_tunnels_their_time_and_then_ends(fleet):
    server = websocket_server(fleet)
    pair = Pair(fleet, server.address, far={"limits": {"drainTimeout": "4s"}})
    with connect(pair.address) as peer:
        peer.send("before")
        assert peer.recv() == "before"
        pair.far.process.signal(signal.SIGTERM)
        eventually(lambda: http_get(pair.far.metrics, "/readyz")[0] == 503, what="not ready any more")
        peer.send("while it drains")
        assert peer.recv() == "while it drains"
        with contextlib.suppress(ConnectionResetError):
            while peer.pump():
                pass
    assert pair.far.process.wait() == 0
    eventually(lambda: server.open == 0)


def test_a_drain_ends_with_the_last_tunnel(fleet):
    server = websocket_server(fleet)
    pair = Pair(fleet, server.address)
    with connect(pair.address) as peer:
        peer.send("x")
        assert peer.recv() == "x"
        pair.far.process.signal(signal.SIGTERM)
        eventually(lambda: http_get(pair.far.metrics, "/readyz")[0] == 503, what="not ready any more")
        assert peer.close() == 1000
    assert pair.far.process.wait() == 0


@pytest.mark.skipif(os.environ.get("OUTRIGGER_PRESET") == "tsan", reason="a matter of memory, not of threads")
def test_a_slow_reader_bounds_what_is_held(way):
    """Nobody reads the echo: the proxy stops reading from its server, and this from the client."""
    with way.connect() as peer:
        held = eventually(lambda: way.hop.figure("outrigger_buffer_blocks_peak") or 1)
        channel = peer.channel
        sent, content = 0, b"\x82\x7f" + (64 << 20).to_bytes(8, "big")
        if way.over_http2:
            channel.client.holds = True
            channel.client.h2.send_data(channel.stream, content)
            channel.client.flush()
            while (room := min(channel.client.h2.local_flow_control_window(channel.stream), 16384)) > 0 and sent < 8 << 20:
                channel.client.h2.send_data(channel.stream, b"x" * room)
                channel.client.flush()
                sent += room
        else:
            channel.socket.settimeout(2)
            channel.send(content)
            with contextlib.suppress(TimeoutError):
                while sent < 8 << 20:
                    sent += channel.socket.send(b"x" * 65536)
        assert way.hop.figure("outrigger_buffer_blocks_peak") < held + 200
        channel.break_off()
    way.hop.logged(status=101)
