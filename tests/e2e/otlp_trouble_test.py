# presets: dev
# seconds: 30
"""Collectors that hang, drip, talk too much or are none, and a process that ends, is replaced or is locked in meanwhile: each span is still exported or counted."""

import gzip
import os
import shutil

import pytest

from support.backend import message
from support.fleet import eventually
from support.h2_peer import h2_reply
from support.hop import Hop, service
from support.otlp_receiver import PROTOCOLS, ended, settled, told
from support.upgrade import upgradable, upgrade
from support.wire import exchange

HANDFUL = 3


def hop_to(fleet, endpoint, protocol="http/protobuf", batch=HANDFUL, timeout="10m", **block):
    """A proxy that sends spans there by `batch`; with time enough for whatever comes, unless the test is about that."""
    hop = Hop(fleet, [service("backend", [fleet.backend().address])], start=False, workers=1)
    hop.proxy["spec"]["telemetry"]["traces"] = {"endpoint": f"http://{endpoint}", "protocol": PROTOCOLS[protocol], "timeout": timeout,
                                                "batch": {"scheduleDelay": "1h", "maxBatchSize": batch, "exportTimeout": timeout}, **block}
    return hop


def to_hang(receiver):
    return {"endpoint": f"http://{receiver.address}", "protocol": PROTOCOLS[receiver.protocol], "timeout": "10m"}


def ask(hop, count=HANDFUL):
    for _ in range(count):
        assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200


def ask_and_settle(hop):
    made = told(hop)[0] + HANDFUL
    ask(hop)
    return settled(hop, made)


# --- the end ---


def end_while_one_hangs(hop, receiver, signal):
    """A request under way that is never answered, and what comes behind it: all of it is sent once the process ends."""
    hop.start()
    ask(hop)
    eventually(lambda: receiver.requests, what="a request hangs")
    ask(hop)
    hop.process.stop()
    assert ended(hop, signal) == (2 * HANDFUL, 0) and "complete=true" in hop.process.output()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_collector_that_hangs_holds_the_end_up_for_no_longer_than_it_may(fleet, receiver_of, protocol):
    receiver = receiver_of(protocol)
    receiver.answers.append("hang")
    end_while_one_hangs(hop_to(fleet, receiver.address, protocol), receiver, "traces")


def test_a_collector_of_logs_that_hangs_holds_the_end_up_for_no_longer_than_it_may(fleet, receiver_of):
    receiver = receiver_of(signal="logs")
    receiver.answers.append("hang")
    hop = Hop(fleet, [service("backend", [fleet.backend().address])], start=False, workers=1)
    hop.proxy["spec"]["telemetry"].update(accessLog={"format": "OTLP", "filter": "All"}, logs=to_hang(receiver) | {"batch": {"scheduleDelay": "20ms", "exportTimeout": "10m"}})
    end_while_one_hangs(hop, receiver, "logs")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_collector_of_metrics_that_hangs_holds_the_end_up_for_no_longer_than_it_may(fleet, receiver_of, protocol):
    """What is under way gives way to what came since, once it is given up: then no worker is there to be asked."""
    receiver = receiver_of(protocol, "metrics")
    receiver.answers.append("hang")
    hop = Hop(fleet, [service("backend", [fleet.backend().address])], start=False, workers=1)
    hop.proxy["spec"]["telemetry"]["metrics"] = to_hang(receiver) | {"interval": "100ms", "exportTimeout": "10m"}
    hop.start()
    eventually(lambda: receiver.requests, what="a request hangs")
    ask(hop)
    hop.process.stop()
    made, exported = ended(hop, "metrics")
    assert made > 0 and exported == 0 and "complete=true" in hop.process.output()


def test_who_takes_the_place_tells_its_own_and_the_old_one_what_waited(fleet, receiver_of):
    receiver = receiver_of()
    hop = upgradable(hop_to(fleet, receiver.address, batch=512))
    hop.start()
    ask(hop)
    old = upgrade(hop)
    assert f"event=export_ended signal=traces made={HANDFUL} exported={HANDFUL}" in old.output() and len(receiver.spans) == HANDFUL
    ask(hop)
    hop.process.stop()
    assert ended(hop, "traces") == (HANDFUL, HANDFUL)
    assert len({span.span_id for span in receiver.spans}) == len(receiver.spans) == 2 * HANDFUL
    assert len({instance["service.instance.id"] for instance, _ in receiver.told()}) == 2


# --- answers ---


def test_an_answer_that_drips_is_an_answer(fleet):
    """Nobody else waits for it."""
    answer = message(200, b"")

    def drip(connection):
        while connection.read_request():
            for position in range(len(answer)):
                connection.send(answer[position:position + 1])

    hop = hop_to(fleet, fleet.backend(drip).address)
    hop.start()
    assert ask_and_settle(hop) == (HANDFUL, HANDFUL, 0, {})
    assert hop.figure("outrigger_telemetry_export_retries_total") == 0


