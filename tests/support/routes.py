"""Documents of Gateway API for tests, in few words."""

GROUP = "gateway.networking.k8s.io"


def to_service(name, namespace=None, **which):
    """A parentRef to a Service."""
    return {"group": "", "kind": "Service", "name": name, **({"namespace": namespace} if namespace else {}), **which}


def backends(*names, port=80):
    """backendRefs: a name, a (name, weight), or a mapping."""
    refs = []
    for name in names:
        if isinstance(name, tuple):
            refs.append({"name": name[0], "port": port, "weight": name[1]})
        else:
            refs.append({"name": name, "port": port} if isinstance(name, str) else name)
    return refs


def route(name, parents, *rules, kind="HTTPRoute", namespace=None, **spec):
    """A route; a parent is a mapping or the name of a Service."""
    parents = [to_service(parent) if isinstance(parent, str) else parent for parent in (parents if isinstance(parents, list) else [parents])]
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": {"name": name, **({"namespace": namespace} if namespace else {})},
            "spec": {"parentRefs": parents, **spec, "rules": list(rules)}}


def grant(namespace, origin, target, version="v1"):
    """A ReferenceGrant of `namespace`. `origin`: kind and namespace of what refers; `target`: kind and name (None: all) of what is referred to."""
    kind, name = target
    to = {"group": "outrigger.dev" if kind == "ServiceEntry" else "", "kind": kind, **({"name": name} if name else {})}
    return {"apiVersion": f"{GROUP}/{version}", "kind": "ReferenceGrant", "metadata": {"name": "permit", "namespace": namespace},
            "spec": {"from": [{"group": GROUP, "kind": origin[0], "namespace": origin[1]}], "to": [to]}}


def tcp_route(name, parents, *refs, **spec):
    """A TCPRoute to these backendRefs."""
    return route(name, parents, {"backendRefs": list(refs)}, kind="TCPRoute", **spec)


def tls_route(name, parents, hostnames, *refs, **spec):
    return route(name, parents, {"backendRefs": list(refs)}, kind="TLSRoute", hostnames=list(hostnames), **spec)


def path(value, kind="PathPrefix", **more):
    return {"path": {"type": kind, "value": value}, **more}


def headers(**values):
    """matches by fields: `x_version="2"` is the field x-version."""
    return {"headers": [{"name": name.replace("_", "-"), "value": value} for name, value in values.items()]}


def queries(**values):
    return {"queryParams": [{"name": name, "value": value} for name, value in values.items()]}


def to_gateway(name="edge", **which):
    """A parentRef to a Gateway."""
    return {"name": name, **which}


def gateway(*listeners, name="edge", **metadata):
    """A Gateway; a listener is a mapping over name, port and protocol."""
    return {"apiVersion": f"{GROUP}/v1", "kind": "Gateway", "metadata": {"name": name, **metadata},
            "spec": {"gatewayClassName": "outrigger", "listeners": [{"name": "http", "protocol": "HTTP", **listener} for listener in listeners]}}
