"""The proxies that are compared, each with the configuration that its own documentation would have for the job: one worker or thread, no access
log, upstream connections kept and reused, the same limit of connections and the same cipher suite.

A peer can be put up in two shapes (Stack):
  hop   one proxy: plain HTTP/1.1 or h2c in, HTTP/1.1 to the backend
  pair  two proxies: HTTP/1.1 in, mutual TLS 1.3 between the two (both verify), HTTP/1.1 to the backend
Ours alone in further ones, two hops beside each other:
  routes  one with one route, one with a thousand
  chain   one as it is, one with the policies of a service in earnest, none of which ever has anything to say
  telemetry  one that tells nothing of requests, one as it is, one that traces a hundredth of them, one that traces and exports all
  scraped    one whose histograms a policy tells apart by a tenant, with the address of its /metrics
"""
import os
import signal

from machine import PROXY_CORE, family, pinned
from support.fleet import accepts, answers, take_port
from support.test_ca import spiffe_id

TRUST_DOMAIN = "bench.local"
ROUTES = 1000
CONNECTIONS = 8192
# Ours prefers it; left to themselves the peers would agree on AES-256, which costs more per byte and would flatter us.
CIPHERS = "TLS_AES_128_GCM_SHA256"


# All act at the caller, since the backend has no proxy of its own.
CHAIN = "".join(f"""
---
apiVersion: outrigger.dev/v1alpha1
kind: {kind}
metadata: {{name: backend, namespace: bench}}
spec:
  targetRefs: [{{kind: Service, name: backend}}]
{spec}""" for kind, spec in (
    ("AuthorizationPolicy", """  rules:
  - {name: ours, from: [{addresses: [127.0.0.0/8]}], matches: [{path: {type: PathPrefix, value: /}}]}
"""),
    ("RateLimitPolicy", """  rules:
  - {name: clients, key: [{type: ClientAddress}], limits: [{requests: 1000000, per: 1s}]}
"""),
    ("BulkheadPolicy", """  pools:
  - {name: all, maxConcurrent: 1000, maxQueue: 1000, queueTimeout: 1s}
"""),
    ("TrafficPolicy", """  timeouts: {request: 30s, backendRequest: 10s}
  deadline: {propagate: true}
  retry: {attempts: 2, conditions: [ConnectFailure, RefusedStream, Unsent, GatewayError], codes: [503]}
  circuitBreaker: {failureThreshold: 5, failurePercent: 50, window: 10s, openFor: 60s}
"""),
))


def identity(name):
    return spiffe_id("bench", name, TRUST_DOMAIN)


def dns_name(name):
    return f"{name}.{TRUST_DOMAIN}"


def telemetry_policy(fields):
    """What a proxy tells of requests to the backend, by a policy."""
    return f"""
---
apiVersion: outrigger.dev/v1alpha1
kind: TelemetryPolicy
metadata: {{name: backend, namespace: bench}}
spec:
  targetRefs: [{{kind: Service, name: backend}}]
{fields}"""


SILENT = telemetry_policy("""  metrics: {disabled: true}
  accessLog: {disabled: true}
""")
TENANTS = telemetry_policy("""  metrics: {labels: [{name: tenant, from: {type: Header, name: x-tenant}}]}
""")


def traced(site, share):
    """The backend takes what is exported, whatever it is."""
    return f"  telemetry: {{traces: {{endpoint: \"http://{at(site.backend)}\", sampling: {{numerator: 1, denominator: {share}}}}}}}\n"


class Stack:
    """A peer that runs: `processes` from the load's side to the backend's; ports: `http1`, `h2c` (hop), `tls` (pair: the second proxy's), `others`: of processes[1:], where it is several hops; `metrics`: of its
    page (scraped)."""

    def __init__(self, processes, http1, h2c=None, tls=None, others=(), metrics=None):
        self.processes, self.http1, self.h2c, self.tls, self.others, self.metrics = processes, http1, h2c, tls, others, metrics

    def pids(self):
        return [pid for process in self.processes for pid in family(process.pid)]


class Site:
    """Where a stack is put up: its fleet, the certificates, the backend's port and the connections that a proxy must allow."""

    def __init__(self, fleet, pki, backend, connections):
        self.fleet, self.pki, self.backend, self.connections = fleet, pki, backend, connections
        self.folder = fleet.folder

    def write(self, name, text):
        return self.fleet.write(name, text)

    def start(self, name, words, ready, exit_codes=(0,)):
        return self.fleet.start(name, pinned(PROXY_CORE, *words), ready, exit_codes=exit_codes)


def at(port):
    return f"127.0.0.1:{port}"


