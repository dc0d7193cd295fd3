"""Signals that come while the process ends: it ends in order all the same, with exit code 0."""

import signal

import pytest

from support.backend import reply
from support.fleet import Fleet
from support.hop import Hop

STARTS = 5


@pytest.mark.parametrize("late", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_up_to_the_last_moment_do_not_cut_the_end_short(late):
    with Fleet() as fleet:
        backend = fleet.backend(reply(200, b"ok"))
        for start in range(STARTS):
            hop = Hop(fleet, {"backend": [backend.address]}, name=f"hop{start}")
            hop.process.signal(signal.SIGTERM)
            while hop.process.running() and "event=drained" not in hop.process.output():
                pass
            while hop.process.running():
                hop.process.signal(late)
            assert hop.process.wait() == 0
