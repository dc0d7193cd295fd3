"""Soaks of hostile clients against an inbound listener: what they can take is bounded, and the others are served as if they were not there.

Each attack goes on for some time beside a client that sends a request every few milliseconds and must have all of them answered. The attack may take memory up to
a bound that follows from the limits, and gives it back; the proxy is idle again once it is over.
"""

import contextlib
import resource
import selectors
import socket
import struct
import threading
import time

from hyperframe.frame import ContinuationFrame, DataFrame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame
from hpack import Encoder

from measure import CpuWatch, MemoryWatch, rss_kb
from stack import check_clean, is_quiet
from support.fleet import eventually

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SettingsFrame(0).serialize()
RESET = struct.pack("ii", 1, 0)
GOOD_RATE = 200
HEADER_TIMEOUT_S = 1
LINGER_S = 2  # a connection that was told to go may read what it was told before it is closed

# What stays after an attack: blocks and chunks on the free lists (6 MiB at most, trimmed when it is quiet), pages that the allocator keeps.
KEPT_KB = 16384


def head_block(path="/1k"):
    return Encoder().encode([(":method", "GET"), (":scheme", "http"), (":authority", "backend"), (":path", path)])


def headers_frame(stream, block, flags=("END_HEADERS", "END_STREAM")):
    frame = HeadersFrame(stream, data=block)
    for flag in flags:
        frame.flags.add(flag)
    return frame.serialize()


class Attack(threading.Thread):
    """Attackers that connect again whenever they are cut off, until told to stop. `rounds` counts connections, `sent` bytes."""

    def __init__(self, port, script):
        super().__init__(daemon=True)
        self.port, self.script = port, script
        self.over = threading.Event()
        self.rounds = self.sent = 0
        self.start()

    def run(self):
        while not self.over.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as sock:
                    sock.setblocking(False)
                    self.rounds += 1
                    for content in self.script():
                        if self.over.is_set() or not self.send(sock, content):
                            break
            except OSError:
                pass  # cut off: that is what should happen

    def send(self, sock, content):
        """Sends all of it, reading and dropping what comes. False: cut off."""
        view = memoryview(content)
        with selectors.DefaultSelector() as selector:
            selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
            while view and not self.over.is_set():
                for _, events in selector.select(0.1):
                    if events & selectors.EVENT_READ and not sock.recv(65536):
                        return False
                    if events & selectors.EVENT_WRITE:
                        count = sock.send(view)
                        self.sent += count
                        view = view[count:]
        return True

    def stop(self):
        self.over.set()
        self.join()


# --- scripts: what an attacker sends, piece by piece ---

def rapid_reset():
    block = head_block()
    yield PREFACE
    for first in range(1, 2**30, 1000):
        streams = range(first, first + 1000, 2)
        yield b"".join(headers_frame(stream, block) + RstStreamFrame(stream, error_code=8).serialize() for stream in streams)


def requests_unread():
    """As many requests as may be had, none of whose answers the attacker has a window for."""
    block = head_block("/1m")
    yield b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 0}).serialize()
    for stream in range(1, 2**30, 2):
        yield headers_frame(stream, block)


def continuation():
    yield PREFACE + headers_frame(1, head_block(), flags=("END_STREAM",))
    many = ContinuationFrame(1, data=b"").serialize() * 100 + ContinuationFrame(1, data=b"\x00\x01a\x01b" * 100).serialize() * 100
    while True:
        yield many


def pings():
    yield PREFACE
    while True:
        yield PingFrame(0, opaque_data=b"12345678").serialize() * 1000


def settings():
    yield PREFACE
    while True:
        yield SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 65536}).serialize() * 1000


def empty_data():
    frame = HeadersFrame(1, data=Encoder().encode([(":method", "POST"), (":scheme", "http"), (":authority", "backend"), (":path", "/1k")]))
    frame.flags.add("END_HEADERS")
    # Together: once the backend has answered, the stream is gone and what still comes for it costs no more than its bytes.
    yield PREFACE + frame.serialize() + DataFrame(1, data=b"").serialize() * 2000
    while True:
        yield DataFrame(1, data=b"").serialize() * 1000


