"""HTTP/2 on a blocking socket by python3-h2, as client or as the script of a Backend, with a way past the library for frames that it would not send.

    with H2Client(address) as client:
        answer = client.get("/", "backend")

    fleet.backend(h2_server(handler))      # handler(server, request) sends the answer of one request
"""

import socket
import struct
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.settings
import hpack

from support.fleet import READY_S, split_address
from support.wire import Wire

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 0, 1, 2, 3, 5, 7, 8, 11


def frame(kind, flags, stream, payload=b""):
    """The bytes of one frame."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def block(headers):
    """A header block without the dynamic table: it can be sent at any time on any connection."""
    return hpack.Encoder().encode([hpack.NeverIndexedHeaderTuple(name, value) for name, value in headers], huffman=False)


@dataclass
class Message:
    """A request or a response as it arrived on a stream."""
    stream: int
    headers: list = field(default_factory=list)
    body: bytes = b""
    trailers: list = field(default_factory=list)
    interim: list = field(default_factory=list)
    ended: bool = False
    reset: int = None

    def header(self, name, default=None):
        return next((value for key, value in self.headers if key == name), default)

    def values(self, name):
        return [value for key, value in self.headers if key == name]

    def trailer(self, name):
        return next((value for key, value in self.trailers if key == name), None)

    @property
    def status(self):
        return int(self.header(":status", 0))

    @property
    def over(self):
        return self.ended or self.reset is not None


class H2Peer:
    """One end of a connection. `messages`: stream id -> Message. With `holds` bodies are not acknowledged: the other end's windows run out."""

    def __init__(self, sock, client, holds=False, settings=None):
        self.socket = sock
        self.holds = holds
        self.messages = {}
        self.goaway = None
        self.pings = 0
        self.ended = False
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=client, header_encoding="latin-1", validate_inbound_headers=False, validate_outbound_headers=False,
            normalize_outbound_headers=False, normalize_inbound_headers=False))
        if settings:
            self.h2.local_settings = h2.settings.Settings(client=client, initial_values={**self.h2.local_settings, **settings})
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def raw(self, content):
        """Bytes that the library knows nothing of."""
        self.socket.sendall(content)

    # --- receiving ---

    def pump(self):
        """Reads once and takes note; returns the events, None at the end of the connection."""
        try:
            content = self.socket.recv(65536)
        except ConnectionResetError:
            content = b""
        if not content:
            self.ended = True
            return None
        events = self.h2.receive_data(content)
        for event in events:
            self.note(event)
        try:
            self.flush()
        except (BrokenPipeError, ConnectionResetError):
            pass  # our side is ended, or theirs: what they sent before is still to be read
        return events

    def message(self, stream):
        return self.messages.setdefault(stream, Message(stream))

    def note(self, event):
        if isinstance(event, (h2.events.RequestReceived, h2.events.ResponseReceived)):
            self.message(event.stream_id).headers = [tuple(header) for header in event.headers]
        elif isinstance(event, h2.events.InformationalResponseReceived):
            self.message(event.stream_id).interim.append([tuple(header) for header in event.headers])
        elif isinstance(event, h2.events.DataReceived):
            self.message(event.stream_id).body += event.data
            if not self.holds:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            self.message(event.stream_id).trailers = [tuple(header) for header in event.headers]
        elif isinstance(event, h2.events.StreamEnded):
            self.message(event.stream_id).ended = True
        elif isinstance(event, h2.events.StreamReset):
            self.message(event.stream_id).reset = event.error_code
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = event
        elif isinstance(event, h2.events.PingAckReceived):
            self.pings += 1

    def wait(self, condition, what="something"):
        """Reads until condition() is true."""
        while not (value := condition()):
            if self.pump() is None and not condition():
                raise EOFError(f"the peer ended before {what}; GOAWAY: {self.goaway}")
        return value

    def wait_for_end(self):
        """Reads until the peer has closed."""
        while self.pump() is not None:
            pass

    def ping(self):
        """A round trip: what was sent before has been processed."""
        before = self.pings
        self.h2.ping(b"01234567")
        self.flush()
        self.wait(lambda: self.pings > before, "the answer to a PING")

    # --- sending ---

    def send_head(self, stream, headers, end=False):
        self.h2.send_headers(stream, headers, end_stream=end)
        self.flush()

    def send_body(self, stream, body, end=True):
        """Sends all of it, waiting for windows."""
        position = 0
        while position < len(body):
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(body) - position)
            if room == 0:
                self.wait(lambda: self.message(stream).reset is not None or self.h2.local_flow_control_window(stream) > 0, "room")
                if self.message(stream).reset is not None:
                    return
                continue
            self.h2.send_data(stream, body[position:position + room])
            position += room
            self.flush()
        if end:
            self.h2.end_stream(stream)
            self.flush()

    def reset_stream(self, stream, code=CANCEL):
        self.h2.reset_stream(stream, code)
        self.flush()


