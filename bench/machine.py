"""What the benchmarks need of the machine: processes pinned to a core and stopped by their id, free ports, memory by the kernel's account.

Core 0 belongs to the proxies under test, core 1 to everything that is not measured (load, backend); with one core they share it.
"""
import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import tempfile
import time

CORES = sorted(os.sched_getaffinity(0))
PROXY_CORE = CORES[0]
LOAD_CORE = CORES[-1]
PORTS = range(20000, 32000)


class Failure(Exception):
    """A measurement that could not be made; the text says why."""


class Ports:
    """Gives out free ports. Each one is locked by a file while we hold it, so that runs beside ours take others."""

    def __init__(self):
        self.folder = os.path.join(tempfile.gettempdir(), "outrigger-ports")
        os.makedirs(self.folder, exist_ok=True)
        self.locks = {}
        self.next = PORTS.start + os.getpid() * 37 % len(PORTS)

    def take(self):
        for _ in PORTS:
            port = self.next
            self.next = PORTS.start + (port + 1 - PORTS.start) % len(PORTS)
            lock = open(os.path.join(self.folder, str(port)), "w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
            except OSError:
                lock.close()
                continue
            self.locks[port] = lock
            return port
        raise Failure("no free port")

    def release(self, ports):
        for port in ports:
            self.locks.pop(port).close()


class Process:
    """A program under test: pinned, its output in a file, ready when its port accepts, stopped by SIGTERM and then SIGKILL."""

    def __init__(self, arguments, core, folder, name, ready_port):
        self.name = name
        self.log_path = os.path.join(folder, name + ".log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(["taskset", "-c", str(core), *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
        deadline = time.monotonic() + 10
        while not accepts(ready_port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise Failure(f"{name} did not start: {self.log()}")
            time.sleep(0.02)

    def log(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()[-2000:].strip()

    def pids(self):
        """The process and its children (nginx has a master and a worker)."""
        found = [self.process.pid]
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError), open(f"/proc/{entry}/stat") as stat:
                    if int(stat.read().rsplit(")", 1)[1].split()[1]) == self.process.pid:
                        found.append(int(entry))
        return found

    def pss_kb(self):
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/smaps_rollup") as rollup:
                total += next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
        return total

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def accepts(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def cpu_us(pids):
    """Processor time of all threads, in microseconds, by the scheduler's account."""
    total = 0
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/schedstat") as stat:
                total += int(stat.read().split()[0])
    return total / 1000
