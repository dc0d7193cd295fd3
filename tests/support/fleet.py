"""Starts, watches and stops processes: the only place that does, for tests, demo, benchmarks and soak runs.

A Fleet is a context manager. Each process gets a log file and counts as started once it is ready; at the end all are stopped by pid, last started first,
and each must have ended in order: a wrong exit code, a report of a sanitizer or a SIGKILL that was needed is a failure. On failure the logs are kept.
Use it from the main thread: a child dies with the thread that started it, so that a killed test leaves nothing behind.
"""

import ctypes
import fcntl
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from support.backend import Backend, echo

ROOT = Path(__file__).resolve().parent.parent.parent
BIN = Path(os.environ.get("OUTRIGGER_BIN", ROOT / "build" / "dev" / "bin"))
PRESET = os.environ.get("OUTRIGGER_PRESET", BIN.parent.name)
WORKERS = int(os.environ.get("OUTRIGGER_WORKERS", "1"))

# Programs that `./dev setup --peers` builds; tests that need one are skipped where it is not there.
PEERS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "outrigger" / "peers"

# Below the kernel's range of ephemeral ports, so that no outgoing connection takes one away.
PORTS = range(20000, 32000)

# Generous: a sanitized build on a busy machine. Nothing is judged by time; these only turn a hang into a failure.
READY_S = 60
STOP_S = 60
POLL_S = 0.01

# A report of a sanitizer ends the process with this code, a leak as well.
SANITIZER_EXIT = 99
SANITIZER_ENVIRONMENT = {
    "ASAN_OPTIONS": f"exitcode={SANITIZER_EXIT}:detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1",
    "LSAN_OPTIONS": f"exitcode={SANITIZER_EXIT}",
    "UBSAN_OPTIONS": f"exitcode={SANITIZER_EXIT}:halt_on_error=1:print_stacktrace=1",
    "TSAN_OPTIONS": f"exitcode={SANITIZER_EXIT}:halt_on_error=1:second_deadlock_stack=1",
}
SANITIZER_REPORT = re.compile(r"ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error: ")

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


class FleetError(AssertionError):
    """A process did not start, did not end in order, or something awaited did not happen."""


def eventually(condition, timeout=READY_S, what="the condition"):
    """Returns what condition() gives as soon as it is true; an AssertionError in it counts as not yet. For tests: instead of any sleep."""
    deadline = time.monotonic() + timeout
    while True:
        error = None
        try:
            value = condition()
            if value:
                return value
        except AssertionError as caught:
            error = caught
        if time.monotonic() > deadline:
            raise FleetError(f"{what} did not come true within {timeout} s") from error
        time.sleep(POLL_S)


