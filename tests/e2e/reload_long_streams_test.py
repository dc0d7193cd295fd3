# presets: dev release
"""A hundred reloads while WebSockets, TCP connections and downloads go on, some begun with each set of documents: none of them keeps a set in memory."""

import contextlib
import os
import threading

import pytest

from support.fleet import eventually
from support.hop import Hop, service, traffic
from support.opaque import Raw, echo_bytes, tcp_listener
from support.websocket import connect, websocket_server
from support.wire import Wire, exchange

RELOADS = 100
NEW_EACH = 10
OTHERS = 60
PART = b"x" * 1000


def half_a_download(go_on):
    """Answers with half a body, the other half once `go_on` is set."""
    def script(connection):
        while connection.read_request() is not None:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * len(PART)) + PART)
            go_on.wait()
            connection.send(PART)
    return script


def answers_with(text):
    def script(connection):
        while connection.read_request() is not None:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
    return script


class Streams:
    """One of each kind, begun with the set of documents in force."""

    def __init__(self, hop, tcp, stack):
        self.socket = stack.enter_context(connect(hop.address, "/echo"))
        self.tcp = stack.enter_context(Raw(tcp))
        self.download = stack.enter_context(Wire(hop.address))
        self.download.get(host="download").take_until(b"\r\n\r\n")
        self.download.take(len(PART))
        self.check()

    def check(self):
        self.socket.send("hello")
        assert self.socket.recv() == "hello"
        assert self.tcp.send(b"hello").exactly(5) == b"hello"


def resident(process):
    with open(f"/proc/{process.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_hundred_reloads_beside_long_streams(fleet):
    go_on = threading.Event()
    server, raw, slow = websocket_server(fleet), fleet.backend(echo_bytes), fleet.backend(half_a_download(go_on))
    asked = [fleet.backend(answers_with(b"even")).address, fleet.backend(answers_with(b"odd")).address]
    listener = tcp_listener("raw")
    hop = Hop(fleet, start=False)
    hop.proxy["spec"]["listeners"].append(listener)

    def documents(number):
        others = [service(f"other{other}", [{"address": asked[0], "weight": 1 + number % 9}]) for other in range(OTHERS)]
        return [hop.proxy, service("backend", [server.address]), service("raw", [raw.address], protocol="TCP"), service("download", [slow.address]),
                service("asked", [asked[number % 2]]), traffic("backend", timeouts={"tcpIdle": f"{100 + number}s"}),
                traffic("download", timeouts={"idle": f"{100 + number}s"}), *others]

    hop.documents = documents(0)
    hop.start()
    early = 0
    with contextlib.ExitStack() as stack:
        streams = []
        for number in range(1, RELOADS + 1):
            if number % NEW_EACH == 1:
                streams.append(Streams(hop, listener["address"], stack))
            hop.reload(documents(number))
            assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: asked\r\n\r\n").body == (b"odd" if number % 2 else b"even")
            if number == 3 * NEW_EACH:
                early = resident(hop.process)
        eventually(lambda: hop.figure("outrigger_worker_snapshots") == 1, what="only the newest set in memory")
        # Ten times what may come and go; seventy sets of these would take 20 MB. A sanitizer keeps what was freed for a while.
        if os.environ.get("OUTRIGGER_PRESET") == "release":
            assert resident(hop.process) < early + (8 << 20)
        assert hop.figure("outrigger_streams_active") == 3 * len(streams)
        go_on.set()
        for each in streams:
            each.check()
            assert each.download.take(len(PART)) == PART
        for each in streams:
            each.tcp.end()
            assert each.tcp.rest() == b""
            each.socket.close()
    for line in hop.logged(len(streams), service="default/download:80"):
        assert line["end"] == "ok" and line["response_bytes"] == 2 * len(PART)
    hop.logged(len(streams), service="default/raw:80", end="ok")
    hop.logged(len(streams), service="default/backend:80", end="ok", status=101)


@pytest.mark.parametrize("removed", ["service", "service by name", "listener"])
def test_a_stream_outlives_what_it_came_by(fleet, removed):
    server, other = websocket_server(fleet), fleet.backend(answers_with(b"other")).address
    by_name = service("backend", [f"localhost:{server.address.rpartition(':')[2]}"], resolution="DNS")
    hop = Hop(fleet, [by_name if removed == "service by name" else service("backend", [server.address]), service("other", [other])])
    more = hop.add_listener()
    hop.reload()
    with connect(more, "/echo") as client:
        client.send("hello")
        assert client.recv() == "hello"
        if removed == "listener":
            hop.proxy["spec"]["listeners"].pop()
            hop.reload()
        else:
            hop.reload([hop.proxy, service("other", [other])])
            eventually(lambda: hop.figure("outrigger_worker_snapshots") == 1, what="only the newest set in memory")
        client.send("still there")
        assert client.recv() == "still there"
    line = hop.logged(service="default/backend:80", status=101)
    assert line["end"] == "ok" and line["listener"] == "more"
    eventually(lambda: hop.figure("outrigger_worker_snapshots") == 1, what="only the newest set in memory")
