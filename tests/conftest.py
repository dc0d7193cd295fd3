"""What every pytest file gets: `support` on the path, and a fleet that shows its logs when the test failed."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from support.fleet import Fleet  # needs the path above


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item):
    outcome = yield
    if outcome.get_result().failed:
        item.has_failed = True


@pytest.fixture
def fleet(request):
    started = Fleet()
    yield started
    started.close(failed=getattr(request.node, "has_failed", False))


@pytest.fixture
def receiver_of():
    """Makes OtlpReceivers: receiver_of("grpc", "logs"). At the end none may have seen a fault."""
    from support.otlp_receiver import OtlpReceiver  # runs protoc: for those alone that need it

    receivers = []

    def make(*arguments, **options):
        receivers.append(OtlpReceiver(*arguments, **options))
        return receivers[-1]

    yield make
    for receiver in receivers:
        receiver.close()
