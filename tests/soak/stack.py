"""What the soaks run on: sidecars with certificates of one authority, an application behind them, and the load before them.

    near = stack.caller([far.inbound])         outbound listener; `backend` is the service that it knows
    far = stack.callee("far", backend_port)    inbound listener, mutual TLS, forwards to the application

Like everything that starts processes they are the fleet's: stopped at its end, their exit codes and sanitizers' reports judged.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from measure import CpuWatch
from machine import LOAD_CORE, PROXY_CORE, pinned
from support.fleet import accepts, answers, http_get, take_port
from support.hop import API, service
from support.secret_volume import SecretVolume
from support.test_ca import Authority, spiffe_id

NAMESPACE = "default"
TRUST_DOMAIN = "soak.local"
MESH = {"mode": "Mesh"}
APPLICATION = Path(__file__).with_name("application.py")


class SoakFailure(AssertionError):
    """Something that a soak must show did not hold."""


class NotHere(Exception):
    """This machine lacks what a soak needs."""


def at(port):
    return f"127.0.0.1:{port}"


def listener(name, port, to=None, mode="Strict", **more):
    """An inbound listener, or with no `to` an outbound one."""
    place = {"name": name, "role": "Inbound" if to else "Outbound", "address": at(port)}
    return {**place, "forwardTo": to, "mtls": {"mode": mode}, **more} if to else {**place, **more}


class Sidecar:
    """One proxy with a folder of documents that is rewritten whole, and a volume of certificates. Its ports stay the same over restarts."""

    def __init__(self, stack, name, account, listeners, documents=(), **spec):
        self.stack, self.name, self.account = stack, name, account
        self.admin, self.metrics = take_port(), take_port()
        self.spec = spec
        self.generation = 0
        self.process = None
        self.certificates = SecretVolume(stack.fleet.folder / name / "certs")
        self.issue(stack.authority, [stack.authority])
        self.folder = stack.fleet.folder / name / "config"
        self.folder.mkdir(parents=True)
        self.write(listeners, documents)

    def issue(self, authority, trusted):
        """A new key and certificate of `authority`, and the bundle of all in `trusted`, put in place by swapping one symbolic link."""
        svid = authority.issue(spiffe_id(NAMESPACE, self.account, TRUST_DOMAIN))
        bundle = b"".join(each.bundle_pem for each in trusted)
        self.certificates.publish({"tls.crt": svid.certificate_pem, "tls.key": svid.key_pem, "ca.crt": bundle})

    def write(self, listeners, documents=()):
        """Replaces all documents at once: written beside (a name with a dot is not read), then renamed."""
        files = {field: str(self.certificates / name) for field, name in
                 (("certificate", "tls.crt"), ("privateKey", "tls.key"), ("trustBundle", "ca.crt"))}
        spec = {"service": self.account, "workers": self.stack.workers, "listeners": listeners, "admin": {"address": at(self.admin)},
                "metrics": {"address": at(self.metrics)}, "identity": {"source": "Files", **files}, **self.spec}
        proxy = {"apiVersion": API, "kind": "Proxy", "metadata": {"name": self.name}, "spec": spec}
        # JSON is YAML, and ten times as fast to write.
        text = "\n---\n".join(json.dumps(document) for document in [proxy, *documents])
        fresh = self.folder / ".fresh"
        fresh.write_text(text, encoding="utf-8")
        os.rename(fresh, self.folder / "all.yaml")

    def reload(self):
        self.process.signal(signal.SIGHUP)

    def start(self, before=()):
        """`before`: words of a command that becomes the proxy."""
        words = [*before, *pinned(PROXY_CORE, self.stack.binaries / "outrigger-proxy", "--config", self.folder)]
        self.process = self.stack.fleet.start(self.name, words, answers(at(self.metrics)))
        return self

    @property
    def pid(self):
        return self.process.pid

    def figures(self):
        """All samples of /metrics: name -> the sum of those that have it, and `name{labels}` -> value."""
        found = {}
        for line in http_get(at(self.metrics), "/metrics")[1].decode().splitlines():
            if not line.startswith("#"):
                sample, value = line.rsplit(" ", 1)
                found[sample] = float(value)
                name = sample.split("{")[0]
                if name != sample:
                    found[name] = found.get(name, 0.0) + float(value)
        return found

    def figure(self, name):
        return self.figures().get(name, 0.0)

    def count_logged(self, event):
        return self.process.output().count(f" event={event} ")


class Load:
    """The benchmarks' load program in the background. `stop` or `result` ends it and gives what it counted."""

    def __init__(self, stack, port, seconds, **options):
        words = pinned(LOAD_CORE, stack.binaries / "bench-load", "--port", port, "--seconds", seconds, "--warmup", 0)
        for name, value in options.items():
            words += ["--" + name, str(value)]
        self.seconds = seconds
        self.process = stack.fleet.start("load", words, exit_codes=(0, 1))

    def running(self):
        return self.process.running()

    def result(self):
        """Waits for its end."""
        self.process.wait(self.seconds + 60)
        lines = self.process.output().splitlines()
        if not lines:
            raise SoakFailure("the load program said nothing")
        return json.loads(lines[-1])

    def stop(self):
        self.process.signal(signal.SIGTERM)
        return self.result()


