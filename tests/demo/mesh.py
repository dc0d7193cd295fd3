"""The demo's mesh: the applications of the course platform, each beside its own sidecar, with certificates made on the spot."""

import signal
import sys
from pathlib import Path

from support.fleet import WORKERS, Fleet, accepts, eventually, http_get, take_port
from support.secret_volume import SecretVolume
from support.test_ca import Authority, spiffe_id

APPS = Path(__file__).with_name("apps.py")
NAMESPACE = "school"
API = "outrigger.dev/v1alpha1"
REPLICAS = ("frontend", "auth", "courses-1", "courses-2", "progress")


def service_of(replica):
    return replica.split("-")[0]


class Sidecar:
    """One application and the proxy beside it: their ports, files and processes."""

    def __init__(self, mesh, name):
        self.mesh, self.name, self.service = mesh, name, service_of(name)
        self.identity = spiffe_id(NAMESPACE, self.service)
        self.app_port, self.inbound, self.outbound, self.admin, self.metrics = (take_port() for _ in range(5))
        self.grpc_port, self.grpc_inbound = (take_port(), take_port()) if self.service == "progress" else (None, None)
        self.certificates = SecretVolume(mesh.fleet.folder / name / "certs")
        self.app = self.proxy = None
        self.rotate()

    def rotate(self):
        """A new key and certificate, put in place as Kubernetes does it: one symbolic link is swapped."""
        svid = self.mesh.authority.issue(self.identity)
        self.certificates.publish({"tls.crt": svid.certificate_pem, "tls.key": svid.key_pem, "ca.crt": self.mesh.authority.bundle_pem})

    def documents(self):
        # The frontend is what people reach without a certificate; everything behind it takes mutual TLS alone.
        mode = "Disable" if self.service == "frontend" else "Strict"
        listeners = [
            {"name": "inbound", "role": "Inbound", "address": f"127.0.0.1:{self.inbound}", "forwardTo": f"127.0.0.1:{self.app_port}", "mtls": {"mode": mode}},
            {"name": "outbound", "role": "Outbound", "address": f"127.0.0.1:{self.outbound}"},
        ]
        if self.grpc_port:
            listeners.append({"name": "grpc", "role": "Inbound", "address": f"127.0.0.1:{self.grpc_inbound}",
                              "forwardTo": f"127.0.0.1:{self.grpc_port}", "mtls": {"mode": "Strict"}, "appProtocol": "HTTP2"})
        spec = {
            "service": self.service, "workers": WORKERS, "listeners": listeners,
            "admin": {"address": f"127.0.0.1:{self.admin}"}, "metrics": {"address": f"127.0.0.1:{self.metrics}"},
            "identity": {"source": "Files", "certificate": str(self.certificates / "tls.crt"), "privateKey": str(self.certificates / "tls.key"),
                         "trustBundle": str(self.certificates / "ca.crt")},
            "limits": {"drainTimeout": "10s"},
            "telemetry": {"traces": {"endpoint": f"http://{self.mesh.collector}", "batch": {"scheduleDelay": "200ms"}}},
        }
        proxy = {"apiVersion": API, "kind": "Proxy", "metadata": {"name": self.name, "namespace": NAMESPACE}, "spec": spec}
        return [proxy, *self.mesh.services(), *self.mesh.policies]

    def reload(self):
        """Puts the documents of now in the place of those before; returns once the proxy works by them."""
        before = self.generation()
        self.mesh.fleet.write(f"sidecar-{self.name}/config.yaml", self.documents())
        self.proxy.signal(signal.SIGHUP)
        eventually(lambda: self.generation() > before, what=f"{self.name} working by its new documents")

    def generation(self):
        text = http_get(f"127.0.0.1:{self.metrics}", "/metrics")[1].decode()
        return next(float(line.split(" ")[1]) for line in text.splitlines() if line.startswith("outrigger_worker_config_generation "))

    def start(self):
        words = [self.app_port] + ([self.grpc_port] if self.grpc_port else [])
        environment = {"http_proxy": f"http://127.0.0.1:{self.outbound}", "no_proxy": "", "SIDECAR": f"127.0.0.1:{self.outbound}"}
        self.app = self.mesh.fleet.start(f"app-{self.name}", [sys.executable, APPS, self.name, *words], accepts(f"127.0.0.1:{self.app_port}"), environment)
        self.proxy = self.mesh.fleet.proxy(f"sidecar-{self.name}", self.documents())

    def stop(self):
        """As a pod ends: the sidecar drains first, then the application goes."""
        self.proxy.stop()
        self.app.stop()


class Mesh:
    def __init__(self, fleet: Fleet, collector):
        self.fleet, self.collector = fleet, collector
        self.authority = Authority("school.local")
        self.policies = []
        self.sidecars = {name: Sidecar(self, name) for name in REPLICAS}

    def services(self):
        """What every sidecar knows: the services, by name, with the identity that must answer."""
        documents = []
        for service in ("auth", "courses", "progress"):
            replicas = [sidecar for sidecar in self.sidecars.values() if sidecar.service == service]
            documents.append(self.entry(service, service, "HTTP", [replica.inbound for replica in replicas]))
        documents.append(self.entry("ranking", "progress", "GRPC", [self.sidecars["progress"].grpc_inbound]))
        documents.append({"apiVersion": API, "kind": "TrafficPolicy", "metadata": {"name": "school", "namespace": NAMESPACE},
                          "spec": {"targetRefs": [{"kind": "Namespace", "group": "", "name": NAMESPACE}], "timeouts": {"request": "5s"}}})
        return documents

    @staticmethod
    def entry(name, account, protocol, ports):
        return {"apiVersion": API, "kind": "ServiceEntry", "metadata": {"name": name, "namespace": NAMESPACE},
                "spec": {"hosts": [name], "ports": [{"name": protocol.lower(), "port": 80, "protocol": protocol}], "resolution": "Static",
                         "tls": {"mode": "Mesh"}, "identities": [spiffe_id(NAMESPACE, account)],
                         "endpoints": [{"address": f"127.0.0.1:{port}"} for port in ports]}}

    def start(self):
        for sidecar in self.sidecars.values():
            sidecar.start()

    def apply(self, policies):
        """Beside what every sidecar has: those that run read it, the others when they start."""
        self.policies = policies
        for sidecar in self.sidecars.values():
            if sidecar.proxy.running():
                sidecar.reload()

    @property
    def frontend(self):
        return f"127.0.0.1:{self.sidecars['frontend'].inbound}"