# --- many connections that do little ---

def connect(port, receive_buffer=None):
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)  # no port stays behind in TIME-WAIT
    sock.connect(("127.0.0.1", port))
    return sock


@contextlib.contextmanager
def held(port, count, hello=b"", receive_buffer=None):
    """That many connections that have said `hello` and read nothing."""
    with contextlib.ExitStack() as stack:
        sockets = []
        for _ in range(count):
            sockets.append(stack.enter_context(connect(port, receive_buffer)))
            sockets[-1].sendall(hello)
        yield sockets


def slow_writers(port, count, over):
    """Heads that come byte by byte; who is cut off comes again. Returns how often that was."""
    cut_off = 0
    head = b"GET /1k HTTP/1.1\r\nHost: backend\r\nX-Slow: " + b"x" * 4000
    with contextlib.ExitStack() as stack:
        writers = [[stack.enter_context(connect(port)), 0] for _ in range(count)]
        while not over.wait(0.2):
            for writer in writers:
                try:
                    writer[0].send(head[writer[1]:writer[1] + 1])
                    writer[1] += 1
                except OSError:
                    writer[:] = [stack.enter_context(connect(port)), 0]
                    cut_off += 1
    return cut_off


def short_pieces(port, count, over):
    """Bodies in pieces of 600 bytes, a packet each, to an application that reads none of them."""
    head = b"POST /stall HTTP/1.1\r\nHost: backend\r\nContent-Length: 100000000\r\n\r\n"
    with held(port, count, head) as sockets:
        for sock in sockets:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
        while not over.wait(0.001):
            for sock in sockets:
                with contextlib.suppress(BlockingIOError):
                    sock.send(b"x" * 600)


def connection_flood(port, over):
    """Connections that come and go, without a word."""
    while not over.is_set():
        for _ in range(100):
            connect(port).close()


# --- the soak ---

class Site:
    """A sidecar with an inbound listener in the clear and one for mutual TLS, and the good client that must not notice anything."""

    def __init__(self, run):
        self.run = run
        self.stack = run.stack()
        self.seconds = run.size(15, 0.6)
        backend, application = self.stack.backend(), self.stack.application()
        limits = {"headerTimeout": f"{HEADER_TIMEOUT_S}s", "connections": 20000}
        self.sidecar = self.stack.callee("far", backend, mode="Disable", limits=limits)
        self.stalling = self.stack.callee("stalling", application, mode="Disable", limits=limits)
        self.strict = self.stack.callee("strict", backend, limits=limits)
        self.near = self.stack.caller([self.strict.inbound])
        self.figures = {}

    @property
    def port(self):
        return self.sidecar.inbound

    @contextlib.contextmanager
    def served(self, name, growth_kb, sidecar=None, port=None):
        """The block is an attack on a sidecar: checks what it took, and that the good client, who comes in at `port`, was served."""
        sidecar = sidecar or self.sidecar
        port = port or self.port
        self.stack.load(port, 0.3, connections=8).result()
        before_kb = rss_kb(sidecar.pid)
        good = self.stack.load(port, self.seconds + 60, mode="open", rate=GOOD_RATE, connections=8)
        memory, cpu = MemoryWatch(sidecar.pid), CpuWatch(sidecar.pid)
        yield sidecar
        percent = cpu.percent()
        result = good.stop()
        grown = memory.stop()[sidecar.pid]
        check_clean(result, self.seconds * GOOD_RATE / 2)
        eventually(lambda: sidecar.figure("outrigger_streams_active") == 0, what=f"{name}: the attack's streams ending")
        eventually(lambda: is_quiet(sidecar), what=f"{name}: the proxy being idle again")
        eventually(lambda: rss_kb(sidecar.pid) - before_kb <= KEPT_KB, what=f"{name}: the memory being given back")
        kept = rss_kb(sidecar.pid) - before_kb
        latency = result["latency_us"]
        self.run.check(grown <= growth_kb,
                       f"{name}: memory +{grown} KiB at most (bound {growth_kb}), {kept:+} after; processor {percent:.0f} %; "
                       f"{result['requests']} good requests, none failed, p50 {latency['p50']:.0f} us, p99 {latency['p99']:.0f} us")
        self.figures[name] = {"memory_growth_kb": grown, "memory_kept_kb": kept, "cpu_percent": round(percent), "p50_us": round(latency["p50"])}

    def flood(self, name, script, growth_kb, attackers=4):
        with self.served(name, growth_kb):
            attacks = [Attack(self.port, script) for _ in range(attackers)]
            time.sleep(self.seconds)
            for attack in attacks:
                attack.stop()
        rounds = sum(attack.rounds for attack in attacks)
        sent = sum(attack.sent for attack in attacks)
        self.run.say(f"{name}: the attackers sent {sent} bytes and were cut off {max(0, rounds - attackers)} times")
        return rounds - attackers, sent


