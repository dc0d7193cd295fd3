"""Soaks of shortage: a proxy that may have few descriptors or little memory, and clients that want more of it than there is, again and again. It sheds as docs/operations.md
says, what it has begun it finishes, and once the clients are gone everything is there again.
"""

import contextlib
import hashlib
import resource
import socket
import threading
import time

import application
from floods import held
from measure import rss_kb
from stack import NotHere, Sidecar, SoakFailure, at, check_clean, listener
from support.cgroup import Cgroup
from support.fleet import eventually, http_get, take_port

GET = b"GET /1k HTTP/1.1\r\nHost: backend\r\n\r\n"

# --- descriptors ---

DESCRIPTORS = 512
FLOOD = 1500
ASKED = 20


def answers(sock):
    """Whether a request on it is answered with 200; False where the proxy has closed it."""
    sock.settimeout(30)
    try:
        sock.sendall(GET)
        found = application.read_head(sock)
    except (BrokenPipeError, ConnectionResetError):
        return False
    return found is not None and " 200 " in found[0]


def flood_round(sidecar):
    """One flood up to the bound; returns how many were let in."""
    refused = sidecar.figure('outrigger_downstream_connections_refused_total{reason="descriptors"}')
    with held(sidecar.inbound, FLOOD) as sockets:
        eventually(lambda: sidecar.figure('outrigger_downstream_connections_refused_total{reason="descriptors"}') >= refused + FLOOD - DESCRIPTORS,
                   what="clients being refused")
        active = sidecar.figure("outrigger_downstream_connections_active")
        served = sum(answers(sock) for sock in sockets[:ASKED])  # those that came first are in
        if served != ASKED:
            raise SoakFailure(f"of {ASKED} clients that were let in {served} were served")
        if http_get(at(sidecar.metrics), "/readyz")[0] != 200:
            raise SoakFailure("it is not ready under the flood")
    return int(active)


def descriptors(run):
    seconds = run.seconds(120, 3)
    stack = run.stack()
    few = ["sh", "-c", f'ulimit -n {DESCRIPTORS}; exec "$@"', "sh"]
    sidecar = stack.callee("far", stack.backend(), mode="Disable", before=few)
    with socket.create_connection(("127.0.0.1", sidecar.inbound)) as first:
        run.check(answers(first), "a request is answered")
    good = stack.load(sidecar.inbound, 10 * seconds + 60, mode="open", rate=100, connections=8)
    eventually(lambda: sidecar.figure("outrigger_downstream_connections_active") >= 8, what="the good clients being there")
    before = sidecar.figure("process_open_fds")
    rounds, fewest = 0, FLOOD
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        fewest = min(fewest, flood_round(sidecar))
        eventually(lambda: sidecar.figure("outrigger_downstream_connections_active") <= 8, what="the flood being gone")
        rounds += 1
    run.say(f"{rounds} floods of {FLOOD} clients, {fewest} or more of them let in, the others refused")
    eventually(lambda: sidecar.figure("process_open_fds") <= before + 2, what="all descriptors being given back")
    result = good.stop()
    check_clean(result, seconds * 50)
    run.check(True, f"{result['requests']} requests of those that were there before, none failed; {before:.0f} descriptors before and after")
    return {"floods": rounds, "descriptors": DESCRIPTORS, "requests": result["requests"], "failed": 0, "let_in": fewest}


# --- memory ---

LIMIT_MIB = 32
CLIENTS_PER_S = 50          # who want up to 256 KiB each: the whole limit in three seconds
GREEDY = "slow readers"
LATER_S = 20
CALM_S = 1.0
BURST = 1500                # slow readers at once, who want 375 MiB
BURST_S = 2.0               # so long they stay
KEPT_KB = 8192              # what may stay: free lists at a quarter, pages that the allocator keeps
DOWNLOAD_BYTES = 20_000_000

FLOODS = {
    # what each of many clients says before it reads nothing; the listener of that name leads to an application that answers it, or does not
    GREEDY: b"GET /1m HTTP/1.1\r\nHost: backend\r\n\r\n" * 4,
    "bodies that nobody reads": b"POST / HTTP/1.1\r\nHost: backend\r\nContent-Length: 1000000\r\n\r\n" + bytes(300_000),
    "connections": b"",
}


