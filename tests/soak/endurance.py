"""Soaks by count and by size: millions of requests through a pair of sidecars, in release and with AddressSanitizer, and a gigabyte each way."""

import os
import socket
import subprocess
import time
from pathlib import Path

import application
from measure import MemoryWatch, growth_percent, rss_kb
from stack import SoakFailure, check_clean
from support.fleet import BIN, PRESET, ROOT

SAMPLE_S = 0.5

# What goes through at once: per cent of the requests, and how the load program is to send them.
MIX = (
    (80, {"connections": 48}),
    (12, {"connections": 8, "method": "POST", "body": 4096}),
    (3, {"connections": 4, "path": "/64k"}),
    (5, {"connections": 4, "mode": "fresh"}),
)

# A large body in flight may take what its windows and buffers allow, at both sidecars: 1 MiB of stream window, output, sockets' worth of blocks.
TRANSFER_GROWTH_KB = 8192
WARM_BYTES = 10_000_000


def run_loads(run, near, far, requests, limit_s):
    """Sends that many requests; returns the samples, each (requests so far, KiB of near, KiB of far)."""
    loads = [near.stack.load(near.outbound, limit_s, requests=requests * percent // 100, **options) for percent, options in MIX]
    samples = []
    said = 0
    while any(load.running() for load in loads):
        done = near.figure("outrigger_streams_total")
        samples.append((done, rss_kb(near.pid), rss_kb(far.pid)))
        tenth = int(10 * done / requests)
        if tenth > said:
            said = tenth
            run.say(f"{done:.0f} requests, {samples[-1][1]} and {samples[-1][2]} KiB")
        time.sleep(0.1 if run.quick else SAMPLE_S)
    for load, (percent, _) in zip(loads, MIX):
        check_clean(load.result(), requests * percent // 100)
    return samples


def endure(run, binaries, requests, limit_s):
    near, far = run.stack(binaries).pair()
    begun = time.monotonic()
    samples = run_loads(run, near, far, requests, limit_s)
    # What the loads had under way when they had counted enough ends as the client's resets; nobody else may have cut anything.
    cut = sum(value for sidecar in (near, far) for name, value in sidecar.figures().items()
              if name.startswith("outrigger_streams_reset_total{") and "client" not in name)
    per_second = round(requests / (time.monotonic() - begun))
    run.check(cut == 0, f"{requests} requests, none failed, {per_second} per second")
    return near, far, samples, {"requests": requests, "failed": 0, "per_second": per_second}


def pair(run):
    requests = run.size(10_000_000)
    near, far, samples, figures = endure(run, BIN, requests, run.size(3000, 60))
    for place, sidecar in ((1, near), (2, far)):
        growth = growth_percent([(sample[0], sample[place]) for sample in samples], requests / 10, requests)
        figures[sidecar.name] = {"rss_kb": rss_kb(sidecar.pid), "growth_percent": round(growth, 2)}
        text = f"{sidecar.name}: {rss_kb(sidecar.pid)} KiB, {growth:+.2f} % from the first tenth to the end"
        if run.quick:
            run.say(text)  # too short to say anything of a slope
        else:
            run.check(growth < 1.0, text)
    return figures


def sanitized_binaries(run):
    if PRESET == "dev":
        return BIN
    folder = Path(os.environ.get("OUTRIGGER_ASAN_BIN", ROOT / "build" / "dev" / "bin"))
    if "OUTRIGGER_ASAN_BIN" not in os.environ and not run.quick:
        run.say("building dev")
        done = subprocess.run([ROOT / "dev", "build", "dev"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SoakFailure(f"./dev build dev failed: {done.stderr[-1000:]}")
    if not (folder / "outrigger-proxy").exists():
        raise SoakFailure(f"{folder} has no outrigger-proxy: ./dev build dev")
    return folder


def pair_sanitized(run):
    requests = run.size(1_000_000)
    near, far, _, figures = endure(run, sanitized_binaries(run), requests, run.size(3000, 60))
    near.process.stop()
    far.process.stop()
    run.check(near.process.child.returncode == 0 and far.process.child.returncode == 0, "both ended with 0: no fault, no leak")
    return {**figures, "leaked": 0}


# --- a gigabyte each way ---

def answer_of(sock):
    """(head, what came of the body) of an answer that must be a 200."""
    found = application.read_head(sock)
    if found is None or " 200 " not in found[0]:
        raise SoakFailure(f"no good answer: {found}")
    return found


def download(port, size):
    """The digest of a body of that size through the sidecar."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        sock.sendall(b"GET /%d HTTP/1.1\r\nHost: backend\r\n\r\n" % size)
        _, rest = answer_of(sock)
        return application.digest_received(sock, rest, size)


def upload(port, size):
    """The digest that the application had of it."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        sock.sendall(b"POST /sum HTTP/1.1\r\nHost: backend\r\nContent-Length: %d\r\n\r\n" % size)
        for piece in application.pieces(size):
            sock.sendall(piece)
        head, rest = answer_of(sock)
        while len(rest) < int(application.field(head, "content-length")):
            rest += sock.recv(65536)
        return rest.decode()


def transfer(run):
    size = run.size(1_000_000_000)
    stack = run.stack()
    near, far = stack.pair(stack.application())
    expected = application.digest_of(size)
    figures = {"bytes": size}
    for name, move in (("download", download), ("upload", upload)):
        move(near.outbound, WARM_BYTES)  # what a first body takes for good is not growth
        watch = MemoryWatch(near.pid, far.pid)
        begun = time.monotonic()
        digest = move(near.outbound, size)
        took = time.monotonic() - begun
        growth = max(watch.stop().values())
        run.check(digest == expected, f"{name} of {size} bytes came whole, {size / took / 1e6:.0f} MB/s")
        run.check(growth <= TRANSFER_GROWTH_KB, f"{name}: memory grew by {growth} KiB at most")
        figures[name] = {"mb_per_second": round(size / took / 1e6), "growth_kb": growth}
    return figures
