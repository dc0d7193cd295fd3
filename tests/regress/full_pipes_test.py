"""Whoever reads our logs may stop reading: it costs lines, which are counted, and never a request nor the form of the lines around them."""

import fcntl
import json
import os
import signal
import subprocess

import pytest

from support.backend import reply
from support.fleet import BIN, SANITIZER_ENVIRONMENT, Fleet, answers, eventually
from support.h2_peer import DATA, H2Client, H2Wire, frame
from support.hop import Hop
from support.wire import Wire

STREAMS = 60  # that end in one turn, so that their lines are more than a pipe takes or leaves as one
ROUNDS = 60  # more than fits into the pipe and the ring before it


def finish_many(client, rounds):
    for _ in range(rounds):
        streams = []
        for number in range(STREAMS):
            streams.append(client.h2.get_next_available_stream_id())
            client.h2.send_headers(streams[-1], [(":method", "GET"), (":scheme", "http"), (":authority", "nobody"), (":path", "/" + "x" * (7 * number))], end_stream=True)
        client.flush()
        assert [client.answer(stream).status for stream in streams] == [502] * STREAMS


def read_all(pipe):
    content = b""
    try:
        while more := os.read(pipe, 65536):
            content += more
    except BlockingIOError:
        pass
    return content


def test_the_access_log_in_a_full_pipe_loses_whole_lines():
    with Fleet() as fleet:
        path = fleet.folder / "access"
        os.mkfifo(path)
        pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        hop = Hop(fleet, {"backend": [fleet.backend(reply()).address]}, telemetry={"accessLog": {"path": str(path), "filter": "All"}}, workers=1)
        with H2Client(hop.address) as client:
            finish_many(client, ROUNDS)
            dropped = hop.figure("outrigger_access_log_dropped_total", reason="full")
            assert dropped > 0
            content = b""

            def all_read():
                nonlocal content
                content += read_all(pipe)
                return content.count(b"\n") + dropped == STREAMS * ROUNDS
            eventually(all_read, what="every line that was taken")
            finish_many(client, 1)
            dropped -= STREAMS
            eventually(all_read, what="the lines after that")
        assert all(json.loads(line)["authority"] == "nobody" for line in content.decode().splitlines())
        assert hop.figure("outrigger_access_log_lines_total") == content.count(b"\n")
        assert hop.figure("outrigger_access_log_dropped_total", reason="failed") == 0
        os.close(pipe)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_log_that_nobody_reads_holds_nobody_up(workers):
    with Fleet() as fleet:
        hop = Hop(fleet, {"backend": [fleet.backend(reply(200, b"ok")).address]}, workers=workers, start=False)
        hop.write()
        read, write = os.pipe()
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
        environment = {**os.environ, **SANITIZER_ENVIRONMENT}
        proxy = subprocess.Popen([BIN / "outrigger-proxy", "--config", hop.config], stdin=subprocess.DEVNULL, stdout=write, stderr=write, env=environment)
        try:
            eventually(lambda: answers(hop.metrics)(None), what="the proxy being ready")
            for _ in range(100):  # each is a line of the log
                with H2Wire(hop.address) as client:
                    client.send(frame(DATA, 0, 1, b"x"))
                    assert client.goaway() is not None
            for _ in range(100):  # and each of these is three
                hop.fleet.write("hop/config.yaml", "wrong: true")
                proxy.send_signal(signal.SIGHUP)
                with Wire(hop.address) as client:
                    assert client.get().response().status == 200
                assert answers(hop.metrics)(None)
            proxy.terminate()
            os.set_blocking(read, False)
            eventually(lambda: (read_all(read), proxy.poll() is not None)[1], what="the proxy's end")
            assert proxy.returncode == 0
        finally:
            proxy.kill()
            proxy.wait()
            os.close(read)
            os.close(write)
