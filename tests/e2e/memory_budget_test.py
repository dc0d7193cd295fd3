"""Memory is short: a proxy in a cgroup of its own sheds load step by step when the limit comes near, and takes everything again once there is room.

The limit is moved, not the use: how much a build uses is nobody's business here. Skipped where a test may not make a cgroup.
"""

import signal
import sys

import pytest

from support.cgroup import Cgroup
from support.fleet import BIN, answers, eventually, prints
from support.h2_peer import H2Client
from support.hop import Hop
from support.wire import Wire, exchange

GET = b"GET / HTTP/1.1\r\nHost: backend\r\n\r\n"

# Held by a process beside the proxy in the cgroup, so that a hundredth of the limit is more than a sanitized build grows by in a test.
BALLAST_MIB = 1024
BALLAST = f"import signal; held = b'x' * ({BALLAST_MIB} << 20); print('held', flush=True); signal.pause()"


@pytest.fixture
def cgroup():
    made = Cgroup()
    if made.folder is None:
        pytest.skip("no cgroup with a memory limit can be made here")
    yield made
    made.remove()


class ShortHop(Hop):
    def start(self, cgroup):
        config = self.fleet.write(f"{self.name}/config.yaml", self.documents)
        self.process = cgroup.start(self.fleet, self.name, [BIN / "outrigger-proxy", "--config", config], answers(self.metrics))


@pytest.fixture
def hop(cgroup, fleet):
    cgroup.start(fleet, "ballast", [sys.executable, "-c", BALLAST], prints("held"), exit_codes=(-signal.SIGTERM,))
    hop = ShortHop(fleet, {"backend": [fleet.backend().address]}, start=False)
    hop.start(cgroup)
    return hop


def level(hop):
    return hop.figure("outrigger_memory_level")


def reaches(hop, wanted):
    eventually(lambda: level(hop) == wanted, what=f"level {wanted}; it is {level(hop)}")


def budget(hop):
    return next(row for row in hop.page("/limits") if row["limit"] == "memoryPercent")


def test_load_is_shed_in_steps_and_taken_again(hop, cgroup):
    with Wire(hop.address) as idle, H2Client(hop.address) as idle_h2:
        assert idle.send(GET).response().status == 200
        assert idle_h2.get(authority="backend").status == 200
        assert level(hop) == 0

        # Free lists go: nobody notices.
        cgroup.set_share(82)
        reaches(hop, 1)
        assert idle.send(GET).response().status == 200
        assert exchange(hop.address, GET).status == 200

        # Idle connections close, in order; requests are served.
        cgroup.set_share(87)
        reaches(hop, 2)
        assert idle.is_ended()
        assert exchange(hop.address, GET).status == 200

    # Requests are refused, over connections that are let in.
    cgroup.set_share(92)
    reaches(hop, 3)
    response = exchange(hop.address, GET)
    assert response.status == 503 and "memory_limit" in response.header("proxy-status")
    assert hop.logged(end="memory_limit")["status"] == 503

    # Nobody is let in.
    cgroup.set_share(98)
    reaches(hop, 4)
    with Wire(hop.address) as refused:
        assert refused.is_ended()
    assert hop.figure("outrigger_downstream_connections_refused_total", reason="memory") >= 1
    row = budget(hop)
    assert row["value"] == 80 and row["use"] >= 95 and row["peak"] >= row["use"] and row["hits"] >= 2

    # There is room again: the proxy finds it by itself, although nothing reaches it any more.
    cgroup.set_share(40)
    reaches(hop, 0)
    assert exchange(hop.address, GET).status == 200


def test_the_percentage_is_what_the_documents_say(hop, cgroup):
    hop.proxy["spec"]["limits"] = {"memoryPercent": 99}
    hop.reload()
    cgroup.set_share(95)
    for _ in range(3):
        assert exchange(hop.address, GET).status == 200
    eventually(lambda: (budget(hop)["use"] or 0) >= 90, what="a look at the use")
    assert level(hop) == 0
