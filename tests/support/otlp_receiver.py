"""A strict receiver of OTLP for tests: HTTP (protobuf and JSON) or gRPC, decoded with what protoc makes of proxy/telemetry/proto. And what a proxy says of what it sent.

    receiver = OtlpReceiver("http/protobuf"); ... receiver.spans ... receiver.close()

What breaks a rule of the protocol is noted in `faults` and answered with 400. `answers` says what the next requests get, one each: a status, (status, fields, body), a
function of the request; "hang", "die". Then 200. A receiver can be stopped and started again at its port, as a collector is killed and comes back.
"""

import os

# grpcio's threads do not survive a fork; Fleet starts processes by one.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import base64
import concurrent.futures
import gzip
import http.server
import importlib
import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import grpc
from google.protobuf import json_format

from support.fleet import eventually, take_port

ROOT = Path(__file__).resolve().parent.parent.parent
PROTOS = ROOT / "proxy" / "telemetry" / "proto"
IDS = {"traceId": 32, "spanId": 16, "parentSpanId": 16}
# As variables name them, and as documents do.
PROTOCOLS = {"http/protobuf": "HTTPProtobuf", "http/json": "HTTPJSON", "grpc": "GRPC"}
SIGNALS = {"traces": ("ExportTraceServiceRequest", "resource_spans", "scope_spans", "spans", "trace.v1.TraceService"),
           "logs": ("ExportLogsServiceRequest", "resource_logs", "scope_logs", "log_records", "logs.v1.LogsService"),
           "metrics": ("ExportMetricsServiceRequest", "resource_metrics", "scope_metrics", "metrics", "metrics.v1.MetricsService")}


def generate():
    """The modules that protoc makes of our .proto files: `telemetry.proto.<name>_pb2`."""
    if "telemetry.proto.collector_pb2" not in sys.modules:
        folder = tempfile.TemporaryDirectory(prefix="outrigger-protos-")
        subprocess.run(["protoc", f"--proto_path={ROOT / 'proxy'}", f"--python_out={folder.name}", *sorted(PROTOS.glob("*.proto"))], check=True)
        sys.path.insert(0, folder.name)
        importlib.import_module("telemetry.proto.collector_pb2")
        importlib.import_module("telemetry.proto.status_pb2")
        sys.path.remove(folder.name)
        folder.cleanup()
    return sys.modules["telemetry.proto.collector_pb2"], sys.modules["telemetry.proto.status_pb2"]


class Fault(Exception):
    """A rule of the protocol is broken."""


def need(condition, text):
    if not condition:
        raise Fault(text)