class Stack:
    def __init__(self, fleet, binaries, workers=1):
        self.fleet, self.binaries, self.workers = fleet, binaries, workers
        self.authority = Authority(TRUST_DOMAIN)

    def backend(self):
        """The benchmarks' backend: answers sizes by path; returns its port."""
        port = take_port()
        self.fleet.start("backend", pinned(LOAD_CORE, self.binaries / "bench-backend", port), accepts(at(port)), exit_codes=(-signal.SIGTERM,))
        return port

    def application(self):
        """The soaks' own, for bodies of any size; returns its port."""
        port = take_port()
        words = pinned(LOAD_CORE, sys.executable, APPLICATION, port)
        self.fleet.start("application", words, accepts(at(port)), exit_codes=(-signal.SIGTERM,))
        return port

    def callee(self, name, backend_port, mode="Strict", before=(), **spec):
        """A sidecar before an application."""
        inbound = take_port()
        sidecar = Sidecar(self, name, "backend", [listener("inbound", inbound, at(backend_port), mode)], **spec)
        sidecar.inbound = inbound
        return sidecar.start(before)

    def caller(self, inbounds, policies=(), **spec):
        """The sidecar of whoever calls `backend`, which stands behind those ports."""
        outbound = take_port()
        sidecar = Sidecar(self, "near", "caller", [listener("outbound", outbound)], [self.entry(inbounds), *policies], **spec)
        sidecar.outbound = outbound
        return sidecar.start()

    @staticmethod
    def entry(inbounds, **more):
        """The ServiceEntry of `backend`."""
        return service("backend", [at(port) for port in inbounds], tls=MESH,
                       identities=[spiffe_id(NAMESPACE, "backend", TRUST_DOMAIN)], **more)

    def pair(self, backend_port=None):
        """(near, far) with the benchmarks' backend, or with whatever listens on `backend_port`."""
        far = self.callee("far", backend_port or self.backend())
        return self.caller([far.inbound]), far

    def load(self, port, seconds, **options):
        return Load(self, port, seconds, **options)


def is_quiet(*sidecars):
    """They have done next to nothing for a tenth of a second."""
    watch = CpuWatch(*(sidecar.pid for sidecar in sidecars))
    time.sleep(0.1)
    return watch.percent() < 2


def check_clean(result, least=1):
    """A load that must not have met a single failure."""
    if result["errors"]:
        raise SoakFailure(f"{result['errors']} of {result['requests']} requests failed: {result.get('first_error')}")
    if result["requests"] < least:
        raise SoakFailure(f"only {result['requests']} requests were answered")
