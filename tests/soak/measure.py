"""Figures of processes over time: memory as samples and as a slope, processor time; and the median of ratios of neighbours in time."""

import os
import statistics
import threading
import time
from pathlib import Path

from machine import cpu_us

PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


def rss_kb(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_KB


class MemoryWatch(threading.Thread):
    """Samples the memory of processes until it is stopped; `peak_kb` per pid."""

    def __init__(self, *pids, every_s=0.02):
        super().__init__(daemon=True)
        self.every_s = every_s
        self.first_kb = {pid: rss_kb(pid) for pid in pids}
        self.peak_kb = dict(self.first_kb)
        self.over = threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(self.every_s):
            for pid in self.peak_kb:
                try:
                    self.peak_kb[pid] = max(self.peak_kb[pid], rss_kb(pid))
                except (OSError, IndexError):
                    return  # it has ended: whoever needs it notices

    def stop(self):
        """By how much each has grown at most, in KiB."""
        self.over.set()
        self.join()
        return {pid: self.peak_kb[pid] - first for pid, first in self.first_kb.items()}


class CpuWatch:
    """Processor time of processes since it was made."""

    def __init__(self, *pids):
        self.pids = pids
        self.before_us = cpu_us(pids)
        self.since = time.monotonic()

    def percent(self):
        """Of one core."""
        return (cpu_us(self.pids) - self.before_us) / 1e4 / (time.monotonic() - self.since)


def growth_percent(samples, begin, end):
    """Samples (x, y): by how much the line through those between x = begin and x = end rises over that stretch, in percent of where it begins."""
    chosen = [(x, y) for x, y in samples if begin <= x <= end]
    if len(chosen) < 3:
        return 0.0
    slope, intercept = statistics.linear_regression([x for x, _ in chosen], [y for _, y in chosen])
    return 100.0 * slope * (end - begin) / (slope * begin + intercept)


def paired_ratio(rounds, alone, beside):
    """Runs alone() and beside() in turns, A B A B ...; returns the median of beside / alone of each turn, and all of them. What slows the machine
    for a while slows both of a turn."""
    ratios = []
    for _ in range(rounds):
        first = alone()
        ratios.append(beside() / first)
    return statistics.median(ratios), [round(ratio, 3) for ratio in ratios]