def to_protobuf_json(value, name=""):
    """OTLP/JSON in the form that protobuf's own parser reads: ids as base64. Judges what is OTLP's own."""
    if isinstance(value, dict):
        for key in value:
            need(re.fullmatch(r"[a-z][a-zA-Z0-9]*", key), f"{key} is not lowerCamelCase")
        return {key: to_protobuf_json(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [to_protobuf_json(item, name) for item in value]
    if name in IDS:
        need(isinstance(value, str) and re.fullmatch(r"[0-9a-fA-F]{%d}" % IDS[name], value), f"{name} is no id: {value!r}")
        return base64.b64encode(bytes.fromhex(value)).decode()
    if name.endswith("UnixNano") or name == "intValue":
        need(isinstance(value, str), f"{name} is no text: {value!r}")
    if name in ("kind", "code", "severityNumber"):
        need(isinstance(value, int), f"{name} is no number: {value!r}")
    return value


def check_span(span):
    need(len(span.trace_id) == 16 and any(span.trace_id), "a trace id")
    need(len(span.span_id) == 8 and any(span.span_id), "a span id")
    need(len(span.parent_span_id) in (0, 8), "a parent's id")
    need(span.name != "" and span.kind != 0, "a name and a kind")
    need(0 < span.start_time_unix_nano <= span.end_time_unix_nano, "times")
    keys = [attribute.key for attribute in span.attributes]
    need(len(keys) == len(set(keys)) and "" not in keys, f"attributes once: {keys}")


class OtlpReceiver:
    """One signal's requests at a port of its own."""

    def __init__(self, protocol="http/protobuf", signal="traces", port=None, tls=None, sender="OTel-OTLP-Exporter-"):
        self.collector, self.status = generate()
        self.protocol, self.signal, self.port, self.tls, self.sender = protocol, signal, port or take_port(), tls, sender
        self.address = f"127.0.0.1:{self.port}"
        self.message, self.resources, self.scopes, self.records_name, self.service = SIGNALS[signal]
        self.lock = threading.Lock()
        self.records, self.origins, self.resource, self.scope = [], [], {}, None
        self.requests = []  # head fields of each, as a dict with lower-case names
        self.faults, self.answers = [], []
        self.released = threading.Event()
        self.server = None
        self.start()

    @property
    def spans(self):
        with self.lock:
            return list(self.records)

    def told(self):
        """Each record with the attributes of the resource that it came from."""
        with self.lock:
            return list(zip(self.origins, self.records))

    # --- life ---

    def start(self):
        self.released.clear()
        if self.protocol == "grpc":
            self.start_grpc()
        else:
            self.start_http()

    def stop(self):
        """Nobody is at the port any more, and whoever is connected is cut off."""
        self.released.set()
        if self.server is None:
            return
        if self.protocol == "grpc":
            self.server.stop(0).wait()
        else:
            self.server.shutdown()
            self.server.server_close()
            for connection in list(self.server.connections):
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self.server = None

    def close(self):
        self.stop()
        assert self.faults == []

    # --- a request ---

    def next_answer(self):
        with self.lock:
            return self.answers.pop(0) if self.answers else 200

    def decode(self, body, is_json):
        request = getattr(self.collector, self.message)()
        if is_json:
            json_format.ParseDict(to_protobuf_json(json.loads(body)), request)
        else:
            request.ParseFromString(body)
            need(not unknown(request), "fields that nobody knows")
        return request

    def check(self, request):
        """All records of it; no envelope may be empty."""
        found = []
        resources = getattr(request, self.resources)
        need(len(resources) == 1, "one resource")
        for resource in resources:
            attributes = {attribute.key: attribute.value.string_value for attribute in resource.resource.attributes}
            need(attributes.get("service.name") and attributes.get("telemetry.sdk.name"), f"a resource: {attributes}")
            scopes = getattr(resource, self.scopes)
            need(len(scopes) == 1, "one scope")
            for scope in scopes:
                need(scope.scope.name == "outrigger" and scope.scope.version, "a scope")
                records = list(getattr(scope, self.records_name))
                need(records, "records")
                found += records
            self.resource = attributes
        if self.signal == "traces":
            for span in found:
                check_span(span)
        return found

    def take(self, fields, body, is_json=False):
        """What a request gets: its answer. Its records count as taken where that is 200."""
        try:
            need(self.sender in fields.get("user-agent", ""), f"a user agent: {fields.get('user-agent')}")
            found = self.check(self.decode(body, is_json))
        except (Fault, ValueError, json_format.ParseError) as fault:
            self.faults.append(repr(fault))
            return 400
        answer = self.next_answer()
        if callable(answer):
            answer = answer(found)
        with self.lock:
            self.requests.append(fields)
            if answer == 200 or (isinstance(answer, tuple) and answer[0] == 200):
                self.records += found
                self.origins += [self.resource] * len(found)
        return answer

    def partial(self, rejected, message=""):
        """An answer that takes all but so many."""
        response = self.collector.ExportServiceResponse()
        response.partial_success.rejected = rejected
        response.partial_success.error_message = message
        body = json.dumps({"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": message}}).encode() if self.protocol == "http/json" \
            else response.SerializeToString()
        return (200, {}, body)

    # --- HTTP ---

    def start_http(self):
        receiver = self
        content_type = "application/json" if self.protocol == "http/json" else "application/x-protobuf"

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                fields = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(fields["content-length"]))
                try:
                    need(self.path == f"/v1/{receiver.signal}", f"the path {self.path}")
                    need(fields.get("content-type") == content_type, f"the content type {fields.get('content-type')}")
                    need(fields.get("content-encoding") in (None, "gzip"), "a content coding")
                    if "content-encoding" in fields:
                        body = gzip.decompress(body)
                    answer = receiver.take(fields, body, receiver.protocol == "http/json")
                except Fault as fault:
                    receiver.faults.append(repr(fault))
                    answer = 400
                self.reply(answer)

            def reply(self, answer):
                if answer == "hang":
                    receiver.released.wait()
                if answer in ("hang", "die"):
                    self.close_connection = True
                    return
                status, more, body = answer if isinstance(answer, tuple) else (answer, {}, b"{}" if receiver.protocol == "http/json" else b"")
                self.send_response(status)
                for name, value in {"Content-Type": content_type, "Content-Length": str(len(body)), **more}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            connections = set()

            def get_request(self):
                connection, address = super().get_request()
                self.connections.add(connection)
                if receiver.tls:
                    connection.settimeout(60)
                    connection = receiver.tls.wrap_socket(connection, server_side=True)
                return connection, address

            def handle_error(self, *_):
                pass  # whoever is cut off

        Server.connections = set()
        self.server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    # --- gRPC ---

    def start_grpc(self):
        def export(body, context):
            fields = dict(context.invocation_metadata())
            answer = self.take(fields, body)
            if answer == "hang":
                self.released.wait()
                answer = grpc.StatusCode.UNAVAILABLE
            if answer == "die":
                answer = grpc.StatusCode.UNAVAILABLE
            if isinstance(answer, tuple) and isinstance(answer[0], grpc.StatusCode):
                context.set_trailing_metadata(answer[1])
                context.abort(answer[0], "said so")
            if isinstance(answer, grpc.StatusCode):
                context.abort(answer, "said so")
            if answer == 400:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, self.faults[-1])
            return answer[2] if isinstance(answer, tuple) else b""

        handler = grpc.method_handlers_generic_handler(f"opentelemetry.proto.collector.{self.service}", {"Export": grpc.unary_unary_rpc_method_handler(export)})
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(8), handlers=[handler], options=[("grpc.so_reuseport", 0)])
        assert self.server.add_insecure_port(self.address) == self.port
        self.server.start()

    def retry_info(self, seconds):
        """The trailers that say when to come again."""
        info = self.status.RetryInfo()
        info.retry_delay.seconds = seconds
        info.retry_delay.nanos = 0
        status = self.status.Status(code=8, message="later")
        status.details.add(type_url="type.googleapis.com/google.rpc.RetryInfo", value=info.SerializeToString())
        return [("grpc-status-details-bin", status.SerializeToString())]


