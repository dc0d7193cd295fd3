"""A gRPC service without generated code, for tests: all four kinds of call over plain bytes, on python3-grpcio as client and server.

    with GrpcServer(port) as server, GrpcClient(hop.address, "backend") as client:
        client.unary(b"x")
"""

import os

# grpcio's threads do not survive a fork; Fleet starts processes by one.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import concurrent.futures
import threading

import grpc

SERVICE = "test.Echo"
LARGE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def rounded_up(timeout):
    """The most that gRPC's own client says when it is given `timeout`: it writes few digits and rounds up, by a hundredth at most."""
    return timeout * 1.01


class GrpcServer:
    """Unary: the request back, or as its metadata say (`fail`: a status code's name; `wait`: until released). Seen metadata and the time that remained are kept in `calls`; `ended` is set
    once any call is over."""

    def __init__(self, port, script=None, max_streams=None):
        self.port = port
        self.address = f"127.0.0.1:{port}"
        self.script = script
        self.calls = []
        self.ended = threading.Event()
        self.release = threading.Event()
        options = LARGE + ([("grpc.max_concurrent_streams", max_streams)] if max_streams else [])
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(16), options=options)
        handlers = {"Unary": grpc.unary_unary_rpc_method_handler(self.unary), "Down": grpc.unary_stream_rpc_method_handler(self.down),
                    "Up": grpc.stream_unary_rpc_method_handler(self.up), "Both": grpc.stream_stream_rpc_method_handler(self.both)}
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        bound = self.server.add_insecure_port(self.address)
        assert bound == port

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *_):
        self.release.set()
        self.server.stop(None).wait()

    def begin(self, context):
        metadata = dict(context.invocation_metadata())
        self.calls.append((metadata, context.time_remaining()))
        if not context.add_callback(self.ended.set):
            self.ended.set()  # it is over already: none will come
        context.send_initial_metadata((("initial", "1"), ("initial-bin", b"\x00\xff")))
        context.set_trailing_metadata((("trailing", "2"), ("trailing-bin", b"\xff\x00")))
        if "wait" in metadata:
            self.release.wait(60)
        if "fail" in metadata:
            context.abort(grpc.StatusCode[metadata["fail"]], metadata.get("reason", "as told"))

    def unary(self, request, context):
        self.begin(context)
        return request

    def down(self, request, context):
        """As many messages as the request says, each with its number."""
        self.begin(context)
        for number in range(int(request)):
            yield b"%d" % number

    def up(self, requests, context):
        """The number of messages and of bytes."""
        self.begin(context)
        sizes = [len(request) for request in requests]
        return b"%d %d" % (len(sizes), sum(sizes))

    def both(self, requests, context):
        self.begin(context)
        for request in requests:
            yield request


class GrpcClient:
    def __init__(self, address, authority, credentials=None, options=()):
        options = [*LARGE, ("grpc.default_authority", authority), ("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1), *options]
        self.channel = grpc.secure_channel(address, credentials, options) if credentials else grpc.insecure_channel(address, options)
        self.unary = self.channel.unary_unary(f"/{SERVICE}/Unary")
        self.down = self.channel.unary_stream(f"/{SERVICE}/Down")
        self.up = self.channel.stream_unary(f"/{SERVICE}/Up")
        self.both = self.channel.stream_stream(f"/{SERVICE}/Both")
        self.absent = self.channel.unary_unary(f"/{SERVICE}/Absent")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()


def status(call, *arguments, **options):
    """(code, details, trailing metadata) of a call that fails; (OK, ...) of one that does not."""
    try:
        call(*arguments, **options)
    except grpc.RpcError as error:
        return error.code(), error.details(), dict(error.trailing_metadata() or ())
    return grpc.StatusCode.OK, "", {}
