"""Binary upgrade under load: a proxy whose place is taken again and again by a new process of the same documents, and a load that must not notice."""

from support.fleet import BIN, eventually


def upgradable(hop):
    """Gives the hop's documents the socket by which it is replaced."""
    hop.proxy["spec"]["upgrade"] = {"path": str(hop.fleet.folder / f"{hop.name}.upgrade")}
    return hop


def upgrade(hop, name="next", wait=True):
    """Starts a process that takes the hop's place; returns the old one, which has ended in order if `wait`."""
    old = hop.process
    hop.process = hop.fleet.start(name, [BIN / "outrigger-proxy", "--config", hop.config, "--upgrade"], ready=lambda process: " event=ready " in process.output())
    eventually(lambda: " event=handed_over " in old.output(), what="the old process handing over")
    if wait:
        assert old.wait() == 0
    return old
