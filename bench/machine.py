"""What the benchmarks need of the machine beside fleet.py: cores, and the memory and processor time of processes by the kernel's account.

The first core belongs to the proxies under test, the last to everything that is not measured (load, backend); with one core they share it.
"""
import contextlib
import os
from pathlib import Path

CORES = sorted(os.sched_getaffinity(0))
PROXY_CORE = CORES[0]
LOAD_CORE = CORES[-1]


class Failure(Exception):
    """A measurement that could not be made; the text says why."""


# Where the kernel groups processes by session, priority between sessions is the group's. Each process of ours begins a session of its own.
FIRST = 'echo -10 > /proc/self/autogroup; exec nice -n -10 "$@"'


def pinned(core, *words):
    """A command that runs on one core, and before others where we may say so. What leads to it replaces itself, so the process keeps its id."""
    before = ["sh", "-c", FIRST, "first"] if os.geteuid() == 0 and os.path.exists("/proc/self/autogroup") else []
    return [*before, "taskset", "-c", str(core), *map(str, words)]


def family(pid):
    """The process and its children: nginx has a master and a worker."""
    found = [pid]
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def pss_kb(pids):
    """Proportional set size: memory shared with other processes counts by their number."""
    total = 0
    for pid in pids:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return total


def cpu_us(pids):
    """Processor time of all threads in microseconds."""
    total = 0
    for pid in pids:
        for schedstat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):
                total += int(schedstat.read_text().split()[0])
    return total / 1000
