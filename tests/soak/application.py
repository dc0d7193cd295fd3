"""An application for soaks of bodies: a process per connection, so that a large body does not slow down the answer to a small request. `application.py PORT`

    GET /SIZE    that many bytes, or KiB with a `k`      POST /sum    the SHA-256 of the body
                                                         POST /stall  reads the head, then nothing more until it is stopped
"""

import ctypes
import hashlib
import os
import signal
import socket
import sys

# Its pieces differ wherever they are cut: the length is a prime, so that no power of two falls on the same place twice.
PATTERN = hashlib.shake_128(b"soak").digest(1048573)
PR_SET_PDEATHSIG = 1


def pieces(size):
    for left in range(size, 0, -len(PATTERN)):
        yield PATTERN if left >= len(PATTERN) else memoryview(PATTERN)[:left]


def digest_of(size):
    digest = hashlib.sha256()
    for piece in pieces(size):
        digest.update(piece)
    return digest.hexdigest()


def read_head(sock, received=b""):
    """(head without its empty line, what came behind it), or None at the end of the connection."""
    while b"\r\n\r\n" not in received:
        more = sock.recv(65536)
        if not more:
            return None
        received += more
    head, rest = received.split(b"\r\n\r\n", 1)
    return head.decode("latin-1"), rest


def field(head, name):
    return next((line.split(":", 1)[1].strip() for line in head.split("\r\n")[1:] if line.lower().startswith(name + ":")), None)


def digest_received(sock, already, size):
    """Of `size` bytes, the first of which were read with a head; EOFError when the connection ends before."""
    digest = hashlib.sha256(already)
    left = size - len(already)
    buffer = bytearray(262144)
    while left > 0:
        count = sock.recv_into(buffer, min(left, len(buffer)))
        if count == 0:
            raise EOFError(f"the connection ended {left} bytes before the end")
        digest.update(memoryview(buffer)[:count])
        left -= count
    return digest.hexdigest()


def answer(sock, head, rest):
    method, target, _ = head.split("\r\n")[0].split(" ")
    if method == "POST" and target == "/stall":
        signal.pause()
    if method == "POST":
        text = digest_received(sock, rest, int(field(head, "content-length"))).encode()
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
        return b""
    size = 1024 * int(target[1:-1]) if target.endswith("k") else int(target[1:])
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    for piece in pieces(size):
        sock.sendall(piece)
    return rest


def serve(sock):
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    rest = b""
    while (found := read_head(sock, rest)) is not None:
        rest = answer(sock, *found)


def main():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1024)
    while True:
        sock, _ = listener.accept()
        if os.fork() == 0:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            listener.close()
            try:
                serve(sock)
            except OSError:
                pass  # the other end went away
            os._exit(0)
        sock.close()


if __name__ == "__main__":
    main()
