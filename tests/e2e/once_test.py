# presets: dev release
"""A POST is executed at most once, however its server dies, unless the policy opts in: ten thousand of them against servers that die at any byte of the exchange, counted where they run."""

import collections
import random
import re
import threading

import pytest

from support.backend import message
from support.hop import Hop, traffic
from support.pair import Pair
from support.wire import Wire

CLIENTS = 8
ANSWER = message(200, b"done " * 40)
GENEROUS = {"percent": 100, "minPerSecond": 1000}
EVERYTHING = ["ConnectFailure", "RefusedStream", "Unsent", "GatewayError", "Reset", "Timeout"]


class Deadly:
    """A server of which one exchange in six ends at a byte drawn from a seed, of the request or of the answer, in order or with a reset. `begun` counts, by the id of a
    request, how often its head has come whole: from there on an application may run."""

    def __init__(self, fleet, seed):
        self.seed, self.begun, self.deaths = seed, collections.Counter(), 0
        self.backend = fleet.backend(self.serve)
        self.address = self.backend.address

    def serve(self, connection):
        chance = random.Random(self.seed * 1_000_003 + connection.number)
        while True:
            life = chance.randrange(1200) if chance.randrange(3) == 0 else 1 << 30
            received = self.read(connection, life)
            if received is None:
                return
            if not received or life - received < len(ANSWER):
                connection.send(ANSWER[:max(0, life - received)] if received else b"")
                self.die(connection, chance)
                return
            connection.send(ANSWER)

    def read(self, connection, life):
        """One request, of which not more than `life` bytes: how many came; 0: its life was over before; None: nobody asks any more."""
        received, told = b"", False
        while len(received) < life:
            more = connection.socket.recv(min(65536, life - len(received)))
            if not more:
                return None
            received += more
            head, end, body = received.partition(b"\r\n\r\n")
            if end and not told:
                told = True
                with self.backend.lock:
                    self.begun[int(re.search(rb"\r\nx-id: (\d+)\r\n", received, re.I)[1])] += 1
            if end and len(body) >= int(re.search(rb"\r\ncontent-length: (\d+)\r\n", received, re.I)[1]):
                return len(received)
        return 0

    def die(self, connection, chance):
        with self.backend.lock:
            self.deaths += 1
        if chance.randrange(2):
            connection.reset()


def ask(address, numbers, statuses):
    """Sends them one by one, each exactly once by the client's own doing."""
    wire = None
    for number in numbers:
        wire = wire or Wire(address)
        wire.post(b"pay" * (number % 60), headers=(f"X-Id: {number}",))
        try:
            answer = wire.response()
        except (OSError, EOFError):  # an answer that was cut
            answer = None
        statuses.append(answer and answer.status)
        if answer is None or answer.header("connection") == "close":
            wire.close()
            wire = None
    if wire:
        wire.close()


def execute(address, count):
    """Outcomes as clients saw them, by status; None: cut."""
    statuses = []
    threads = [threading.Thread(target=ask, args=(address, range(client, count, CLIENTS), statuses)) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(statuses) == count
    return collections.Counter(statuses)


def begun(servers):
    return sum((server.begun for server in servers), collections.Counter())


@pytest.mark.parametrize("retry", [{}, {"attempts": 3, "conditions": EVERYTHING, "codes": [502, 503], "budget": GENEROUS}], ids=["by default", "with all that GETs may have"])
def test_no_post_is_executed_twice(fleet, retry):
    count = 10000
    servers = [Deadly(fleet, seed) for seed in (1, 2)]
    hop = Hop(fleet, {"backend": [server.address for server in servers]}, policies=[traffic("backend", retry=retry)] if retry else [], workers=2)
    statuses = execute(hop.address, count)
    executed = begun(servers)
    assert max(executed.values()) == 1
    assert sum(server.deaths for server in servers) > count / 8, "they did die"
    assert statuses[200] <= len(executed) <= count and statuses[200] > count / 3
    assert set(statuses) <= {200, 502, 503, None}, statuses


def test_one_that_the_policy_lets_is_repeated(fleet):
    """And the test above would see it."""
    servers = [Deadly(fleet, seed) for seed in (3, 4)]
    hop = Hop(fleet, {"backend": [server.address for server in servers]}, policies=[
        traffic("backend", retry={"attempts": 3, "conditions": EVERYTHING, "methods": ["POST"], "budget": GENEROUS, "backoff": {"base": "1ms", "max": "2ms"}})])
    statuses = execute(hop.address, 500)
    executed = begun(servers)
    assert max(executed.values()) > 1
    assert statuses[200] > 450


def test_nor_behind_the_mesh(fleet):
    count = 2000
    server = Deadly(fleet, 5)
    pair = Pair(fleet, server.address, policies=[traffic("backend", retry={"attempts": 3, "conditions": EVERYTHING, "budget": GENEROUS})])
    statuses = execute(pair.address, count)
    assert max(server.begun.values()) == 1
    assert server.deaths > count / 8 and statuses[200] > count / 3
