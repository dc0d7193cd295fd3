"""Two sidecars and mutual TLS between them: an application calls `near`, which calls `far`, which calls a backend. With identities in volumes that can be swapped.

    pair = Pair(fleet, backend.address)     # requests for the host `backend` go to pair.address
"""

import ssl

from support.hop import Hop, service
from support.secret_volume import SecretVolume
from support.test_ca import Authority, spiffe_id

CALLER = spiffe_id("school", "frontend")
CALLEE = spiffe_id("school", "courses")


class Identity:
    """Files of one identity. `issue` replaces them all at once with fresh ones, as Kubernetes does."""

    def __init__(self, fleet, name, identity, authority, bundle=None):
        self.identity = identity
        self.volume = SecretVolume(fleet.folder / f"{name}-identity")
        self.issue(authority, bundle)

    def issue(self, authority, bundle=None, **options):
        svid = authority.issue(self.identity, **options)
        self.publish(svid, bundle or authority.bundle_pem)
        return svid

    def publish(self, svid, bundle):
        self.volume.publish({"tls.crt": svid.certificate_pem, "tls.key": svid.key_pem, "ca.crt": bundle})

    @property
    def spec(self):
        return {"certificate": str(self.volume / "tls.crt"), "privateKey": str(self.volume / "tls.key"), "trustBundle": str(self.volume / "ca.crt")}

    def context(self, alpn=(), server=False):
        """The same identity for a Python peer. Names are not checked: there are none."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.volume / "ca.crt")
        context.load_cert_chain(self.volume / "tls.crt", self.volume / "tls.key")
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context


class Pair:
    """`near` and `far` are Hops. `options` of each go into its Proxy's spec; `listener` into the inbound listener of `far`."""

    def __init__(self, fleet, forward_to, mode="Strict", protocol="HTTP", policies=(), listener=None, near=None, far=None, expected=CALLEE, replicas=1):
        self.fleet = fleet
        self.authority = Authority()
        self.near_identity = Identity(fleet, "near", CALLER, self.authority)
        self.far_identity = Identity(fleet, "far", CALLEE, self.authority)
        self.fars = [Hop(fleet, name=f"far{number}", inbound={"in": {"forwardTo": forward_to, "mtls": {"mode": mode}, **(listener or {})}}, outbound=False,
                         identity=self.far_identity.spec, **(far or {})) for number in range(replicas)]
        self.far = self.fars[0]
        self.service = service("backend", [one.inbound["in"] for one in self.fars], protocol=protocol, tls={"mode": "Mesh"}, identities=[expected])
        self.near = Hop(fleet, [self.service], name="near", policies=policies, identity=self.near_identity.spec, **(near or {}))
        self.address = self.near.address
        self.inbound = self.far.inbound["in"]
