"""WebSocket peers by python3-websockets: a server in a thread of its own, and a client on a blocking channel, which is a connection (HTTP/1.1 upgrade) or an
HTTP/2 stream (extended CONNECT, RFC 8441). And a server on HTTP/2 streams, as the script of a Backend.

    server = fleet_websocket(fleet)                     # a real server: see `serve`
    with connect(hop.address, "/echo") as peer:         # or connect(address, path, client=H2Client(...))
        peer.send("hello")
        assert peer.recv() == "hello"
"""

import asyncio
import http
import socket
import struct
import threading

import h2.events
import h2.settings
import websockets
from websockets.client import ClientConnection
from websockets.connection import Connection, Side, State
from websockets.frames import Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri
from websockets.utils import accept_key

from support.fleet import READY_S, split_address, take_port
from support.h2_peer import CANCEL, H2Server

def switched(request):
    """The bytes of a right answer to an upgrade, for a Backend's own script."""
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
             f"Sec-WebSocket-Accept: {accept_key(request.header('sec-websocket-key'))}", "", ""]
    return "\r\n".join(lines).encode()


EXTENDED_CONNECT = {h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: 1}


class Refused(Exception):
    """The upgrade was refused; `status`, `headers` and `body` of the answer."""

    def __init__(self, status, headers, body=b""):
        super().__init__(f"{status} {body[:200]}")
        self.status, self.headers, self.body = status, headers, body


# --- a server ---

async def serve(peer, path):
    """What the server does on each path: /echo messages; /close/CODE closes at once; /count/N sends N messages and closes; /ping sends one and says that it was answered."""
    word, _, argument = path.strip("/").partition("/")
    if word == "echo":
        async for message in peer:
            await peer.send(message)
    elif word == "close":
        await peer.close(int(argument), "as asked")
    elif word == "count":
        for number in range(int(argument)):
            await peer.send(f"{number}")
    elif word == "ping":
        await (await peer.ping(b"are you there"))
        await peer.send("answered")


class WebSocketServer:
    """websockets.serve on an event loop in a thread. `handshakes`: (path, headers) of each; `ended`: close codes as the server saw them."""

    def __init__(self):
        self.address = f"127.0.0.1:{take_port()}"
        self.handshakes = []
        self.ended = []
        self.peers = set()
        self.loop = asyncio.new_event_loop()
        self.stopped = self.loop.create_future()
        started = threading.Event()
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=(self.run(started),), daemon=True)
        self.thread.start()
        assert started.wait(READY_S)

    async def on_handshake(self, path, headers):
        self.handshakes.append((path, headers))
        if path.startswith("/refuse"):
            return http.HTTPStatus(int(path.rpartition("/")[2])), [("X-Refused", "yes")], b"no"
        return None

    async def on_connection(self, peer):
        self.peers.add(peer)
        try:
            await serve(peer, peer.path)
        except websockets.ConnectionClosed:
            pass
        finally:
            await peer.close()
            self.peers.discard(peer)
            self.ended.append(peer.close_code)

    async def run(self, started):
        host, port = split_address(self.address)
        async with websockets.serve(self.on_connection, host, port, process_request=self.on_handshake, subprotocols=["chat", "other"], max_size=None,
                                    ping_interval=None, close_timeout=READY_S):
            started.set()
            await self.stopped

    @property
    def open(self):
        return len(self.peers)

    def stop(self):
        if self.stopped.done():
            return
        for peer in self.peers:  # who is in the middle of a message would be waited for
            peer.transport.abort()
        self.stopped.set_result(None)

    def close(self):
        """Harmless when called again."""
        self.loop.call_soon_threadsafe(self.stop)
        self.thread.join(timeout=10)


def websocket_server(fleet):
    server = WebSocketServer()
    fleet.backends.append(server)
    return server


# --- channels ---

