"""The cases: what is measured, on which shape of a peer, and the goal of each figure. CASES at the end is the table that run.py works through.

A case's `measure` gets the bench and one peer's stack and returns a value for each of its rows. It runs once per round and peer, on a stack that
was just started and is stopped afterwards; the rounds of all peers are interleaved.
"""
import http.client
import json
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from machine import PROXY_CORE, Failure, cpu_us, family, pinned, pss_kb
from support.fleet import http_get

MIB = 1024 * 1024
IDLE_FEW, IDLE_MANY = 64, 3000
SCRAPED_LINES = 10_000
BESIDE_RATE = 15000  # both together nearly fill the core, as the closed loop of `hop` does


@dataclass(frozen=True)
class Row:
    """One figure. Goal: `ratio` to the better peer's, or `absolute` in the unit of the row; neither = reported only. Less is better, always."""
    key: str
    title: str
    unit: str
    ratio: float = None
    absolute: float = None


@dataclass(frozen=True)
class Case:
    name: str
    shape: str  # hop, pair, routes, chain, telemetry or scraped; none: a program of ours that needs no proxy
    rows: list
    measure: object
    relay: bool = False  # whether the bare relay can do it too
    rounds: int = 0      # 0 = as many as run.py was told
    connections: int = 0 # the proxies' own limit of connections; 0 = peers.CONNECTIONS
    paired: bool = False # the ratio is the median of the ratios of each round, and all stacks stay up
    knee: object = None


def plain(connections=64, path="/1k", **more):
    def measure(bench, stack):
        result = bench.load(stack.http1, stack.pids(), connections=connections, path=path, **more)
        return [sum(result["cpu_us"]) / result["requests"]]
    return measure


def h2c(bench, stack):
    """h2load has no warm-up that it leaves out and no watch on processes: a short run warms, then a run of a fixed count is measured whole."""
    per_second = bench.h2load(stack.h2c, 2000)
    per_second = bench.h2load(stack.h2c, max(2000, int(per_second * bench.warmup)))
    count = max(5000, int(per_second * bench.seconds))
    pids = stack.pids()
    before = cpu_us(pids)
    bench.h2load(stack.h2c, count)
    return [(cpu_us(pids) - before) / count]


def routes(bench, stack):
    """What a thousand routes cost beside one, in turns on the same machine."""
    spent = []
    for port, process in zip((stack.http1, *stack.others), stack.processes):
        result = bench.load(port, family(process.pid), connections=64, path="/1k")
        spent.append(sum(result["cpu_us"]) / result["requests"])
    return [spent[0], spent[1] / spent[0]]


def beside(bench, stack, first, second):
    """CPU per request of two hops of the stack. For a small difference of large figures on a machine that drifts: both proxies work on the one core at the same time, each at the
    same fixed rate, and whatever slows one slows the other."""
    def spent(number):
        port = (stack.http1, *stack.others)[number]
        result = bench.load(port, family(stack.processes[number].pid), mode="open", rate=BESIDE_RATE, connections=32, path="/1k")
        return sum(result["cpu_us"]) / result["requests"]

    with ThreadPoolExecutor(2) as both:
        return [running.result() for running in [both.submit(spent, number) for number in (first, second)]]


def chain(bench, stack):
    """What a chain of policies that let all pass adds."""
    bare, chained = beside(bench, stack, 0, 1)
    return [bare, chained - bare]


def telemetry(bench, stack):
    """What it costs to tell of requests: each way beside the one that it adds to."""
    silent, usual = beside(bench, stack, 0, 1)
    added = [usual - silent]
    for way in (2, 3):
        without, traced = beside(bench, stack, 1, way)
        added.append(traced - without)
    return [silent, *added]