def unknown(message):
    """Whether the message, or one in it, has a field that its description has not."""
    if len(message.UnknownFields()) > 0:
        return True
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for item in value if field.label == field.LABEL_REPEATED else [value]:
                if unknown(item):
                    return True
    return False


# --- what the proxy says ---


def told(hop, signal="traces"):
    """made, exported, waiting, and what was dropped by its reason."""
    figures = hop.figures()
    one = {name: figures.get((f"outrigger_telemetry_records_{name}", (("signal", signal),)), 0) for name in ("total", "exported_total", "waiting")}
    dropped = {dict(labels)["reason"]: value for (name, labels), value in figures.items()
               if name == "outrigger_telemetry_records_dropped_total" and dict(labels)["signal"] == signal and value}
    assert one["total"] == one["exported_total"] + one["waiting"] + sum(dropped.values()), (one, dropped)
    return one["total"], one["exported_total"], one["waiting"], dropped


def settled(hop, made, signal="traces"):
    """The same once so many were made and none waits."""
    def look():
        figures = told(hop, signal)
        return figures if figures[0] == made and figures[2] == 0 else None
    return eventually(look, what=f"{made} records of {signal} are sent or dropped")


def ended(hop, signal):
    """made and exported, as a proxy that has ended said."""
    found = re.search(rf"event=export_ended signal={signal} made=(\d+) exported=(\d+)", hop.process.output())
    assert found, hop.process.output()[-2000:]
    return int(found[1]), int(found[2])