class GoodClient(threading.Thread):
    """Asks again and again. Being told 503 memory_limit, or to come again later by a closed connection, is what the documents promise; nothing else is."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port = port
        self.counted = {"served": 0, "refused": 0, "closed": 0}
        self.wrong = None
        self.over = threading.Event()
        self.start()

    def ask(self, sock):
        sock.sendall(GET)
        found = application.read_head(sock)
        if found is None:
            return "closed"
        head, rest = found
        left = int(application.field(head, "content-length")) - len(rest)
        while left > 0 and (more := sock.recv(left)):
            left -= len(more)
        if left > 0:
            raise SoakFailure("an answer was cut")
        if " 200 " in head.split("\r\n")[0]:
            return "served"
        if " 503 " in head.split("\r\n")[0] and "memory_limit" in (application.field(head, "proxy-status") or ""):
            return "refused"
        raise SoakFailure(head)

    def run(self):
        while not self.over.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=30) as sock:
                    outcome = "served"
                    while outcome != "closed" and not self.over.wait(0.02):
                        outcome = self.ask(sock)
                        self.counted[outcome] += 1
            except (BrokenPipeError, ConnectionResetError):
                self.counted["closed"] += 1
            except (SoakFailure, OSError) as error:
                self.wrong = self.wrong or str(error)
                return

    def stop(self):
        self.over.set()
        self.join()


class SlowDownload(threading.Thread):
    """One that begins before there is any shortage and takes as long as the soak; its bytes must come whole."""

    def __init__(self, port, seconds):
        super().__init__(daemon=True)
        self.port, self.pause_s = port, seconds / (DOWNLOAD_BYTES / 65536)
        self.digest = self.error = None
        self.begun = threading.Event()
        self.start()

    def run(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=60) as sock:
                sock.sendall(b"GET /%d HTTP/1.1\r\nHost: backend\r\n\r\n" % DOWNLOAD_BYTES)
                head, rest = application.read_head(sock)
                if " 200 " not in head:
                    raise SoakFailure(head)
                self.begun.set()
                digest, left = hashlib.sha256(rest), DOWNLOAD_BYTES - len(rest)
                while left > 0 and (piece := sock.recv(min(left, 65536))):
                    digest.update(piece)
                    left -= len(piece)
                    time.sleep(self.pause_s * len(piece) / 65536)
                self.digest = digest.hexdigest()
        except (OSError, SoakFailure) as error:
            self.error = error
        self.begun.set()


class Clients(threading.Thread):
    """Many that come one after the other, send what is let in and read nothing; who is refused is gone."""

    def __init__(self, port, hello):
        super().__init__(daemon=True)
        self.port, self.hello = port, hello
        self.over = threading.Event()
        self.start()

    def run(self):
        with contextlib.ExitStack() as stack:
            while not self.over.wait(1 / CLIENTS_PER_S):
                sock = stack.enter_context(socket.socket())
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                sock.settimeout(30)
                with contextlib.suppress(OSError):
                    sock.connect(("127.0.0.1", self.port))
                    sock.setblocking(False)
                    sock.send(self.hello)

    def stop(self):
        self.over.set()
        self.join()


def flood_memory(run, name, sidecar, cgroup, seconds):
    """The most that was used, in percent of the limit."""
    most, level = 0, 0
    flood = Clients(sidecar.ports[name], FLOODS[name])
    ends = time.monotonic() + seconds
    # Slow readers want the most; they go on until that is refused them.
    while sidecar.process.running() and (time.monotonic() < ends or (name == GREEDY and level < 3 and time.monotonic() < ends + LATER_S)):
        most = max(most, cgroup.used())
        level = max(level, sidecar.figure("outrigger_memory_level"))
        time.sleep(0.02)
    flood.stop()
    run.check(sidecar.process.running(), f"{name}: it was not ended by the system")
    eventually(lambda: sidecar.figure("outrigger_memory_level") == 0, what=f"{name}: the end of the shortage")
    eventually(lambda: sidecar.figure("outrigger_streams_active") <= 2, what=f"{name}: the end of the flood")
    percent = 100 * most // (LIMIT_MIB << 20)
    run.say(f"{name}: {percent} % of {LIMIT_MIB} MiB used at most, level {level:.0f}")
    return percent, level


def burst_once(sidecar, cgroup):
    """All at once, then gone; those of them that were let in stay. The most that was used meanwhile."""
    most = 0
    with contextlib.ExitStack() as stack:
        ends = time.monotonic() + BURST_S
        for _ in range(BURST):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", sidecar.ports[GREEDY]))
            with contextlib.suppress(OSError):
                sock.send(FLOODS[GREEDY])
        while sidecar.process.running() and time.monotonic() < ends:
            most = max(most, cgroup.held())
            time.sleep(0.01)
    return most


def bursts(run, sidecar, cgroup, count):
    """The most that was used, in percent of the limit."""
    most = 0
    for number in range(count):
        most = max(most, burst_once(sidecar, cgroup))
        if not sidecar.process.running():
            raise SoakFailure(f"burst {number + 1} of {BURST} slow readers ended it")
        eventually(lambda: sidecar.figure("outrigger_memory_level") == 0, what="the end of the shortage")
        eventually(lambda: sidecar.figure("outrigger_streams_active") <= 2, what="the end of the burst")
        run.check(answered(sidecar.inbound), f"burst {number + 1}: it serves again")
    percent = 100 * most // (LIMIT_MIB << 20)
    run.check(percent < 100, f"{count} bursts of {BURST} slow readers: {percent} % of {LIMIT_MIB} MiB used at most")
    return percent


def sidecar_inside(stack, cgroup, nobody):
    """One proxy with a listener for the good client and one for each flood; `nobody` accepts and reads nothing."""
    backend = stack.backend()
    ports = {name: take_port() for name in FLOODS}
    inbound = take_port()
    leads_to = {GREEDY: backend, "bodies that nobody reads": nobody, "connections": backend}
    listeners = [listener("inbound", inbound, at(stack.application()), "Disable")]
    for number, (name, port) in enumerate(ports.items()):
        listeners.append(listener(f"flood-{number}", port, at(leads_to[name]), "Disable"))
    sidecar = Sidecar(stack, "far", "backend", listeners)
    sidecar.inbound, sidecar.ports = inbound, ports
    return sidecar.start(cgroup.inside())


def memory(run):
    cgroup = Cgroup()
    if cgroup.folder is None:
        raise NotHere("no cgroup with a memory limit can be made")
    cgroup.set_limit(LIMIT_MIB << 20)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    seconds = run.seconds(120, 12)
    stack = run.stack()
    with socket.socket() as nobody:
        nobody.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        nobody.bind(("127.0.0.1", 0))
        nobody.listen(4096)
        sidecar = sidecar_inside(stack, cgroup, nobody.getsockname()[1])
        figures = be_short(run, sidecar, cgroup, seconds)
    sidecar.process.stop()
    cgroup.remove()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return figures


def be_short(run, sidecar, cgroup, seconds):
    count = run.size(20, 3)
    download = SlowDownload(sidecar.inbound, seconds + count * BURST_S)
    download.begun.wait()
    good = GoodClient(sidecar.inbound)
    before_kb = rss_kb(sidecar.pid)
    peaks, levels = {}, []
    rounds = max(1, int(seconds / (len(FLOODS) * 10)))
    for _ in range(rounds):
        for name in FLOODS:
            percent, level = flood_memory(run, name, sidecar, cgroup, seconds / rounds / len(FLOODS) - CALM_S)
            peaks[name] = max(percent, peaks.get(name, 0))
            levels.append(level)
            time.sleep(CALM_S)
    peaks["bursts"] = bursts(run, sidecar, cgroup, count)
    download.join()
    good.stop()
    run.check(good.wrong is None and good.counted["served"] > 0, f"a client that goes on asking: {good.counted} {good.wrong or ''}")
    run.check(download.digest == application.digest_of(DOWNLOAD_BYTES), f"a body that had begun before came whole {download.error or ''}")
    shed = sidecar.figure('outrigger_limit_hits_total{limit="memoryPercent",scope="process"}')
    run.check(max(levels) >= 3 and shed > 0, f"load was shed {shed:.0f} times, up to level {max(levels):.0f}")
    run.check(max(peaks.values()) <= 100, f"at most {max(peaks.values())} % of the limit were used")
    eventually(lambda: rss_kb(sidecar.pid) - before_kb <= KEPT_KB, what="the memory being given back")
    kept_kb = rss_kb(sidecar.pid) - before_kb
    run.check(answered(sidecar.inbound), f"all is taken again; {kept_kb:+} KiB stay")
    return {"limit_mib": LIMIT_MIB, "peak_percent": peaks, "good": good.counted, "shed": round(shed), "kept_kb": kept_kb}


def answered(port):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        return answers(sock)
