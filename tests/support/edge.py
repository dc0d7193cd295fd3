"""A gateway under test: a Hop whose listeners stand for a Gateway document."""

from support.fleet import split_address
from support.hop import Hop
from support.routes import gateway


def https(name, hostname=None, *certificates):
    """A listener that ends TLS; by default its certificate has its name."""
    return {"name": name, "protocol": "HTTPS", **({"hostname": hostname} if hostname else {}), "tls": {"certificateRefs": [{"name": one} for one in certificates or [name]]}}


class Edge:
    """`listeners`: of the Gateway, all on one free port. `socket`: more of the Proxy's listener (certificates)."""

    def __init__(self, fleet, services, listeners, *documents, socket=None, name="edge", **spec):
        self.address = fleet.address()
        port = split_address(self.address)[1]
        document = gateway(*[{"port": port, **listener} for listener in listeners])
        self.hop = Hop(fleet, services, name=name, outbound=False, policies=[document, *documents], start=False, **spec)
        self.hop.address = self.address
        self.hop.proxy["spec"]["listeners"].append({"name": "edge", "role": "Gateway", "gateway": "edge", "address": self.address, **(socket or {})})
        self.hop.start()
