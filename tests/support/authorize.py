"""AuthorizationPolicies for tests, in few words, and requests to what they guard."""

from support.hop import API
from support.wire import exchange

POLICY = "AuthorizationPolicy"


def authorize(name, action, *rules, target="app", kind="Service", **spec):
    """A policy for one target."""
    group = "" if kind == "Service" else "gateway.networking.k8s.io"
    return {"apiVersion": API, "kind": POLICY, "metadata": {"name": name},
            "spec": {"targetRefs": [{"group": group, "kind": kind, "name": target}], "action": action, "rules": list(rules), **spec}}


def rule(name, **fields):
    return {"name": name, **fields}


def get(address, target="/", method="GET", host="backend", **fields):
    """The response to one request; `x_a="1"` is the field x-a."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return exchange(address, f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n{lines}\r\n")
