"""A network namespace of the test's own: whatever it and its processes do on the network from then on stays in it. For tests of redirected connections.

    with network_namespace(fleet): fleet.run(["nft", ...])
"""

import contextlib
import ctypes
import os
import shutil

import pytest

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def network_namespace(fleet, *addresses):
    """The main thread's, and that of threads and processes that it starts. `addresses` are given to its loopback interface. Skips the test where that cannot be had."""
    missing = [tool for tool in ("ip", "nft", "setpriv") if shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin") is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: ./dev setup")
    before = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        if LIBC.unshare(CLONE_NEWNET) != 0:
            pytest.skip(f"no network namespace can be made here: {os.strerror(ctypes.get_errno())}")
        try:
            for command in [["link", "set", "lo", "up"], *(["addr", "add", address, "dev", "lo", *(["nodad"] if ":" in address else [])] for address in addresses)]:
                done = fleet.run(["ip", *command])
                assert done.returncode == 0, done.stderr
            yield
        finally:
            assert LIBC.setns(before, CLONE_NEWNET) == 0
    finally:
        os.close(before)


def redirect(fleet, group, rules):
    """Redirects connections as `rules` say, (family, destination address and port as nft has them, port), but for those of processes of `group`."""
    text = ""
    for family in ("ip", "ip6"):
        text += f"table {family} test {{ chain out {{ type nat hook output priority -100; meta skgid {group} accept\n"
        text += "".join(f"{family} daddr {host} tcp dport {port} redirect to :{to}\n" for kind, host, port, to in rules if kind == family)
        text += "}\n}\n"
    done = fleet.run(["nft", "-f", fleet.write("rules.nft", text)])
    if done.returncode != 0:
        pytest.skip(f"the kernel here takes no redirection: {done.stderr.strip()}")
