"""One trace through the demo's mesh: a browser's request that three services have a part in, with a stumble on its way, told by the sidecars alone and printed as a tree."""

import http.client
import os

from mesh import API, NAMESPACE
from support.fleet import eventually, split_address

SERVER, CLIENT = 2, 3
KINDS = {SERVER: "server", CLIENT: "client"}
ERROR = 2
STUDENT = "ada"

POLICY = {"apiVersion": API, "kind": "TrafficPolicy", "metadata": {"name": "progress-demo", "namespace": NAMESPACE},
          "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": "progress"}], "retry": {"attempts": 2, "codes": [503], "budget": {"percent": 100, "minPerSecond": 100}}}}


class Span:
    """One of a trace, and whose sidecar has told of it."""

    def __init__(self, service, told):
        self.service, self.told = service, told
        self.id, self.parent = told.span_id.hex(), told.parent_span_id.hex()
        self.attributes = {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in told.attributes}
        self.events = [event.name for event in told.events]
        self.children = []

    def __str__(self):
        took = (self.told.end_time_unix_nano - self.told.start_time_unix_nano) / 1e6
        words = [self.told.name, KINDS[self.told.kind], str(self.attributes.get("http.response.status_code", self.attributes.get("error.type")))]
        if "http.request.resend_count" in self.attributes:
            words.append(f"try {self.attributes['http.request.resend_count'] + 1}")
        if self.told.status.code == ERROR:
            words.append("error")
        return f"{self.service}: {' '.join(words)}, {took:.1f} ms"


def tree_of(spans):
    """The roots, each with its children in their order."""
    by_id = {span.id: span for span in spans}
    roots = []
    for span in sorted(spans, key=lambda span: span.told.start_time_unix_nano):
        (by_id[span.parent].children if span.parent in by_id else roots).append(span)
    return roots


def show(span, begin, indent="      | "):
    at = (span.told.start_time_unix_nano - begin) / 1e6
    print(f"{indent}{at:7.1f} ms  {span}")
    for event in span.told.events:
        words = ", ".join(f"{each.key}={getattr(each.value, each.value.WhichOneof('value'))}" for each in event.attributes)
        print(f"{indent}{(event.time_unix_nano - begin) / 1e6:7.1f} ms    {event.name}{': ' if words else ''}{words}")
    for child in span.children:
        show(child, begin, indent + "   ")


class Traces:
    def __init__(self, mesh, receiver, check):
        self.mesh, self.receiver, self.check = mesh, receiver, check

    def spans(self, trace_id):
        return [Span(resource["service.name"], span) for resource, span in self.receiver.told() if span.trace_id.hex() == trace_id]

    def ask(self, path, traceparent):
        connection = http.client.HTTPConnection(*split_address(self.mesh.frontend), timeout=30)
        try:
            connection.request("GET", path, headers={"traceparent": traceparent})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def show(self):
        print("\nA browser asks for a course with the progress of a student; progress stumbles once, and courses' sidecar tries again:")
        progress, frontend = self.mesh.sidecars["progress"], self.mesh.sidecars["frontend"]
        self.mesh.apply([*self.mesh.policies, POLICY])
        for method, path, body in (("PUT", f"/progress/{STUDENT}", b'{"course": 1}'), ("PUT", "/stumble/1", None)):
            connection = http.client.HTTPConnection("127.0.0.1", progress.app_port, timeout=30)
            connection.request(method, path, body)
            assert connection.getresponse().status == 200
            connection.close()
        trace_id, browser = os.urandom(16).hex(), os.urandom(8).hex()
        status, body = self.ask(f"/browse/1/of/{STUDENT}", f"00-{trace_id}-{browser}-01")
        self.check(status == 200, f"it gets its page: {body.decode().strip()[:100]}")
        spans = eventually(lambda: len(self.spans(trace_id)) >= 7 and self.spans(trace_id), what="all spans having come")
        roots = tree_of(spans)
        for root in roots:
            show(root, root.told.start_time_unix_nano)
        self.judge(roots, browser, frontend)

    def judge(self, roots, browser, frontend):
        root, = roots
        way = [root]
        while len(way[-1].children) == 1:
            way.append(way[-1].children[0])
        tries = way[-1].children
        self.check(root.parent == browser and [(span.service, span.told.kind) for span in way] ==
                   [(frontend.service, SERVER), (frontend.service, CLIENT), ("courses", SERVER)], "the spans hang together from the browser to courses")
        self.check([(span.service, span.told.kind, span.attributes.get("http.response.status_code")) for span in tries] ==
                   [("courses", CLIENT, 503), ("courses", CLIENT, 200)], "courses' sidecar tried progress twice: 503, then 200")
        self.check([span.told.status.code == ERROR for span in tries] == [True, False] and tries[1].attributes.get("http.request.resend_count") == 1 and
                   [link.span_id.hex() for link in tries[1].told.links] == [tries[0].id], "the first is an error, the second says that it is a retry, and of what")
        self.check([[(span.service, span.told.kind) for span in each.children] for each in tries] == [[("progress", SERVER)]] * 2, "below each is what progress made of it")
        self.check(any("retr" in name for name in tries[0].events + tries[1].events), "and an event tells why")
