"""A client on a raw socket that speaks HTTP/1 only as far as the test says: sends exact bytes, one at a time where wanted, and reads responses by RFC 9112.

For tests of framing, of what stands on the wire and of connections that end in odd ways. Reads give up after a minute: a hang is a failure.
"""

import socket
import struct
from dataclasses import dataclass, field

from support.fleet import READY_S, split_address


@dataclass
class Response:
    version: str
    status: int
    reason: str
    headers: list
    body: bytes = b""
    trailers: list = field(default_factory=list)
    interim: list = field(default_factory=list)  # Responses with a 1xx status that came before

    def header(self, name):
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def values(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]


def parse_fields(lines):
    fields = [tuple(line.split(":", 1)) for line in lines]
    return [(name, value.strip(" \t")) for name, value in fields]


class Wire:
    """One connection to `address`."""

    def __init__(self, address, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(READY_S)
        self.socket.connect(split_address(address))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- sending ---

    def send(self, content):
        self.socket.sendall(content if isinstance(content, bytes) else content.encode("latin-1"))
        return self

    def send_slowly(self, content):
        """Each byte in a packet of its own."""
        for position in range(len(content)):
            self.send(content[position:position + 1])
        return self

    def get(self, path="/", host="backend", headers=()):
        """Sends a GET; lines of `headers` come last."""
        return self.send("\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]))

    def post(self, body, path="/", host="backend", headers=()):
        return self.send("\r\n".join([f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}", *headers, "", ""]).encode() + body)

    def end(self):
        """Ends our side in order."""
        self.socket.shutdown(socket.SHUT_WR)

    def break_off(self):
        """Closes with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()

    # --- receiving ---

    def more(self):
        """Reads once; False at the end."""
        content = self.socket.recv(65536)
        self.received += content
        return bool(content)

    def drop(self, count):
        """What is taken out of the front of what was received."""
        taken = bytes(memoryview(self.received)[:count])
        del self.received[:count]
        return taken

    def take(self, count):
        while len(self.received) < count:
            if not self.more():
                raise EOFError(f"the peer ended after {bytes(self.received[-200:])!r}")
        return self.drop(count)

    def take_until(self, mark):
        while (position := self.received.find(mark)) < 0:
            if not self.more():
                raise EOFError(f"the peer ended after {bytes(self.received[-200:])!r}")
        return self.drop(position + len(mark))[:-len(mark)]

    def rest(self):
        """All up to the end; a reset counts as one."""
        try:
            while self.more():
                pass
        except ConnectionResetError:
            pass
        return self.drop(len(self.received))

    def is_ended(self):
        """Waits for the peer's end; False when bytes come first."""
        try:
            return not self.received and not self.more()
        except ConnectionResetError:
            return True

    def head(self):
        """The next head, interim or final."""
        first, *lines = self.take_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, reason = (first.split(" ", 2) + [""])[:3]
        return Response(version, int(status), reason, parse_fields(lines))

    def chunk(self):
        """The next chunk's content; empty for the last."""
        size = int(self.take_until(b"\r\n").split(b";")[0], 16)
        content = self.take(size)
        if size:
            assert self.take(2) == b"\r\n"
        return content

    def body(self, response, method="GET"):
        if method == "HEAD" or response.status in (204, 304):
            return response
        if (response.header("transfer-encoding") or "").lower() == "chunked":
            response.body = b"".join(iter(self.chunk, b""))
            lines = []
            while line := self.take_until(b"\r\n"):
                lines.append(line.decode("latin-1"))
            response.trailers = parse_fields(lines)
        elif response.header("content-length") is not None:
            response.body = self.take(int(response.header("content-length")))
        else:
            response.body = self.rest()
        return response

    def response(self, method="GET"):
        """The next response, whole, with the interim ones before it."""
        interim = []
        while (head := self.head()).status < 200:
            interim.append(head)
        head.interim = interim
        return self.body(head, method)


def exchange(address, content, method="GET"):
    """Sends `content` on a connection of its own; returns the response."""
    with Wire(address) as wire:
        return wire.send(content).response(method)


def connect_tls(address, context, session=None, server_name=None):
    """A socket behind a handshake."""
    sock = socket.create_connection(split_address(address), timeout=READY_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(sock, session=session, server_hostname=server_name)


class TlsWire(Wire):
    """The same behind TLS."""

    def __init__(self, address, context, session=None, server_name=None):
        self.socket = connect_tls(address, context, session, server_name)
        self.received = bytearray()
