"""A hop under test: one outrigger-proxy with an outbound and, if wanted, inbound listeners, its documents, its access log and its pages.

For tests: `hop = Hop(fleet, {"backend": [backend.address]})`, then requests for the host `backend` go to hop.address. Everything that is awaited here is awaited
by what the proxy itself says (log line, metric, admin page).
"""

import contextlib
import json
import signal
import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from support.fleet import eventually, http_get, take_port
from support.h2_peer import H2Client
from support.wire import Wire

API = "outrigger.dev/v1alpha1"


def service(name, endpoints, protocol="HTTP", port=80, hosts=None, tls=None, **spec):
    """A ServiceEntry; an endpoint is an address, or a mapping as the policy language has it."""
    endpoints = [{"address": endpoint} if isinstance(endpoint, str) else endpoint for endpoint in endpoints]
    return {"apiVersion": API, "kind": "ServiceEntry", "metadata": {"name": name},
            "spec": {"hosts": hosts or [name], "ports": [{"name": "main", "port": port, "protocol": protocol}], "tls": tls or {"mode": "None"},
                     "endpoints": endpoints, **spec}}


def traffic(target, **groups):
    """A TrafficPolicy for one service."""
    return {"apiVersion": API, "kind": "TrafficPolicy", "metadata": {"name": f"{target}-traffic"},
            "spec": {"targetRefs": [{"kind": "Service", "name": target}], **groups}}


class Hop:
    """`services`: name -> list of endpoints, or documents. `inbound`: name -> mapping over the defaults of an inbound listener. Everything else goes into the Proxy's spec."""

    def __init__(self, fleet, services=(), name="hop", protocol="HTTP", policies=(), inbound=None, outbound=True, start=True, **spec):
        self.fleet = fleet
        self.name = name
        self.access_log = fleet.folder / name / "access.log"
        self.admin = fleet.address()
        self.metrics = fleet.address()
        self.address = fleet.address() if outbound else None
        self.inbound = {listener: fleet.address() for listener in inbound or {}}
        listeners = [{"name": "outbound", "role": "Outbound", "address": self.address}] if outbound else []
        for listener, options in (inbound or {}).items():
            listeners.append({"name": listener, "role": "Inbound", "address": self.inbound[listener], "mtls": {"mode": "Disable"}, **options})
        self.token = "token-of-the-test"
        token_file = fleet.write(f"{name}.token", self.token + "\n")
        self.proxy = {"apiVersion": API, "kind": "Proxy", "metadata": {"name": name},
                      "spec": {"listeners": listeners, "admin": {"address": self.admin, "tokenFile": str(token_file)}, "metrics": {"address": self.metrics},
                               "telemetry": {"accessLog": {"path": str(self.access_log), "filter": "All"}}, **spec}}
        if isinstance(services, dict):
            services = [service(key, endpoints, protocol) for key, endpoints in services.items()]
        self.documents = [self.proxy, *services, *policies]
        self.process = None
        if start:
            self.start()

    def start(self, **options):
        self.process = self.fleet.proxy(self.name, self.documents, **options)
        return self.process

    @property
    def config(self):
        return self.fleet.folder / self.name / "config.yaml"

    # --- what it says ---

    def log(self):
        """The lines of the access log so far."""
        if not self.access_log.exists():
            return []
        text = self.access_log.read_text(encoding="utf-8")
        return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]

    def logged(self, count=1, **wanted):
        """The first `count` lines that have these values, once they are there; one line alone when count is 1."""
        def found():
            lines = [line for line in self.log() if all(line.get(key) == value for key, value in wanted.items())]
            return lines if len(lines) >= count else None
        lines = eventually(found, what=f"{count} log lines with {wanted}; last lines: {self.log()[-3:]}")
        return lines[0] if count == 1 else lines

    def figures(self):
        """All samples of /metrics: (name, labels as a sorted tuple) -> value."""
        status, body = http_get(self.metrics, "/metrics")
        assert status == 200, body
        return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value
                for family in text_string_to_metric_families(body.decode()) for sample in family.samples}

    def figure(self, name, **labels):
        """The sum of the samples of that name that have these labels."""
        return sum(value for (sample, found), value in self.figures().items() if sample == name and labels.items() <= dict(found).items())

    def page(self, path):
        """An admin page as the value that its JSON says."""
        status, body = http_get(self.admin, path)
        assert status == 200, body
        return json.loads(body)

    def post(self, path):
        """(status, value) of a POST to the admin listener, with its token."""
        request = urllib.request.Request(f"http://{self.admin}{path}", method="POST", data=b"", headers={"Authorization": f"Bearer {self.token}"})
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    # --- new documents ---

    def write(self, documents=None):
        """Puts documents into the file, the present ones unless given, and no more: the proxy finds them by itself or is told."""
        if documents is not None:
            self.documents = documents
        return self.fleet.write(f"{self.name}/config.yaml", self.documents)

    def generation(self):
        return self.figure("outrigger_config_generation")

    def reload(self, documents=None):
        """Writes, says SIGHUP, and returns once every worker works by a newer generation."""
        before = self.worker_generation()
        self.write(documents)
        self.process.signal(signal.SIGHUP)
        eventually(lambda: self.worker_generation() > before, what="a newer generation")

    def worker_generation(self):
        return self.figure("outrigger_worker_config_generation")

    def add_listener(self, name="more", role="Outbound", **options):
        """Adds a listener to the documents; returns its address. It is there after reload()."""
        address = f"127.0.0.1:{take_port()}"
        self.proxy["spec"]["listeners"].append({"name": name, "role": role, "address": address, **options})
        return address


@contextlib.contextmanager
def undisturbed(hop, host="witness"):
    """Two clients of an innocent service, over HTTP/1.1 and HTTP/2: what happens inside takes neither their connections nor their answers away."""
    with Wire(hop.address) as wire, H2Client(hop.address) as client:
        def ask():
            assert wire.get(host=host).response().status == 200
            assert client.get(authority=host).status == 200
        ask()
        yield
        ask()
