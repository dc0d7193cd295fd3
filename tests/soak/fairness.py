"""Soaks of fairness: what one stream does must not be felt by another on the same connection between two sidecars.

Latency is judged as the median of the ratios of neighbouring measurements, with and without, in turns: what else the machine does hits both.
"""

import contextlib
import socket
import struct
import threading

from endurance import answer_of
from measure import paired_ratio
from stack import check_clean, is_quiet
from support.fleet import eventually

STALLED = 50
STALLED_BYTES = 100_000_000
STALLED_RATIO = 1.2   # as fast as alone, within what such a measurement can tell
DOWNLOAD_RATIO = 2.0
RATE = 500

RESET = struct.pack("ii", 1, 0)


def p50_us(stack, port, seconds, **options):
    result = stack.load(port, seconds, path="/64", **options).result()
    check_clean(result, 10)
    return result["latency_us"]["p50"]


# --- stalled streams ---

def begin_download(port):
    """A client that never reads its answer."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", port))
    sock.sendall(b"GET /%d HTTP/1.1\r\nHost: backend\r\n\r\n" % STALLED_BYTES)
    return sock


def begin_upload(port):
    """A client that sends to an application which never reads."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(b"POST /stall HTTP/1.1\r\nHost: backend\r\nContent-Length: %d\r\n\r\n" % STALLED_BYTES)
    sock.setblocking(False)
    return sock


def push(sockets):
    """Sends into all what goes in; True when nothing went any more."""
    moved = False
    for sock in sockets:
        with contextlib.suppress(BlockingIOError):
            while sock.send(bytes(65536)):
                moved = True
    return not moved


@contextlib.contextmanager
def stalled_streams(near, far, way):
    begin = begin_download if way == "down" else begin_upload
    sockets = [begin(near.outbound) for _ in range(STALLED)]
    try:
        eventually(lambda: far.figure("outrigger_streams_active") >= STALLED, what=f"{STALLED} streams being under way")
        if way == "up":
            eventually(lambda: push(sockets), what="the uploads standing still")
        eventually(lambda: is_quiet(near, far), what="the streams standing still")
        yield
    finally:
        for sock in sockets:
            # By a reset: an end in order would stand behind bytes that nobody reads.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            sock.close()
    eventually(lambda: near.figure("outrigger_streams_active") == 0 and far.figure("outrigger_streams_active") == 0, what="the streams ending")


def stalled(run):
    stack = run.stack()
    near, far = stack.pair(stack.application())
    seconds, rounds = run.size(3, 0.5), run.size(9, 1)
    figures = {"streams": STALLED}
    p50_us(stack, near.outbound, 0.5, connections=1)
    for way in ("down", "up"):
        def beside(way=way):
            with stalled_streams(near, far, way):
                taken = p50_us(stack, near.outbound, seconds, connections=1)
                run.check(near.figure("outrigger_upstream_connections_active") == 1, f"{STALLED} stalled streams ({way}) and one more on one connection")
                return taken
        ratio, ratios = paired_ratio(rounds, lambda: p50_us(stack, near.outbound, seconds, connections=1), beside)
        text = f"p50 beside streams that are stalled on their way {way}: {ratio:.2f} of that alone {ratios}"
        run.check(run.quick or ratio <= STALLED_RATIO, text)
        figures[way] = {"p50_ratio": round(ratio, 3)}
    return figures


# --- a download beside small requests ---

class Download(threading.Thread):
    """Reads a large body and throws it away; `whole` when all of it came."""

    def __init__(self, port, size):
        super().__init__(daemon=True)
        self.port, self.size, self.whole = port, size, False
        self.start()

    def run(self):
        buffer = bytearray(1048576)
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as sock:
            sock.sendall(b"GET /%d HTTP/1.1\r\nHost: backend\r\n\r\n" % self.size)
            _, rest = answer_of(sock)
            left = self.size - len(rest)
            while left > 0 and (count := sock.recv_into(buffer, min(left, len(buffer)))) > 0:
                left -= count
        self.whole = left == 0


def download(run):
    """Small requests at a fixed rate, so that a slower answer cannot lower the load that it is measured by."""
    size = run.size(1_000_000_000, 50_000_000)
    stack = run.stack()
    near, _ = stack.pair(stack.application())
    rounds = run.size(9, 1)
    seconds = run.size(1, 0.3)  # a download takes longer
    small = {"mode": "open", "rate": RATE, "connections": 8}
    p50_us(stack, near.outbound, 1, **small)
    overlaps = []

    def beside():
        large = Download(near.outbound, size)
        eventually(lambda: near.figure("outrigger_streams_active") >= 1, what="the download being under way")
        taken = p50_us(stack, near.outbound, seconds, **small)
        overlaps.append(large.is_alive())
        large.join()
        run.check(large.whole, f"{size} bytes came whole, p50 beside them {taken:.0f} us")
        return taken

    ratio, ratios = paired_ratio(rounds, lambda: p50_us(stack, near.outbound, seconds, **small), beside)
    run.check(run.quick or ratio < DOWNLOAD_RATIO, f"p50 beside the download: {ratio:.2f} of that alone {ratios}; it lasted longer in {sum(overlaps)} of {rounds}")
    return {"bytes": size, "p50_ratio": round(ratio, 3)}
