"""gRPC by python3-grpcio on both sides of a hop: all four kinds of call, deadlines, errors, metadata, large messages, cancelling; and what the proxy itself answers."""

import threading

import grpc
import pytest

from support.fleet import eventually, take_port
from support.grpc_echo import GrpcClient, GrpcServer, rounded_up, status
from support.h2_peer import H2Client, h2_server
from support.hop import Hop, traffic

OK = grpc.StatusCode.OK


@pytest.fixture(params=["GRPC", "HTTP"])
def pair(request, fleet):
    """(hop, server, client): the port says gRPC, or nothing, and the content type decides."""
    port = take_port()
    hop = Hop(fleet, {"backend": [f"127.0.0.1:{port}"]}, protocol=request.param)
    with GrpcServer(port) as server, GrpcClient(hop.address, "backend") as client:
        yield hop, server, client


def test_all_four_kinds_of_call(pair):
    hop, _, client = pair
    assert client.unary(b"hello") == b"hello"
    assert list(client.down(b"100")) == [b"%d" % number for number in range(100)]
    assert client.up(iter([b"x" * number for number in range(100)])) == b"100 4950"
    assert list(client.both(iter([b"%d" % number for number in range(100)]))) == [b"%d" % number for number in range(100)]
    hop.logged(4, end="ok", grpc_status=0, status=200)


def test_a_silent_call_is_no_attack_on_its_server(fleet):
    """gRPC servers count PINGs between their own messages and close on the fourth (too_many_pings): asked for a sign of life ever again, this one would end the call."""
    port = take_port()
    hop = Hop(fleet, {"backend": [f"127.0.0.1:{port}"]}, protocol="GRPC", policies=[traffic("backend", connections={"keepalive": "50ms"})])
    with GrpcServer(port) as server, GrpcClient(hop.address, "backend") as client:
        call = client.unary.future(b"x", metadata=(("wait", "1"),))
        assert not server.ended.wait(2)
        server.release.set()
        assert call.result() == b"x"
    assert hop.logged(end="ok", grpc_status=0)["attempts"] == 1


def test_messages_go_to_and_fro_while_both_sides_are_open(pair):
    _, _, client = pair
    answered = [threading.Event() for _ in range(20)]

    def talk():
        for number, event in enumerate(answered):
            yield b"%d" % number
            event.wait(60)
    for number, answer in enumerate(client.both(talk())):
        assert answer == b"%d" % number
        answered[number].set()


def test_metadata_go_both_ways(pair):
    _, server, client = pair
    answer, call = client.unary.with_call(b"x", metadata=(("x-text", "a b"), ("x-bits-bin", b"\x00\xff\x80"), ("x-twice", "1"), ("x-twice", "2")))
    assert answer == b"x"
    seen = server.calls[0][0]
    assert (seen["x-text"], seen["x-bits-bin"]) == ("a b", b"\x00\xff\x80")
    initial, trailing = dict(call.initial_metadata()), dict(call.trailing_metadata())
    assert (initial["initial"], initial["initial-bin"]) == ("1", b"\x00\xff")
    assert (trailing["trailing"], trailing["trailing-bin"]) == ("2", b"\xff\x00")


def test_errors_of_the_server_arrive_as_they_are(pair):
    hop, _, client = pair
    for code in grpc.StatusCode:
        if code == OK:
            continue
        found, details, trailing = status(client.unary, b"x", metadata=(("fail", code.name), ("reason", "why % ?")))
        assert (found, details, trailing["trailing"]) == (code, "why % ?", "2")
        hop.logged(grpc_status=code.value[0], end="ok", attempts=1)


def test_an_error_in_the_middle_of_a_stream(pair):
    _, _, client = pair
    call = client.both(iter([b"1", b"2"]), metadata=(("fail", "DATA_LOSS"),))
    with pytest.raises(grpc.RpcError) as caught:
        list(call)
    assert caught.value.code() == grpc.StatusCode.DATA_LOSS


def test_a_method_that_is_not_there(pair):
    assert status(pair[2].absent, b"x")[0] == grpc.StatusCode.UNIMPLEMENTED


def test_large_messages(pair):
    _, _, client = pair
    message = bytes(range(256)) * 32768  # 8 MiB
    assert client.unary(message) == message
    assert client.up(iter([message] * 4)) == b"4 %d" % (4 * len(message))


def test_a_deadline_goes_on_as_what_remains(pair):
    _, server, client = pair
    assert client.unary(b"x", timeout=1000) == b"x"
    assert 0 < server.calls[0][1] <= rounded_up(1000)
    assert client.unary(b"x") == b"x"
    assert server.calls[1][1] is None or server.calls[1][1] > 1e6