class SocketChannel:
    def __init__(self, address):
        self.socket = socket.create_connection(split_address(address), timeout=READY_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, content):
        self.socket.sendall(content)

    def receive(self):
        return self.socket.recv(65536)

    def end(self):
        self.socket.shutdown(socket.SHUT_WR)

    def break_off(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()


class StreamChannel:
    """One stream of an H2Client, begun by extended CONNECT."""

    def __init__(self, client, path, authority, headers):
        self.client = client
        self.stream = client.h2.get_next_available_stream_id()
        client.send_head(self.stream, [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", authority), (":path", path),
                                       ("sec-websocket-version", "13"), *headers])
        self.taken = 0
        self.closed = False

    @property
    def message(self):
        return self.client.message(self.stream)

    def send(self, content):
        self.client.send_body(self.stream, content, end=False)

    def receive(self):
        self.client.wait(lambda: len(self.message.body) > self.taken or self.message.over, "bytes of the tunnel")
        if self.message.reset is not None:
            raise ConnectionResetError(f"RST_STREAM {self.message.reset}")
        content = self.message.body[self.taken:]
        self.taken = len(self.message.body)
        return content

    def end(self):
        self.closed = True
        self.client.h2.end_stream(self.stream)
        self.client.flush()

    def break_off(self):
        self.closed = True
        self.client.reset_stream(self.stream, CANCEL)

    def close(self):
        """As the close of a socket is: in order where the other end has ended."""
        if self.closed or self.message.reset is not None:
            return
        if self.message.ended:
            self.end()
        else:
            self.break_off()


# --- the client ---

class WebSocket:
    """A peer that has shaken hands. Answers pings and the other's close by itself, as the library does."""

    def __init__(self, channel, connection, headers):
        self.channel = channel
        self.connection = connection
        self.headers = headers
        self.frames = []
        self.ended = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def flush(self):
        for content in self.connection.data_to_send():
            if content:
                self.channel.send(content)

    def send(self, message):
        if isinstance(message, str):
            self.connection.send_text(message.encode())
        else:
            self.connection.send_binary(message)
        self.flush()

    def send_fragments(self, *pieces):
        """One text message in as many frames."""
        self.connection.send_text(pieces[0], fin=False)
        for piece in pieces[1:-1]:
            self.connection.send_continuation(piece, fin=False)
        self.connection.send_continuation(pieces[-1], fin=True)
        self.flush()

    def pump(self):
        """Reads once; False at the end."""
        content = self.channel.receive()
        if content:
            self.connection.receive_data(content)
        else:
            self.ended = True
            self.connection.receive_eof()
        self.frames += self.connection.events_received()
        self.flush()
        return bool(content)

    def next_frame(self):
        while not self.frames:
            if not self.pump() and not self.frames:
                return None
        return self.frames.pop(0)

    def recv(self):
        """The next message, str or bytes; None when the connection is over."""
        kind, pieces = None, []
        while (frame := self.next_frame()) is not None:
            if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                kind = frame.opcode if frame.opcode != Opcode.CONT else kind
                pieces.append(frame.data)
                if frame.fin:
                    return b"".join(pieces).decode() if kind == Opcode.TEXT else b"".join(pieces)
        return None

    def ping(self, data=b"ping"):
        """A round trip to the far application."""
        self.connection.send_ping(data)
        self.flush()
        while (frame := self.next_frame()) is not None:
            if frame.opcode == Opcode.PONG and frame.data == data:
                return True
        return False

    def close(self, code=1000):
        """The closing handshake; returns the code that the other end has said."""
        self.connection.send_close(code)
        self.flush()
        return self.wait_for_close()

    def wait_for_close(self):
        while self.next_frame() is not None:
            pass
        return self.connection.close_code


def open_http1(channel, path, host, headers, subprotocols):
    connection = ClientConnection(parse_uri(f"ws://{host}{path}"), subprotocols=subprotocols or None, max_size=None)
    request = connection.connect()
    for name, value in headers:
        request.headers[name] = value
    connection.send_request(request)
    for content in connection.data_to_send():
        channel.send(content)
    received = b""
    while connection.state is State.CONNECTING:
        content = channel.receive()
        received += content
        (connection.receive_data(content) if content else connection.receive_eof())
        events = connection.events_received()
        response = next((event for event in events if isinstance(event, Response)), None)
        if response is not None:
            if response.status_code != 101:
                raise Refused(response.status_code, response.headers, response.body or received.partition(b"\r\n\r\n")[2])
            peer = WebSocket(channel, connection, response.headers)
            peer.frames = [event for event in events if event is not response]
            peer.flush()  # a close that came with it is answered
            return peer
        if not content:
            raise EOFError(f"no answer to the upgrade: {received[:300]!r}")
    raise AssertionError("the handshake failed")


def open_http2(channel):
    client, message = channel.client, channel.message
    client.wait(lambda: message.status or message.over, "an answer to CONNECT")
    if not message.status:
        raise ConnectionResetError(f"RST_STREAM {message.reset}")
    if message.status != 200:
        client.wait(lambda: message.over, "the end of the refusal")
        raise Refused(message.status, dict(message.headers), message.body)
    connection = Connection(Side.CLIENT, State.OPEN, max_size=None)
    return WebSocket(channel, connection, dict(message.headers))


def connect(address, path="/echo", host="backend", headers=(), subprotocols=(), client=None):
    """Shakes hands with what is behind `address`, or, with an H2Client, by a stream of it. Raises Refused where the answer is another one."""
    if client is None:
        channel = SocketChannel(address)
        try:
            return open_http1(channel, path, host, headers, list(subprotocols))
        except BaseException:
            channel.close()
            raise
    offered = [("sec-websocket-protocol", ", ".join(subprotocols))] if subprotocols else []
    return open_http2(StreamChannel(client, path, host, [*offered, *headers]))


# --- a server on HTTP/2 ---

def h2_websocket_server(connects=True):
    """A script for a Backend: an HTTP/2 server that takes extended CONNECT, does as `serve` says for /echo and refuses the rest with 403. `connection.server.tunnels`: by stream."""
    def script(connection):
        server = connection.server = H2Server(connection, settings=EXTENDED_CONNECT if connects else None)
        tunnels = server.tunnels = {}
        while (events := server.pump()) is not None:
            for event in events:
                if isinstance(event, h2.events.RequestReceived):
                    begin(server, event.stream_id, tunnels, connection)
                elif isinstance(event, h2.events.DataReceived) and event.stream_id in tunnels:
                    advance(server, event.stream_id, tunnels[event.stream_id], event.data)
                    if tunnels[event.stream_id].state is not State.OPEN:  # a server ends its side first (RFC 6455 section 7.1.1)
                        end(server, event.stream_id, tunnels)
                elif isinstance(event, h2.events.StreamEnded) and event.stream_id in tunnels:
                    end(server, event.stream_id, tunnels)
    return script


def end(server, stream, tunnels):
    del tunnels[stream]
    server.h2.end_stream(stream)
    server.flush()


def begin(server, stream, tunnels, connection):
    request = server.message(stream)
    connection.backend.record(request)
    if request.header(":method") != "CONNECT":
        server.respond(stream, b"plain")
    elif request.header(":path") != "/echo":
        server.respond(stream, b"no", status=403, headers=[("content-length", "2")])
    else:
        tunnels[stream] = Connection(Side.SERVER, State.OPEN, max_size=None)
        server.send_head(stream, [(":status", "200")])


def advance(server, stream, peer, content):
    """Echoes frame by frame: pings and closes are the library's to answer."""
    peer.receive_data(content)
    for frame in peer.events_received():
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            {Opcode.TEXT: peer.send_text, Opcode.BINARY: peer.send_binary, Opcode.CONT: peer.send_continuation}[frame.opcode](frame.data, fin=frame.fin)
    out = b"".join(peer.data_to_send())
    if out:
        server.send_body(stream, out, end=False)