class H2Wire(Wire):
    """A client without the library: sends frames exactly as told and reads frames as they come. `frames` are those read: (kind, flags, stream, payload)."""

    def __init__(self, address, settings=b"", greet=True, **options):
        super().__init__(address, **options)
        self.frames = []
        self.decoder = hpack.Decoder()
        if greet:
            self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def read(self):
        """The next frame; None at the end of the connection."""
        try:
            header = self.take(9)
            length = int.from_bytes(header[:3], "big")
            kind, flags, stream = header[3], header[4], int.from_bytes(header[5:9], "big") & 0x7FFFFFFF
            self.frames.append((kind, flags, stream, self.take(length)))
        except (EOFError, ConnectionResetError):
            return None
        return self.frames[-1]

    def until(self, condition):
        """Reads up to the first frame for which condition(kind, flags, stream, payload) is true; None when the connection ends before it."""
        while (found := self.read()) is not None:
            if condition(*found):
                return found
        return None

    def until_kind(self, kind, stream=None):
        return self.until(lambda found, flags, on, payload: found == kind and stream in (None, on))

    def ping(self):
        """A round trip; False when the connection ended instead."""
        try:
            self.send(frame(PING, 0, 0, b"roundtrp"))
        except OSError:
            return False
        return self.until(lambda kind, flags, stream, payload: kind == PING and flags & ACK and payload == b"roundtrp") is not None

    def goaway(self):
        """The error code of the GOAWAY that comes before the end of the connection; None: there was none."""
        found = self.until_kind(GOAWAY)
        return None if found is None else int.from_bytes(found[3][4:8], "big")

    def reset(self, stream=1):
        """The error code of the RST_STREAM on that stream; None: there was none."""
        found = self.until_kind(RST_STREAM, stream)
        return None if found is None else int.from_bytes(found[3], "big")

    def begin(self, stream=1, path="/", authority="backend", method="GET", headers=(), flags=END_STREAM | END_HEADERS):
        """Sends a request's head."""
        head = [(":method", method), (":scheme", "http"), (":authority", authority), (":path", path), *headers]
        return self.send(frame(HEADERS, flags, stream, block(head)))

    def status(self, stream=1):
        """The status of the next head on that stream."""
        found = self.until_kind(HEADERS, stream)
        assert found is not None, f"the connection ended; frames: {self.frames[-5:]}"
        return int(dict(self.decoder.decode(found[3]))[":status"])


class H2Client(H2Peer):
    def __init__(self, address, sock=None, **options):
        if sock is None:
            sock = socket.create_connection(split_address(address), timeout=READY_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(sock, True, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def request(self, path="/", authority="backend", method="GET", headers=(), end=True, scheme="http"):
        """Begins a request; returns its stream id."""
        stream = self.h2.get_next_available_stream_id()
        self.send_head(stream, [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path), *headers], end)
        return stream

    def answer(self, stream):
        """The response, once it is whole or was reset."""
        self.wait(lambda: self.message(stream).over, f"the answer of stream {stream}")
        return self.message(stream)

    def get(self, path="/", authority="backend", **options):
        return self.answer(self.request(path, authority, **options))

    def post(self, body, path="/", trailers=None, **options):
        stream = self.request(path, method="POST", end=False, **options)
        self.send_body(stream, body, end=trailers is None)
        if trailers is not None:
            self.send_head(stream, trailers, end=True)
        return self.answer(stream)


class H2Server(H2Peer):
    """The server's end, in the thread of a Backend's connection."""

    def __init__(self, connection, **options):
        super().__init__(connection.socket, False, **options)
        self.connection = connection

    def respond(self, stream, body=b"", status=200, headers=(), trailers=None):
        head = [(":status", str(status)), *headers]
        self.send_head(stream, head, end=not body and trailers is None)
        if body:
            self.send_body(stream, body, end=trailers is None)
        if trailers is not None:
            self.send_head(stream, trailers, end=True)


def h2_server(handler, early=False, **options):
    """A script for a Backend: calls handler(server, request) for each request that is whole (with `early` as soon as its head is there)."""
    def script(connection):
        server = H2Server(connection, **options)
        connection.server = server
        answered = set()
        while server.pump() is not None:
            for stream, request in list(server.messages.items()):
                if stream in answered or not request.headers or not (early or request.ended) or request.reset is not None:
                    continue
                answered.add(stream)
                connection.backend.record(request)
                handler(server, request)
    return script


def h2_reply(body=b"", status=200, headers=(), trailers=None):
    """Answers each request alike."""
    return h2_server(lambda server, request: server.respond(request.stream, body, status, headers, trailers))


def h2_echo(server, request):
    """A handler: answers with the request's body, its trailers, and its head as fields `seen-...`."""
    seen = [(f"seen-{name.strip(':')}", value) for name, value in request.headers]
    trailers = [(f"seen-{name}", value) for name, value in request.trailers] or None
    server.respond(request.stream, request.body, headers=seen, trailers=trailers)
