"""Opaque TCP under test: scripts of raw servers, a raw client, and the documents of a TCP listener.

    listener = tcp_listener(fleet, "db")                  # goes into the listeners of a Proxy's spec
    with Raw(listener["address"]) as client: ...
"""

import contextlib
import socket
import ssl
import struct

from support.fleet import READY_S, split_address, take_port
from support.pair import Identity
from support.test_ca import Authority


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
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.broken = False
        try:
            self.socket.connect(split_address(address))
        except ConnectionResetError:
            self.broken = True  # accepted, and broken off before this end knew that it was connected

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.socket.close()

    def send(self, content):
        if not self.broken:
            self.socket.sendall(content)
        return self

    def end(self):
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def exactly(self, count):
        self.fail_if_broken()
        found = bytearray()
        while len(found) < count:
            more = self.socket.recv(count - len(found))
            if not more:
                raise EOFError(f"the end came behind {bytes(found)!r}")
            found += more
        return bytes(found)

    def rest(self):
        """All up to the peer's end in order; ConnectionResetError where it was none."""
        self.fail_if_broken()
        found = bytearray()
        while more := self.socket.recv(65536):
            found += more
        return bytes(found)

    def fail_if_broken(self):
        if self.broken:
            raise ConnectionResetError("broken off at once")

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


def first_word(address, length=2):
    """What the server says first; `reset`: nothing, its connection breaks."""
    try:
        with Raw(address) as client:
            return client.exactly(length).decode()
    except ConnectionError:
        return "reset"


# --- TLS that no proxy ends ---

def tls_server(fleet, name="server", port=None):
    """(backend, its certificate): a TLS server that asks for no certificate and is none of ours."""
    identity = Identity(fleet, name, f"spiffe://elsewhere/{name}", Authority("elsewhere"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.volume / "tls.crt", identity.volume / "tls.key")
    return fleet.backend(echo_bytes, port, tls=context), ssl.PEM_cert_to_DER_cert((identity.volume / "tls.crt").read_text())


def tls_client(address, name, alpn=()):
    """A connection whose handshake is made; nothing of the server's certificate is checked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context.wrap_socket(socket.create_connection(split_address(address), timeout=READY_S), server_hostname=name)


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
