"""Opaque TCP under test: scripts of raw servers, a raw client, and the documents of a TCP listener.

    listener = tcp_listener(fleet, "db")                  # goes into the listeners of a Proxy's spec
    with Raw(listener["address"]) as client: ...
"""

import contextlib
import socket
import struct

from support.fleet import READY_S, split_address, take_port


def tcp_listener(service, name="tcp", port=None, **options):
    """A listener of role TCP for `service`."""
    target = {"name": service, **({"port": port} if port else {})}
    return {"name": name, "role": "TCP", "address": f"127.0.0.1:{take_port()}", "service": target, **options}


class Raw:
    """A client that speaks no protocol. Everything that waits does so for READY_S at most."""

    def __init__(self, address, source=None, buffer=None):
        self.socket = socket.socket(socket.AF_INET6 if address.startswith("[") else socket.AF_INET)
        self.socket.settimeout(READY_S)
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        if source:
            self.socket.bind(source)
        self.socket.connect(split_address(address))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.socket.close()

    def send(self, content):
        self.socket.sendall(content)
        return self

    def end(self):
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def exactly(self, count):
        found = bytearray()
        while len(found) < count:
            more = self.socket.recv(count - len(found))
            if not more:
                raise EOFError(f"the end came behind {bytes(found)!r}")
            found += more
        return bytes(found)

    def rest(self):
        """All up to the peer's end in order; ConnectionResetError where it was none."""
        found = bytearray()
        while more := self.socket.recv(65536):
            found += more
        return bytes(found)

    def is_reset(self):
        """Whether the connection is broken rather than ended in order; waits for either."""
        try:
            self.rest()
        except ConnectionError:
            return True
        return False

    def reset(self):
        """Closes with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


# --- scripts of Fleet.backend ---

def echo_bytes(connection):
    """Sends back what comes; behind the peer's end its own."""
    while more := connection.socket.recv(65536):
        connection.send(more)


def greeting(text):
    """Speaks first, then echoes."""
    def script(connection):
        connection.send(text)
        echo_bytes(connection)
    return script


def speaks_after_end(text):
    """Reads to the peer's end, then answers with what it read behind `text`."""
    def script(connection):
        found = bytearray()
        while more := connection.socket.recv(65536):
            found += more
        connection.send(text + bytes(found))
    return script


def ends_first(text, ended):
    """Says `text` and ends its own side at once; what comes then goes into the list `ended`."""
    def script(connection):
        connection.send(text)
        connection.end()
        found = bytearray()
        with contextlib.suppress(ConnectionError):
            while more := connection.socket.recv(65536):
                found += more
        ended.append(bytes(found))
    return script
