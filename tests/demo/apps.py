"""The course platform's applications: small stand-ins that know nothing of a mesh. `apps.py NAME PORT [GRPC_PORT]` runs one until it is stopped.

They speak plain HTTP/1.1 (and gRPC in clear text), listen on loopback, and call each other by name through whatever `http_proxy` says. Of traces they
know that some headers of a request are to be copied to those that it causes.
"""

import json
import os
import signal
import sys
import threading
import urllib.request
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COURSES = {"1": "Sailing for beginners", "2": "Knots", "3": "Reading the wind"}
TIMEOUT_S = 10
TRACE_HEADERS = ("traceparent", "tracestate", "baggage")


class Handler(BaseHTTPRequestHandler):
    """One request; `routes` of a subclass: (method, first path segment) -> function(handler, rest of the path, body) -> (status, object)."""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body leave in two writes: the second must not wait for the first one's acknowledgement
    server_version = "course-platform"
    routes = {}

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        _, first, rest = (self.path + "/").split("/", 2)
        route = self.routes.get((self.command, first))
        status, value = route(self, rest.strip("/"), body) if route else (404, {"error": "no such page"})
        text = json.dumps({"served_by": self.server.name, **value}).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = answer

    def log_message(self, *_words):
        pass


def caller(handler):
    """Who called, as the mesh tells: from the client's certificate."""
    return {"caller": handler.headers.get("x-forwarded-client-cert", "unknown")}


class Courses(Handler):
    mood = "fine"

    @staticmethod
    def browse(handler, rest, _body):
        if Courses.mood == "broken":
            return 503, {"error": "not now"}
        if not rest:
            return 200, {"courses": COURSES, **caller(handler)}
        course, _, student = rest.partition("/of/")
        if course in COURSES and student:
            return 200, {"course": COURSES[course], **call("GET", f"http://progress/progress/{student}", handler)}
        if course in COURSES:
            return 200, {"course": COURSES[course], **caller(handler)}
        return 404, {"error": "no such course"}

    @staticmethod
    def feel(_handler, rest, _body):
        Courses.mood = rest
        return 200, {"mood": rest}

    routes = {("GET", "courses"): browse, ("PUT", "mood"): feel}


class Auth(Handler):
    @staticmethod
    def login(handler, _rest, body):
        user = json.loads(body or b"{}").get("user")
        return (200, {"token": f"token-of-{user}", **caller(handler)}) if user else (400, {"error": "who are you?"})

    routes = {("POST", "login"): login}


class Progress(Handler):
    saved = {}
    stumbles = 0
    may_report = threading.Event()
    may_report.set()

    @staticmethod
    def save(handler, rest, body):
        Progress.saved[rest] = json.loads(body)
        return 200, {"saved": rest, **caller(handler)}

    @staticmethod
    def load(_handler, rest, _body):
        if Progress.stumbles > 0:
            Progress.stumbles -= 1
            return 503, {"error": "not now"}
        return (200, {"progress": Progress.saved[rest]}) if rest in Progress.saved else (404, {"error": "nothing saved"})

    @staticmethod
    def stumble(_handler, rest, _body):
        Progress.stumbles = int(rest)
        return 200, {"stumbles": rest}

    @staticmethod
    def report(_handler, _rest, _body):
        Progress.may_report.wait()
        return 200, {"report": len(Progress.saved)}

    @staticmethod
    def pace(_handler, rest, _body):
        (Progress.may_report.clear if rest == "hold" else Progress.may_report.set)()
        return 200, {"reports": rest}

    routes = {("PUT", "progress"): save, ("GET", "progress"): load, ("GET", "reports"): report, ("PUT", "reports"): pace,
              ("PUT", "stumble"): stumble}


def traced(handler):
    return {name: handler.headers[name] for name in TRACE_HEADERS if name in handler.headers}


def call(method, url, handler, value=None):
    """A call to another service, by its name, for the request of `handler`: the sidecar that http_proxy names does the rest."""
    data = json.dumps(value).encode() if value is not None else None
    request = urllib.request.Request(url, data=data, headers=traced(handler), method=method)
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        return json.load(response)


class Frontend(Handler):
    @staticmethod
    def browse(handler, rest, _body):
        return 200, {"page": call("GET", f"http://courses/courses/{rest}".rstrip("/"), handler)}

    @staticmethod
    def login(handler, _rest, body):
        return 200, {"page": call("POST", "http://auth/login", handler, json.loads(body))}

    @staticmethod
    def save(handler, rest, body):
        call("PUT", f"http://progress/progress/{rest}", handler, json.loads(body))
        return 200, {"page": call("GET", f"http://progress/progress/{rest}", handler)}

    @staticmethod
    def rank(handler, rest, _body):
        return 200, {"rank": grpc_rank(rest, handler)}

    routes = {("GET", "browse"): browse, ("POST", "login"): login, ("PUT", "save"): save, ("GET", "rank"): rank}


RANK = "/school.Ranking/Rank"


def grpc_rank(user, handler):
    """A gRPC call to `ranking`, through the sidecar: its address is where to connect, the service's name is the authority."""
    import grpc
    with grpc.insecure_channel(os.environ["SIDECAR"], options=[("grpc.default_authority", "ranking"), ("grpc.enable_http_proxy", 0)]) as channel:
        rank = channel.unary_unary(RANK, request_serializer=str.encode, response_deserializer=bytes.decode)
        return rank(user, timeout=TIMEOUT_S, metadata=tuple(traced(handler).items()))


def grpc_serve(port):
    import grpc

    def rank(request, _context):
        return b"%s is number %d" % (request, len(request))

    class Ranking(grpc.GenericRpcHandler):
        def service(self, details):
            return grpc.unary_unary_rpc_method_handler(rank) if details.method == RANK else None

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4), handlers=[Ranking()])
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server


APPLICATIONS = {"courses": Courses, "auth": Auth, "progress": Progress, "frontend": Frontend}


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main():
    name, port = sys.argv[1], int(sys.argv[2])
    grpc_server = grpc_serve(int(sys.argv[3])) if len(sys.argv) > 3 else None
    server = Server(("127.0.0.1", port), APPLICATIONS[name.split("-")[0]])
    server.name = name
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.05)
    if grpc_server:
        grpc_server.stop(None)


if __name__ == "__main__":
    main()