FLOODS = (
    # name, script, memory that it may take in KiB, must be cut off
    ("rapid reset", rapid_reset, 16384, True),
    ("continuation", continuation, 8192, True),
    ("ping", pings, 8192, False),   # each is answered, and the answers are read
    ("settings", settings, 8192, True),
    ("empty data", empty_data, 8192, True),
    # 4 connections of 100 streams, each with a body buffer of 64 KiB on either side of the stream, one read of 64 KiB more, and blocks filled in part
    ("requests unread", requests_unread, 4 * 100 * 4 * 64, False),
)


def floods(run):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    site = Site(run)
    for name, script, growth_kb, cut in FLOODS:
        cuts, _ = site.flood(name, script, growth_kb)
        if cut:
            run.check(cuts > 0, f"{name}: the attackers were cut off")
    slow(run, site)
    connections(run, site)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return site.figures


def slow(run, site):
    count = run.size(500, 100)
    # Each holds the response's buffer of 64 KiB, 64 KiB of output, and a read of 64 KiB.
    request = b"GET /1m HTTP/1.1\r\nHost: backend\r\n\r\n" * 4
    with site.served("slow readers", count * 3 * 64 + 4096), held(site.port, count, request, receive_buffer=4096):
        time.sleep(site.seconds)
    # A connection and a stream with its pool: two chunks of 4 KiB and what the kernel's is not.
    with site.served("slow writers", count * 24 + 4096):
        over = threading.Event()
        threading.Timer(max(site.seconds, HEADER_TIMEOUT_S + LINGER_S + 1), over.set).start()
        cut_off = slow_writers(site.port, count, over)
    run.check(cut_off >= count, f"slow writers: {cut_off} connections were closed for being late")
    # A body's buffer of 64 KiB on either side and the connection's output, in blocks that are filled in part.
    count = run.size(50, 10)
    with site.served("bodies in short pieces", count * 4 * 64 + 4096, port=site.stalling.inbound, sidecar=site.stalling):
        over = threading.Event()
        threading.Timer(3 * site.seconds, over.set).start()
        short_pieces(site.stalling.inbound, count, over)


def connections(run, site):
    """Connections that say nothing, to the listener that waits for a handshake."""
    for name, hold in (("connections that come and go", 0), ("connections that say nothing", run.size(5000, 500))):
        # Held in a handshake a connection costs OpenSSL's state: 40 KiB and more.
        with site.served(name, hold * 64 + 8192, site.strict, site.near.outbound) as sidecar, held(sidecar.inbound, hold):
            over = threading.Event()
            threading.Timer(site.seconds, over.set).start()
            if hold:
                over.wait()
            else:
                connection_flood(sidecar.inbound, over)