def test_an_answer_that_takes_too_long_is_none(fleet, receiver_of):
    receiver = receiver_of()
    receiver.answers.append("hang")
    hop = hop_to(fleet, receiver.address, timeout="300ms")
    hop.start()
    assert ask_and_settle(hop) == (HANDFUL, 0, 0, {"timeout": HANDFUL})
    assert ask_and_settle(hop) == (2 * HANDFUL, HANDFUL, 0, {"timeout": HANDFUL})


def test_of_a_long_answer_the_front_is_read_and_a_longer_one_is_none(fleet, receiver_of):
    receiver = receiver_of()
    hop = hop_to(fleet, receiver.address)
    hop.start()
    limit = 4 * 1024 * 1024
    receiver.answers.append(receiver.partial(1, "m" * 70_000))
    assert ask_and_settle(hop)[3] == {"partial_success": 1}
    receiver.answers.append(receiver.partial(2, "m" * (limit - 64)))
    assert ask_and_settle(hop)[3] == {"partial_success": 3}
    receiver.answers.append(receiver.partial(2, "m" * limit))
    assert ask_and_settle(hop)[3] == {"partial_success": 3, "not_retryable": HANDFUL}
    assert 'reason="body_too_large"' in hop.process.output()


@pytest.mark.parametrize("protocol", ["http/json", "grpc"])
def test_of_a_long_answer_the_front_is_read_in_other_protocols_too(fleet, receiver_of, protocol):
    receiver = receiver_of(protocol)
    hop = hop_to(fleet, receiver.address, protocol)
    hop.start()
    receiver.answers.append(receiver.partial(1, "ä" * 70_000))
    assert ask_and_settle(hop)[3] == {"partial_success": 1}
    assert "reason=\"some were rejected: ä" in hop.process.output()


def test_what_a_collector_remarks_breaks_no_line(fleet, receiver_of):
    receiver = receiver_of("grpc")
    hop = hop_to(fleet, receiver.address, "grpc")
    hop.start()
    receiver.answers.append(receiver.partial(1, 'ends in \\ "\r\nlevel=error event=forged'))
    assert ask_and_settle(hop)[3] == {"partial_success": 1}
    [line] = [line for line in hop.process.output().splitlines() if "event=export_partial" in line]
    assert line.endswith(r'reason="some were rejected: ends in \\ \"\r\nlevel=error event=forged" untold=0')


def test_what_is_no_answer_of_a_collector_is_remarked_and_counts_as_its_status_says(fleet, receiver_of):
    receiver = receiver_of()
    hop = hop_to(fleet, receiver.address)
    hop.start()
    rejected = receiver.partial(HANDFUL)[2]
    receiver.answers.append((200, {"Content-Encoding": "gzip"}, gzip.compress(rejected)))  # nobody asked for that: it is not read
    assert ask_and_settle(hop) == (HANDFUL, HANDFUL, 0, {})
    assert "export_partial" not in hop.process.output()
    receiver.answers.append((200, {"Content-Type": "text/html"}, b"<html>please log in</html>"))
    assert ask_and_settle(hop) == (2 * HANDFUL, 2 * HANDFUL, 0, {})
    assert "reason=\"the answer's body is none of OTLP: text/html\"" in hop.process.output()


def test_who_speaks_no_grpc_is_no_collector(fleet):
    hop = hop_to(fleet, fleet.backend(h2_reply(b"hello")).address, "grpc")
    hop.start()
    assert ask_and_settle(hop) == (HANDFUL, 0, 0, {"not_retryable": HANDFUL})
    assert 'reason="an answer without grpc-status"' in hop.process.output()


# --- locked in ---


def test_a_header_s_file_is_read_again_inside_the_sandbox(fleet, receiver_of):
    """Landlock, where this kernel has it, lets the process read no more than what its documents named at the start."""
    receiver = receiver_of()
    key = fleet.write("secrets/collector.key", "Bearer one\n")
    hop = hop_to(fleet, receiver.address, headers=[{"name": "authorization", "valueFile": str(key)}])
    hop.start()
    assert hop.page("/version")["hardening"]["landlock"] in ("enforced", "not supported")
    ask_and_settle(hop)
    assert {fields["authorization"] for fields in receiver.requests} == {"Bearer one"}
    fleet.write("secrets/fresh", "Bearer two\n")
    os.replace(key.parent / "fresh", key)
    eventually(lambda: hop.worker_generation() > 1, what="the file is read again")
    ask_and_settle(hop)
    assert receiver.requests[-1]["authorization"] == "Bearer two"
    for text in ("Bearer one", "Bearer two"):
        assert text not in hop.process.output()
    if hop.page("/version")["hardening"]["landlock"] != "enforced":
        return
    other = fleet.folder.parent / (fleet.folder.name + "-other")
    other.mkdir()
    try:
        (other / "key").write_text("Bearer three")
        hop.proxy["spec"]["telemetry"]["traces"]["headers"][0]["valueFile"] = str(other / "key")
        hop.write()
        status, answer = hop.post("/reload")
        assert status == 422 and f"{other}/" in answer["errors"][0], answer
    finally:
        shutil.rmtree(other)
    ask_and_settle(hop)
    assert receiver.requests[-1]["authorization"] == "Bearer two"