def fill_series(stack):
    """Requests of as many tenants as make SCRAPED_LINES lines of /metrics, each tenant's histogram being 17 of them."""
    load = http.client.HTTPConnection("127.0.0.1", stack.http1, timeout=10)
    for tenant in range(SCRAPED_LINES // 17 + 1):
        load.request("GET", "/1k", headers={"x-tenant": f"tenant-{tenant}"})
        load.getresponse().read()
    load.close()
    page = http_get(f"127.0.0.1:{stack.metrics}", "/metrics")[1]
    if page.count(b"tenant=") < SCRAPED_LINES:
        raise Failure(f"the page has {page.count(b'tenant=')} lines of tenants")


def scraped(bench, stack):
    """What whoever asks waits for longer while the page is asked for ten times a second, so that a twentieth of all requests could be held up by 5 ms: 150 times as often as usual. In turns on the
    same process, after one that warms it."""
    def latency():
        return bench.load(stack.http1, [], mode="open", rate=BESIDE_RATE, connections=32, path="/1k")["latency_us"]

    def scrape(over):
        while not over.wait(0.1):
            http_get(f"127.0.0.1:{stack.metrics}", "/metrics")

    def scraped_latency():
        over = threading.Event()
        with ThreadPoolExecutor(1) as beside_it:
            scraping = beside_it.submit(scrape, over)
            try:
                return latency()
            finally:
                over.set()
                scraping.result()

    fill_series(stack)
    latency()
    before, loaded, after = latency(), scraped_latency(), latency()
    p50, p99 = ((before[of] + after[of]) / 2 for of in ("p50", "p99"))
    return [p50, loaded["p50"] / p50, loaded["p99"] / p99]


def handshake(bench, stack):
    far = family(stack.processes[1].pid)
    full = bench.load(stack.tls, far, mode="fresh", connections=8, tls=True)
    if full["resumed"]:
        raise Failure("a handshake that was to be full was a resumption")
    again = bench.load(stack.tls, far, mode="fresh", connections=8, tls=True, resume=True)
    resumed_share = again["resumed"] / again["requests"]
    full_us = sum(full["cpu_us"]) / full["requests"]
    again_us = sum(again["cpu_us"]) / again["requests"]
    if resumed_share < 0.95:
        bench.note(f"only {resumed_share:.0%} of the connections that offered a session were resumed")
    return [full_us, again_us / full_us]


def idle_memory(bench, stack):
    with bench.held(stack.http1, 1, tls=False):
        return [pss_kb(stack.pids()) / len(stack.processes) / 1024]


def connection_memory(tls):
    """The slope between a few idle connections and many, so that what a proxy keeps whatever comes is not counted."""
    def measure(bench, stack):
        pids = family(stack.processes[1 if tls else 0].pid)
        port = stack.tls if tls else stack.http1
        kb = []
        for count in (IDLE_FEW, IDLE_MANY):
            with bench.held(port, count, tls):
                kb.append(pss_kb(pids))
        return [(kb[1] - kb[0]) / (IDLE_MANY - IDLE_FEW)]
    return measure


def closed_latency(connections):
    def measure(bench, stack):
        latency = bench.load(stack.http1, [], connections=connections)["latency_us"]
        return [latency["p50"], latency["p99"]]
    return measure


def knee(bench, stack):
    """What a peer carries with 64 connections that wait for nothing, in requests per second."""
    return bench.load(stack.http1, [], connections=64, seconds=bench.seconds / 2)["per_second"]


def open_latency(bench, stack):
    latency = bench.load(stack.http1, [], mode="open", rate=bench.rate, connections=64)["latency_us"]
    return [latency["p50"], latency["p99"]]


def cpu_row(key, title, ratio):
    return [Row(key, title, "us", ratio=ratio)]


def latency_rows(key, title):
    return [Row(key + "_p50", title + ", p50", "us", ratio=1.0), Row(key + "_p99", title + ", p99", "us", ratio=1.0)]


def alone(bench, name):
    """What a program says that measures in memory."""
    done = subprocess.run(pinned(PROXY_CORE, bench.program(name)), capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise Failure(f"{name}: " + (done.stdout + done.stderr).strip()[-600:])
    return json.loads(done.stdout)


def limit_keys(bench, stack):
    """In memory: a decision of a limit with few keys, and with a million in a table for a tenth of them."""
    found = alone(bench, "bench-limit-keys")
    if found["let_through"]:
        raise Failure(f"a key that was exhausted was let through {found['let_through']} times in the flood")
    return [found["few"], found["million"] / found["table"], found["grown"]]


def pick(bench, stack):
    """In memory: a pick among 10 endpoints and among 10,000, by the default balancer, and what an endpoint takes in a snapshot and in one worker."""
    found = alone(bench, "bench-balancer")
    few, many = found["PeakEWMA"]
    return [few, many / few, found["bytes_per_endpoint"]]


def series(bench, stack):
    """In memory: what a request costs that is counted in a series, and what a page and a push of 10,000 histograms cost the main thread."""
    found = alone(bench, "bench-request-series")
    return [found[key] for key in ("one_of_32", "call", "overflow", "scrape_histograms_ms", "push_cumulative_ms", "push_delta_ms")]


CASES = [
    Case("hop", "hop", cpu_row("hop", "plain HTTP/1.1, one hop: CPU per request", 0.9), plain(), relay=True),
    Case("h2c", "hop", cpu_row("h2c", "h2c to HTTP/1.1, one hop: CPU per request", 0.9), h2c),
    Case("routes", "routes", [Row("route", "one route of 5 matches, plain hop: CPU per request", "us"),
                              Row("routes", "1,000 such routes, as a multiple of one", "", absolute=1.3)], routes),
    Case("chain", "chain", [Row("chain_bare", "no policy, plain hop: CPU per request", "us"),
                            Row("chain_added", "authorization, limit, bulkhead, retry, breaker, deadline, not needed: CPU added", "us", absolute=1.0)], chain),
    Case("telemetry", "telemetry", [Row("telemetry_none", "nothing told of requests, plain hop: CPU per request", "us"),
                                    Row("telemetry_usual", "metrics and access log of errors, the default: CPU added", "us", absolute=0.6),
                                    Row("telemetry_sampled", "1 % of requests traced: CPU added to that", "us", absolute=0.1),
                                    Row("telemetry_traced", "all requests traced and exported: CPU added to that", "us", absolute=3.0)], telemetry),
    Case("scraped", "scraped", [Row("scraped_alone", "fixed rate, plain hop with 10,000 series: p50", "us"),
                                Row("scraped", "the same while they are scraped ten times a second, as a multiple", "", absolute=1.05),
                                Row("scraped_p99", "its p99, as a multiple", "")], scraped),
    Case("pair", "pair", cpu_row("pair", "mTLS pair, HTTP/1.1 outside: CPU per request, both", 0.75), plain()),
    Case("handshake", "pair", [Row("handshake", "new mTLS connection and one request: CPU", "us", ratio=0.8),
                               Row("resumed", "the same resumed, as a part of the full one", "", absolute=0.4)], handshake),
    Case("idle-memory", "pair", [Row("idle_memory", "idle memory with mTLS, PSS per instance", "MB", absolute=6.0)], idle_memory, rounds=1, connections=1024),
    Case("connection", "hop", [Row("connection_plain", "memory per idle connection after traffic, plain", "KB", absolute=2.0)],
         connection_memory(tls=False), rounds=2),
    Case("connection-tls", "pair", [Row("connection_tls", "memory per idle connection after traffic, TLS", "KB", ratio=1.0)],
         connection_memory(tls=True), rounds=2),
    Case("body", "hop", cpu_row("body", "1 MiB response, plain hop: CPU", 1.0), plain(8, "/1m"), relay=True),
    Case("body-pair", "pair", cpu_row("body_pair", "1 MiB response, mTLS pair: CPU, both", 1.0), plain(8, "/1m")),
    Case("upload", "hop", cpu_row("upload", "1 MiB request, plain hop: CPU", 1.0), plain(8, "/0", body=MIB), relay=True),
    Case("upload-pair", "pair", cpu_row("upload_pair", "1 MiB request, mTLS pair: CPU, both", 1.0), plain(8, "/0", body=MIB)),
    Case("pick", "none", [Row("pick", "a pick among 10 endpoints, with what it counts", "ns"),
                          Row("pick_many", "the same among 10,000, as a multiple of it", "", absolute=1.2),
                          Row("endpoint_bytes", "memory per endpoint of 10,000", "B", absolute=200.0)], pick),
    Case("limit-keys", "none", [Row("limit_decision", "a rate limit's look and charge, 1,000 keys", "ns"),
                                Row("limit_million", "with a million keys, as a multiple of with the 100,000 that the table is for", "", absolute=1.2),
                                Row("limit_grown", "bytes that a million exhausted keys add", "B", absolute=0.0)], limit_keys),
    Case("series", "none", [Row("series_count", "a request counted in one of 32 series", "ns"),
                            Row("series_call", "a gRPC call in one of 32 methods", "ns"),
                            Row("series_overflow", "a request that no series is left for", "ns"),
                            Row("series_scrape", "10,000 histograms of two workers, merged and written as a page: main thread", "ms", absolute=20.0),
                            Row("series_push", "the same written for a collector, cumulative", "ms", absolute=20.0),
                            Row("series_push_delta", "the same as deltas", "ms", absolute=20.0)], series),
    Case("latency-1", "hop", latency_rows("latency_1", "plain hop, 1 connection"), closed_latency(1), relay=True),
    Case("latency-8", "hop", latency_rows("latency_8", "plain hop, 8 connections"), closed_latency(8), relay=True),
    Case("pair-latency-1", "pair", latency_rows("pair_latency_1", "mTLS pair, 1 connection"), closed_latency(1)),
    Case("pair-latency-8", "pair", latency_rows("pair_latency_8", "mTLS pair, 8 connections"), closed_latency(8)),
    Case("open", "hop", latency_rows("open", "plain hop, fixed rate"), open_latency, relay=True, paired=True, knee=knee),
    Case("pair-open", "pair", latency_rows("pair_open", "mTLS pair, fixed rate"), open_latency, paired=True, knee=knee),
]