def is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def take_port():
    """A free port that no other test on this machine was given lately: a counter under a file lock goes round the range."""
    with open(Path(tempfile.gettempdir()) / f"outrigger-ports-{os.getuid()}", "a+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        last = int(text) if text.isdigit() else PORTS[-1]
        for step in range(1, len(PORTS) + 1):
            port = PORTS[(last - PORTS[0] + step) % len(PORTS)]
            if is_free(port):
                file.seek(0)
                file.truncate()
                file.write(str(port))
                return port
    raise FleetError("no free port is left")


def split_address(address):
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


class PlainDumper(yaml.SafeDumper):
    """Writes an object that stands twice twice: documents have no anchors."""

    def ignore_aliases(self, data):
        return True


def http_get(address, path="/", timeout=READY_S):
    """(status, body) of a plain GET, on a connection of its own: for probes, metrics and admin pages."""
    connection = http.client.HTTPConnection(*split_address(address), timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def answers(address, path="/readyz"):
    """Ready when GET `path` at `address` answers 200."""
    def ready(_process):
        try:
            return http_get(address, path, timeout=5)[0] == 200
        except (OSError, http.client.HTTPException):
            return False
    return ready


def accepts(address):
    """Ready when a TCP connection to `address` is accepted."""
    def ready(_process):
        try:
            socket.create_connection(split_address(address), timeout=5).close()
        except OSError:
            return False
        return True
    return ready


def prints(text):
    """Ready when `text` stands in the output."""
    return lambda process: text in process.output()


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """One process of a fleet. `exit_codes` are those with which it may end when it is stopped."""

    def __init__(self, name, argv, log, environment, folder, exit_codes, pass_fds=()):
        self.name = name
        self.log = log
        self.exit_codes = exit_codes
        self.judged = self.told = False
        with open(log, "wb") as output:
            self.child = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                          env=environment, cwd=folder, start_new_session=True, preexec_fn=die_with_parent, pass_fds=pass_fds)
        self.pid = self.child.pid

    def output(self):
        return self.log.read_text(encoding="utf-8", errors="replace")

    def running(self):
        return self.child.poll() is None

    def signal(self, number):
        if self.running():
            self.child.send_signal(number)

    def kill(self):
        """Ends it on the spot, on purpose: how it ends is then no failure, but a sanitizer's report before it is."""
        self.signal(signal.SIGKILL)
        self.child.wait()
        self.judge(self.exit_codes | {-signal.SIGKILL})

    def wait(self, timeout=STOP_S):
        """Waits until it ends by itself and judges how it did; returns the exit code."""
        try:
            self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self.child.wait()
            self.judged = True
            raise FleetError(f"{self.name} did not end within {timeout} s and was killed") from None
        self.judge(self.exit_codes)
        return self.child.returncode

    def stop(self, timeout=STOP_S):
        """SIGTERM, then as `wait`. Harmless when it has ended and was judged, or was told before."""
        if self.judged:
            return self.child.returncode
        self.tell()
        return self.wait(timeout)

    def tell(self):
        """SIGTERM, once."""
        if not self.judged and not self.told:
            self.told = True
            self.signal(signal.SIGTERM)

    def judge(self, exit_codes):
        self.judged = True
        if SANITIZER_REPORT.search(self.output()):
            raise FleetError(f"{self.name}: a sanitizer reports a fault")
        if self.child.returncode not in exit_codes:
            raise FleetError(f"{self.name} ended with {self.child.returncode}; allowed: {sorted(exit_codes)}")


class Fleet:
    """The processes and backends of one test, and a folder for their files."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="outrigger-"))
        self.processes = []
        self.backends = []

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close(failed=kind is not None)

    def address(self, host="127.0.0.1"):
        return f"{host}:{take_port()}"

    def write(self, path, content):
        """A file below the fleet's folder: text, bytes, or a list of documents as YAML."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, list):
            content = yaml.dump_all(content, Dumper=PlainDumper, sort_keys=False)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    def start(self, name, argv, ready=None, environment=None, folder=None, exit_codes=(0,), timeout=READY_S, pass_fds=()):
        """Starts `argv` and returns its Process once ready(process) is true: accepts(), answers() or prints(); None: at once, and then
        it may end as soon as it likes."""
        log = self.folder / f"{len(self.processes)}-{name}.log"
        process = Process(name, argv, log, {**os.environ, **SANITIZER_ENVIRONMENT, **(environment or {})}, folder or self.folder, set(exit_codes),
                          pass_fds)
        self.processes.append(process)
        if ready is None:
            return process

        def started():
            if not process.running() and not ready(process):
                raise RuntimeError
            return ready(process)

        try:
            eventually(started, timeout, f"{name} being ready")
        except RuntimeError:
            process.judged = True
            raise FleetError(f"{name} ended with {process.child.returncode} before it was ready:\n{process.output()[-4000:]}") from None
        return process

    def proxy(self, name, config, ready=None, arguments=(), environment=None, exit_codes=(0,)):
        """An outrigger-proxy of the build under test. `config` is a path, or a list of documents; it is ready when /readyz at the
        metrics address of its Proxy document answers 200. In a list a Proxy with no `workers` gets those of this build's tests."""
        if isinstance(config, list):
            for document in config:
                if document["kind"] == "Proxy":
                    document["spec"].setdefault("workers", WORKERS)
            config = self.write(f"{name}/config.yaml", config)
        ready = ready or answers(metrics_address(Path(config)))
        return self.start(name, [BIN / "outrigger-proxy", "--config", config, *arguments], ready, environment, exit_codes=exit_codes)

    def run(self, argv, timeout=READY_S, **options):
        """Runs a command to its end and returns subprocess.CompletedProcess with text; a sanitizer's report is a failure."""
        done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, timeout=timeout, check=False,
                              env={**os.environ, **SANITIZER_ENVIRONMENT, **options.pop("environment", {})}, cwd=options.pop("folder", self.folder), **options)
        if SANITIZER_REPORT.search(done.stderr) or done.returncode == SANITIZER_EXIT:
            raise FleetError(f"{argv[0]}: a sanitizer reports a fault:\n{done.stderr}")
        return done

    def backend(self, script=echo, port=None, **options):
        """A Backend that is closed with the fleet; a port of its own unless given."""
        backend = Backend(script, port or take_port(), **options)
        self.backends.append(backend)
        return backend

    def close(self, failed=False):
        """Stops all. Raises the first failure, unless `failed` says that there is one already; then only shows the logs."""
        failures = []
        for process in reversed(self.processes):
            process.tell()  # all first: each takes its time to drain
        for process in reversed(self.processes):
            try:
                process.stop()
            except FleetError as error:
                failures.append(error)
        for backend in self.backends:
            try:
                backend.close()
            except Exception as error:  # what a script raised in its thread
                failures.append(error)
        if not failed and not failures:
            shutil.rmtree(self.folder)
            return
        for process in self.processes:
            lines = process.output().splitlines()[-40:]
            print(f"--- {process.name} (exit code {process.child.returncode})", *lines, sep="\n", file=sys.stderr)
        print(f"--- logs are kept in {self.folder}", file=sys.stderr)
        if failures and not failed:
            raise failures[0]


def metrics_address(config):
    """The address of metrics and probes in the Proxy document of a file or folder."""
    paths = [config] if config.is_file() else sorted(path for path in config.rglob("*") if path.suffix in (".yaml", ".yml", ".json"))
    for path in paths:
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if document and document.get("kind") == "Proxy":
                return document["spec"]["metrics"]["address"].replace("0.0.0.0", "127.0.0.1")
    raise FleetError(f"{config} has no Proxy document: say what makes it ready")