def test_a_deadline_that_passes_ends_the_call_on_both_sides(pair):
    hop, server, client = pair
    assert client.unary(b"warm") == b"warm"
    server.ended.clear()
    assert status(client.unary, b"x", timeout=0.3, metadata=(("wait", "1"),))[0] == grpc.StatusCode.DEADLINE_EXCEEDED
    # On a busy machine the time may be over before the server saw the call.
    eventually(lambda: server.ended.is_set() or len(server.calls) == 1, what="the server being told")
    server.release.set()
    # Whoever notices first: the proxy, the client, or the server, whose answer is then one like any other.
    line = eventually(lambda: [line for line in hop.log() if line["end"] in ("deadline_expired", "request_timeout", "client_gone") or line.get("grpc_status") == 4])[0]
    assert line["path"] == "/test.Echo/Unary"


def test_a_call_that_is_cancelled_is_cancelled_on_the_server(pair):
    hop, server, client = pair
    call = client.unary.future(b"x", metadata=(("wait", "1"),))
    eventually(lambda: server.calls)
    call.cancel()
    assert server.ended.wait(60), "the server is told"
    hop.logged(end="client_gone")
    server.release.set()
    assert client.unary(b"y") == b"y"


def test_a_stream_that_is_cancelled_in_the_middle(pair):
    hop, _, client = pair
    held = threading.Event()

    def talk():
        yield b"1"
        held.wait(60)
    call = client.both(talk())
    assert next(call) == b"1"
    call.cancel()
    hop.logged(end="client_gone")
    held.set()


def test_many_calls_at_a_time(pair):
    hop, _, client = pair
    futures = [client.unary.future(b"%d" % number) for number in range(300)]
    assert [future.result(60) for future in futures] == [b"%d" % number for number in range(300)]
    assert hop.figure("outrigger_streams_total") == 300


# --- what the proxy itself answers ---

def test_errors_of_the_proxy_are_grpc_errors(fleet):
    hop = Hop(fleet, {"backend": [fleet.address()]}, protocol="GRPC")
    with GrpcClient(hop.address, "backend") as client:
        code, details, trailing = status(client.unary, b"x")
        assert code == grpc.StatusCode.UNAVAILABLE and "connect_refused" in details
        assert "connection_refused" in trailing["proxy-status"]
    with GrpcClient(hop.address, "nobody") as client:
        code, details, _ = status(client.down(b"1").__next__)
        assert code == grpc.StatusCode.UNAVAILABLE and "host_unknown" in details
    hop.logged(end="connect_refused", grpc_status=14, status=200)
    hop.logged(end="host_unknown", grpc_status=14, status=200)


def test_a_timeout_of_the_policy_is_deadline_exceeded(fleet):
    port = take_port()
    hop = Hop(fleet, {"backend": [f"127.0.0.1:{port}"]}, protocol="GRPC", policies=[traffic("backend", timeouts={"request": "200ms"})])
    with GrpcServer(port) as server, GrpcClient(hop.address, "backend") as client:
        # The server was told the time too: either of the two says so first.
        assert status(client.unary, b"x", metadata=(("wait", "1"),))[0] == grpc.StatusCode.DEADLINE_EXCEEDED
        assert server.calls[0][1] <= 0.2, "the server knows the time that is left"
    hop.logged(grpc_status=4)


def test_a_timeout_in_the_middle_of_a_response_is_said_by_trailers(fleet):
    def answer(server, request):
        server.send_head(request.stream, [(":status", "200"), ("content-type", "application/grpc")])
        server.send_body(request.stream, b"\0\0\0\0\x07message", end=False)
    hop = Hop(fleet, {"backend": [fleet.backend(h2_server(answer)).address]}, protocol="GRPC", policies=[traffic("backend", timeouts={"request": "300ms"})])
    with GrpcClient(hop.address, "backend") as client:
        code, details, _ = status(list, client.down(b"1"))
        assert code == grpc.StatusCode.DEADLINE_EXCEEDED and "request_timeout" in details
    hop.logged(end="request_timeout", grpc_status=4, status=200)


def test_a_deadline_that_has_passed_is_answered_at_once(fleet):
    backend = fleet.backend(h2_server(lambda server, request: server.respond(request.stream)))
    hop = Hop(fleet, {"backend": [backend.address]}, protocol="GRPC")
    with H2Client(hop.address) as client:
        answer = client.post(b"", "/x/y", headers=[("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "1n")])
        assert (answer.status, answer.header("grpc-status")) == (200, "4")
    assert backend.requests == []
    hop.logged(end="deadline_expired")


def test_a_server_that_dies_in_the_middle_of_a_stream_is_unavailable(fleet):
    def answer(server, request):
        server.send_head(request.stream, [(":status", "200"), ("content-type", "application/grpc")])
        server.send_body(request.stream, b"\0\0\0\0\x07message", end=False)
        server.connection.end()
    hop = Hop(fleet, {"backend": [fleet.backend(h2_server(answer)).address]}, protocol="GRPC")
    with GrpcClient(hop.address, "backend") as client:
        call = client.down(b"1")
        assert next(call) == b"message"
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE and "response_incomplete" in caught.value.details()
    hop.logged(end="response_incomplete", grpc_status=14, status=200)