class Relay:
    """The floor: moves bytes, knows nothing."""
    name, title = "relay", "bare relay"

    def __init__(self, binaries):
        self.program = os.path.join(binaries, "bench-bare-relay")

    def hop(self, site):
        port = take_port()
        return Stack([site.start("relay", [self.program, port, site.backend], accepts(at(port)), (-signal.SIGTERM,))], port)


class Nginx:
    name, title = "nginx", "nginx"

    def _config(self, site, name, servers):
        folder = site.folder / name
        user = "user root;" if os.geteuid() == 0 else ""
        temporary = "\n".join(f"    {kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        return site.write(f"{name}/nginx.conf", f"""{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/pid;
error_log {folder}/error.log warn;
events {{ worker_connections {site.connections}; }}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_request_buffering off;
    proxy_max_temp_file_size 0;
{temporary}
{servers}
}}
""")

    def _start(self, site, name, servers, port):
        return site.start(name, ["nginx", "-c", self._config(site, name, servers)], accepts(at(port)))

    @staticmethod
    def _upstream(port):
        return f"upstream next {{ server 127.0.0.1:{port}; keepalive 128; keepalive_requests 1000000000; keepalive_timeout 1h; }}"

    def hop(self, site):
        http1, h2c = take_port(), take_port()
        servers = f"""
    {self._upstream(site.backend)}
    server {{ listen 127.0.0.1:{http1}; location / {{ proxy_pass http://next; }} }}
    server {{ listen 127.0.0.1:{h2c} http2; location / {{ proxy_pass http://next; }} }}"""
        return Stack([self._start(site, "nginx", servers, http1)], http1, h2c=h2c)

    def pair(self, site):
        http1, tls = take_port(), take_port()
        far = f"""
    {self._upstream(site.backend)}
    server {{
        listen 127.0.0.1:{tls} ssl;
        ssl_protocols TLSv1.3;
        ssl_conf_command Ciphersuites {CIPHERS};
        ssl_certificate {site.pki}/b.crt;
        ssl_certificate_key {site.pki}/b.key;
        ssl_client_certificate {site.pki}/ca.crt;
        ssl_verify_client on;
        location / {{ proxy_pass http://next; }}
    }}"""
        near = f"""
    {self._upstream(tls)}
    server {{
        listen 127.0.0.1:{http1};
        location / {{
            proxy_pass https://next;
            proxy_ssl_protocols TLSv1.3;
            proxy_ssl_conf_command Ciphersuites {CIPHERS};
            proxy_ssl_certificate {site.pki}/a.crt;
            proxy_ssl_certificate_key {site.pki}/a.key;
            proxy_ssl_trusted_certificate {site.pki}/ca.crt;
            proxy_ssl_verify on;
            proxy_ssl_name {dns_name('b')};
            proxy_ssl_server_name on;
        }}
    }}"""
        far_process = self._start(site, "nginx-b", far, tls)
        return Stack([self._start(site, "nginx-a", near, http1), far_process], http1, tls=tls)


class Haproxy:
    name, title = "haproxy", "HAProxy"

    def _start(self, site, name, sections, port):
        path = site.write(f"{name}.cfg", f"""
global
    nbthread 1
    maxconn {site.connections}
    ssl-default-bind-options ssl-min-ver TLSv1.3
    ssl-default-bind-ciphersuites {CIPHERS}
    ssl-default-server-options ssl-min-ver TLSv1.3
    ssl-default-server-ciphersuites {CIPHERS}
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout http-keep-alive 1h
    http-reuse always
{sections}
""")
        return site.start(name, ["haproxy", "-db", "-f", path], accepts(at(port)), (0, -signal.SIGTERM))

    def hop(self, site):
        http1, h2c = take_port(), take_port()
        sections = f"""
listen hop
    bind 127.0.0.1:{http1}
    bind 127.0.0.1:{h2c} proto h2
    server next 127.0.0.1:{site.backend}"""
        return Stack([self._start(site, "haproxy", sections, http1)], http1, h2c=h2c)

    def pair(self, site):
        http1, tls = take_port(), take_port()
        far = f"""
listen far
    bind 127.0.0.1:{tls} ssl crt {site.pki}/b.pem ca-file {site.pki}/ca.crt verify required alpn h2,http/1.1
    server next 127.0.0.1:{site.backend}"""
        near = f"""
listen near
    bind 127.0.0.1:{http1}
    server next 127.0.0.1:{tls} ssl crt {site.pki}/a.pem ca-file {site.pki}/ca.crt verify required verifyhost {dns_name('b')} sni str({dns_name('b')}) alpn h2"""
        far_process = self._start(site, "haproxy-b", far, tls)
        return Stack([self._start(site, "haproxy-a", near, http1), far_process], http1, tls=tls)


class Outrigger:
    name, title = "ours", "Outrigger"

    def __init__(self, binaries):
        self.program = os.path.join(binaries, "outrigger-proxy")

    @staticmethod
    def _proxy(site, name, listener, metrics):
        return f"""
apiVersion: outrigger.dev/v1alpha1
kind: Proxy
metadata: {{name: {name}, namespace: bench}}
spec:
  service: {name}
  workers: 1
  listeners:
  - {listener}
  admin: {{address: "{at(take_port())}"}}
  metrics: {{address: "{at(metrics)}"}}
  limits: {{connections: {site.connections}}}
"""

    @staticmethod
    def _entry(address, tls):
        return f"""
---
apiVersion: outrigger.dev/v1alpha1
kind: ServiceEntry
metadata: {{name: backend, namespace: bench}}
spec:
  hosts: [backend, "127.0.0.1"]
  ports: [{{name: http, port: 80, protocol: {'HTTP' if tls else 'HTTP1'}}}]
  resolution: Static
  tls: {{mode: {'Mesh' if tls else 'None'}}}
{'  identities: ["' + identity('b') + '"]' if tls else ''}
  endpoints:
  - {{address: "{address}"}}
"""

    @staticmethod
    def _identity(site, name):
        return f"  identity: {{source: Files, certificate: {site.pki}/{name}.crt, privateKey: {site.pki}/{name}.key, trustBundle: {site.pki}/ca.crt}}\n"

    def _start(self, site, name, listener, more, metrics=None):
        metrics = metrics or take_port()
        path = site.write(f"{name}/all.yaml", self._proxy(site, name, listener, metrics) + more)
        return site.start(name, [self.program, "--config", path.parent], answers(at(metrics)))

    def hop(self, site):
        port = take_port()
        listener = f'{{name: outbound, role: Outbound, address: "{at(port)}"}}'
        return Stack([self._start(site, "hop", listener, self._entry(at(site.backend), tls=False))], port, h2c=port)

    @staticmethod
    def _route(name, path):
        """One with five matches; requests for `path` go by the last of them."""
        matches = [f"{{path: {{type: Exact, value: {path}/exact}}}}", f"{{path: {{value: {path}}}, method: POST}}",
                   f"{{path: {{value: {path}}}, headers: [{{name: x-version, value: two}}]}}", f"{{path: {{value: {path}}}, queryParams: [{{name: v, value: two}}]}}",
                   f"{{path: {{value: {path}}}}}"]
        return f"""
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: bench}}
spec:
  parentRefs: [{{group: "", kind: Service, name: backend}}]
  rules: [{{matches: [{", ".join(matches)}], backendRefs: [{{name: backend, port: 80}}]}}]
"""

    def _hops(self, site, hops):
        """One hop for each (name, fields of its Proxy's spec, documents beside)."""
        ports, processes = [], []
        for name, fields, documents in hops:
            ports.append(take_port())
            listener = f'{{name: outbound, role: Outbound, address: "{at(ports[-1])}"}}'
            processes.append(self._start(site, name, listener, fields + self._entry(at(site.backend), tls=False) + documents))
        return Stack(processes, ports[0], others=ports[1:])

    def routes(self, site):
        own = self._route("own", "/1k")
        others = "".join(self._route(f"route-{number}", f"/part-{number}/of") for number in range(ROUTES - 1))
        return self._hops(site, [("one", "", own), ("many", "", own + others)])

    def chain(self, site):
        return self._hops(site, [("bare", "", ""), ("chained", "", CHAIN)])

    def telemetry(self, site):
        return self._hops(site, [("silent", "", SILENT), ("usual", "", ""), ("sampled", traced(site, 100), ""), ("traced", traced(site, 1), "")])

    def scraped(self, site):
        port, metrics = take_port(), take_port()
        listener = f'{{name: outbound, role: Outbound, address: "{at(port)}"}}'
        return Stack([self._start(site, "scraped", listener, self._entry(at(site.backend), tls=False) + TENANTS, metrics)], port, metrics=metrics)

    def pair(self, site):
        http1, tls = take_port(), take_port()
        inbound = f'{{name: inbound, role: Inbound, address: "{at(tls)}", forwardTo: "{at(site.backend)}", mtls: {{mode: Strict}}}}'
        outbound = f'{{name: outbound, role: Outbound, address: "{at(http1)}"}}'
        far = self._start(site, "b", inbound, self._identity(site, "b"))
        near = self._start(site, "a", outbound, self._identity(site, "a") + self._entry(at(tls), tls=True))
        return Stack([near, far], http1, tls=tls)


def all_peers(binaries):
    return [Outrigger(binaries), Nginx(), Haproxy(), Relay(binaries)]
