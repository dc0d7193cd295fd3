"""A proxy with an audit log, and that log."""

import json

from support.authorize import authorize
from support.backend import reply
from support.fleet import eventually
from support.hop import Hop


def denies_secret(target="app", **more):
    """A policy that refuses what is below /secret."""
    return authorize("guard", "Deny", {"name": "secret", "matches": [{"path": {"type": "PathPrefix", "value": "/secret"}}]}, target=target, **more)


class AuditLog:
    """The file of an audit log; `block` goes into spec.telemetry.auditLog."""

    def __init__(self, path, /, **options):
        self.path = path
        self.block = {"path": str(path), **options}

    def lines(self, **wanted):
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        lines = [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]
        return [line for line in lines if wanted.items() <= line.items()]

    def line(self, **wanted):
        """The first line that has these values, once it is there."""
        return eventually(lambda: self.lines(**wanted), what=f"a line with {wanted}; {self.lines()[-3:]}")[0]


class Audited(AuditLog):
    """A proxy beside an application that denies /secret, with an audit log."""

    def __init__(self, fleet, policies=(), start=True, script=reply(200), hop=None, **audit):
        super().__init__(fleet.folder / "hop" / "audit.log", **audit)
        options = {"outbound": False, "service": "app", "workers": 1, **(hop or {})}  # lines of several workers have no fixed order
        self.hop = Hop(fleet, inbound={"in": {"forwardTo": fleet.backend(script).address}}, policies=[denies_secret(), *policies], start=False, **options)
        self.hop.proxy["spec"]["telemetry"]["auditLog"] = self.block
        if start:
            self.hop.start()

    @property
    def address(self):
        return self.hop.inbound["in"]
