# presets: dev tsan release
"""Bulkheads as users see them: one pool does not feel another's flood, never more than there may be are at the backend, who is served first, and what is said to the rest."""

import threading
from pathlib import Path

import pytest
import yaml

from support.backend import message
from support.fleet import eventually
from support.hop import API, Hop, service
from support.opaque import Raw, echo_bytes, tcp_listener
from support.wire import Wire

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "docs" / "examples" / "bulkheads" / "proxy.yaml"
PAYMENT = {"name": "payment", "matches": [{"path": {"type": "PathPrefix", "value": "/pay"}}], "maxConcurrent": 10, "maxQueue": 50}
ANALYTICS = {"name": "analytics", "matches": [{"path": {"type": "PathPrefix", "value": "/reports"}}], "maxConcurrent": 5, "maxQueue": 1000, "queueTimeout": "0s"}
PRIORITY = {"from": {"type": "Header", "name": "x-priority"}, "classes": ["critical", "standard", "batch"], "default": "standard"}


def bulkhead(*pools, name="b", target="shop", **spec):
    return {"apiVersion": API, "kind": "BulkheadPolicy", "metadata": {"name": name},
            "spec": {"targetRefs": [{"kind": "Service", "name": target}], "pools": list(pools), **spec}}


def one_slot(**more):
    return {"name": "all", "maxConcurrent": 1, "queueTimeout": "0s", **more}


class Application:
    """Counts how many requests of each first segment of the path it has at once. Those below a held segment wait until it is let go; all others take `lingers` seconds."""

    def __init__(self, lingers=0):
        self.lingers = lingers
        self.lock = threading.Lock()
        self.running, self.most, self.begun = {}, {}, []
        self.gates = {}

    def hold(self, segment):
        self.gates[segment] = threading.Event()

    def let_go(self, segment):
        self.gates[segment].set()

    def __call__(self, connection):
        while (request := connection.read_request()) is not None:
            segment = request.target.split("/")[1].split("?")[0]
            with self.lock:
                self.begun.append(request.target)
                self.running[segment] = self.running.get(segment, 0) + 1
                self.most[segment] = max(self.most.get(segment, 0), self.running[segment])
            if segment in self.gates:
                self.gates[segment].wait()
            elif self.lingers:
                threading.Event().wait(self.lingers)
            with self.lock:
                self.running[segment] -= 1  # before the answer, behind which another may begin
            connection.send(message(200, b"done"))


def beside(fleet, *policies, workers=2, lingers=0):
    application = Application(lingers)
    backend = fleet.backend(application)
    hop = Hop(fleet, inbound={"inbound": {"forwardTo": backend.address}}, policies=policies, service="shop", outbound=False, workers=workers)
    hop.address = hop.inbound["inbound"]
    return hop, application


def begin(hop, path="/", *headers):
    return Wire(hop.address).get(path, "shop", headers)


def end(*wires):
    """All are answered."""
    for wire in wires:
        assert wire.response().status == 200
        wire.close()


def queued(hop, count, pool="all"):
    eventually(lambda: hop.figure("outrigger_bulkhead_queued", rule=pool, mode="enforce") == count, what=f"{count} in the queue")


def in_use(hop, count, pool="all"):
    eventually(lambda: hop.figure("outrigger_bulkhead_in_use", rule=pool, mode="enforce") == count, what=f"{count} in use")


def in_turn(hop, count, begin_one, pool="all"):
    """As many requests, each in the queue before the next comes."""
    wires = []
    for number in range(count):
        wires.append(begin_one(number))
        queued(hop, number + 1, pool)
    return wires


def test_a_flood_of_analytics_is_not_felt_by_payments(fleet):
    """Payment 10/50 and analytics 5/1000: all waits of payments are in the first bucket."""
    hop, application = beside(fleet, bulkhead(PAYMENT, ANALYTICS))
    application.hold("reports")
    flood = [begin(hop, "/reports/1") for _ in range(200)]
    queued(hop, 195, "analytics")
    in_use(hop, 5, "analytics")
    for _ in range(20):
        end(*[begin(hop, "/pay/1") for _ in range(5)])
    waits = {dict(labels)["le"]: value for (name, labels), value in hop.figures().items()
             if name == "outrigger_bulkhead_queue_wait_seconds_bucket" and ("rule", "payment") in labels}
    assert waits["0.005"] == waits["+Inf"] == 100
    assert hop.figure("outrigger_policy_delays_total", rule="payment") == hop.figure("outrigger_policy_refusals_total", rule="payment") == 0
    assert application.most["reports"] == 5
    application.let_go("reports")
    end(*flood)
    assert application.most == {"reports": 5, "pay": application.most["pay"]} and application.most["pay"] <= 5
    assert hop.figure("outrigger_policy_delays_total", rule="analytics") == 195
    assert hop.figure("outrigger_bulkhead_queue_wait_seconds_count", rule="analytics") == 200


@pytest.mark.parametrize("workers", [1, 2])
def test_never_more_than_there_may_be_reach_the_application(fleet, workers):
    """30 connections at once, and documents that are read anew meanwhile: the same number, then a higher and a lower one."""
    hop, application = beside(fleet, bulkhead({"name": "all", "maxConcurrent": 3, "maxQueue": 1000, "queueTimeout": "0s"}), workers=workers, lingers=0.001)
    answered, statuses = threading.Semaphore(0), []

    def flood(path):
        with Wire(hop.address) as wire:
            for _ in range(30):
                statuses.append(wire.get(path, "shop").response().status)
                answered.release()

    def run(path, meanwhile):
        threads = [threading.Thread(target=flood, args=(path,)) for _ in range(30)]
        for thread in threads:
            thread.start()
        for _ in range(200):
            answered.acquire()
        meanwhile()
        for thread in threads:
            thread.join()

    def change(number):
        hop.documents[-1]["spec"]["pools"][0]["maxConcurrent"] = number
        hop.reload()

    run("/same", lambda: change(3))
    assert application.most["same"] == 3
    run("/raised", lambda: change(6))
    assert 3 <= application.most["raised"] <= 6
    change(2)
    run("/lowered", lambda: change(2))
    assert application.most["lowered"] == 2
    assert statuses == [200] * 2700
    in_use(hop, 0)


def test_the_highest_class_goes_first_and_in_it_the_earliest_deadline(fleet):
    hop, application = beside(fleet, bulkhead(one_slot(), priority=PRIORITY), workers=1)
    application.hold("held")
    first = begin(hop, "/held")
    in_use(hop, 1)
    asked = [("/batch", "x-priority: batch"), ("/standard",), ("/late", "x-request-timeout-ms: 900000"), ("/early", "x-request-timeout-ms: 600000"),
             ("/no-such-class", "x-priority: urgent"), ("/critical", "x-priority: critical")]
    wires = in_turn(hop, len(asked), lambda number: begin(hop, *asked[number]))
    application.let_go("held")
    end(first, *wires)
    assert application.begun == ["/held", "/critical", "/early", "/late", "/standard", "/no-such-class", "/batch"]


def test_a_full_queue_refuses_the_last_of_its_order(fleet):
    hop, application = beside(fleet, bulkhead(one_slot(maxQueue=2), priority=PRIORITY))
    application.hold("held")
    first = begin(hop, "/held")
    in_use(hop, 1)
    low, middle = in_turn(hop, 2, lambda number: begin(hop, f"/{number}", f"x-priority: {['batch', 'standard'][number]}"))
    high = begin(hop, "/2", "x-priority: critical")
    refused = low.response()  # though it came before it
    late = begin(hop, "/3").response()
    for response in (refused, late):
        assert response.status == 503 and int(response.header("retry-after")) >= 1
        assert response.header("proxy-status") == 'outrigger; error=connection_limit_reached; details="bulkhead_full; BulkheadPolicy/default/b: all"'
    line = hop.logged(end="bulkhead_full", path="/3")
    assert line["policy"] == "BulkheadPolicy/default/b: all" and line["detail"] == "1 of 1 run, 2 wait"
    assert hop.logged(end="bulkhead_full", path="/0")["delayed"].startswith("BulkheadPolicy/default/b: all: ")
    assert hop.figure("outrigger_policy_refusals_total", policy="BulkheadPolicy/default/b", rule="all") == 2
    application.let_go("held")
    end(first, high, middle)
    assert application.begun == ["/held", "/2", "/1"]


def test_who_waits_for_too_long_is_told_when_to_come_again(fleet):
    hop, application = beside(fleet, bulkhead(one_slot(queueTimeout="50ms")))
    application.hold("held")
    first = begin(hop, "/held")
    in_use(hop, 1)
    response = begin(hop, "/late").response()
    assert response.status == 503 and int(response.header("retry-after")) >= 1 and "queue_timeout" in response.header("proxy-status")
    line = hop.logged(end="queue_timeout")
    policy, rule, waited = line["delayed"].split(": ")
    assert (policy, rule) == ("BulkheadPolicy/default/b", "all") and int(waited.removesuffix(" ms")) >= 50
    assert hop.figure("outrigger_bulkhead_queue_wait_seconds_count") == 2
    application.let_go("held")
    end(first)


def test_who_goes_leaves_its_place_and_its_slot(fleet):
    hop, application = beside(fleet, bulkhead(one_slot()))
    application.hold("held")
    first = begin(hop, "/held")
    in_use(hop, 1)
    waiting = in_turn(hop, 3, lambda number: begin(hop, f"/{number}"))
    waiting[0].break_off()
    queued(hop, 2)
    first.break_off()
    end(*waiting[1:])
    in_use(hop, 0)
    application.let_go("held")


def test_a_tenant_has_its_share_and_holds_up_nobody(fleet):
    hop, application = beside(fleet, bulkhead(one_slot(maxConcurrent=6, perKey={"key": [{"type": "Header", "name": "x-tenant-id"}], "maxConcurrent": 1,
                                                                               "overrides": [{"value": "acme", "maxConcurrent": 2}]})))
    application.hold("held")
    held = [begin(hop, "/held", f"x-tenant-id: {tenant}") for tenant in ("acme",) * 4 + ("small",) * 3]
    queued(hop, 4)
    in_use(hop, 3)
    end(begin(hop, "/free", "x-tenant-id: other"), begin(hop, "/free"))
    application.let_go("held")
    end(*held)
    assert application.most["held"] == 3


def test_what_it_would_do_is_told(fleet):
    hop, application = beside(fleet, bulkhead(one_slot(maxQueue=1), mode="DryRun"))
    application.hold("held")
    wires = [begin(hop, f"/held/{number}") for number in range(3)]
    eventually(lambda: application.running.get("held") == 3)
    application.let_go("held")
    end(*wires)
    assert sorted(line.get("dry_run", "") for line in hop.logged(3, end="ok")) == [
        "", "BulkheadPolicy/default/b: all: bulkhead_full", "BulkheadPolicy/default/b: all: delay"]
    assert hop.figure("outrigger_policy_delays_total", mode="dry_run") == hop.figure("outrigger_policy_refusals_total", mode="dry_run") == 1


def test_opaque_connections_take_slots(fleet):
    """At the caller of a service without a proxy, to the connection's end."""
    listener = tcp_listener("db")
    entry = service("db", [fleet.backend(echo_bytes).address], protocol="TCP")
    hop = Hop(fleet, [entry], policies=[bulkhead(one_slot(maxQueue=1), target="db")], listeners=[listener], outbound=False)
    with Raw(listener["address"]) as first:
        assert first.send(b"first").exactly(5) == b"first"
        with Raw(listener["address"]) as second:
            second.send(b"second")
            queued(hop, 1)
            with pytest.raises(ConnectionResetError), Raw(listener["address"]) as third:  # no place
                third.rest()
            first.end()
            assert first.rest() == b""
            assert second.exactly(6) == b"second"
    assert hop.logged(end="bulkhead_full")["policy"] == "BulkheadPolicy/default/b: all"


def test_a_caller_may_hold_itself_back(fleet):
    application = Application()
    application.hold("held")
    hop = Hop(fleet, {"shop": [fleet.backend(application).address]}, policies=[bulkhead(one_slot(), side="Caller")])
    first = begin(hop, "/held")
    in_use(hop, 1)
    (second,) = in_turn(hop, 1, lambda number: begin(hop, "/free"))
    assert application.begun == ["/held"]
    application.let_go("held")
    end(first, second)


def test_the_example(fleet):
    """docs/examples/bulkheads as it stands, but for its addresses."""
    proxy, *documents = yaml.safe_load_all(EXAMPLE.read_text(encoding="utf-8"))
    application = Application()
    hop = Hop(fleet, documents, start=False, inbound={"inbound": {"forwardTo": fleet.backend(application).address}}, outbound=False,
              workers=proxy["spec"]["workers"], service=proxy["spec"]["service"])
    hop.start()
    hop.address = hop.inbound["inbound"]
    application.hold("reports")
    application.hold("pay")
    reports = [begin(hop, "/reports") for _ in range(7)]
    queued(hop, 2, "analytics")
    payments = [begin(hop, "/pay", f"x-tenant-id: {tenant}") for tenant in ("acme",) * 9 + ("small",) * 2]
    in_use(hop, 10, "payment")
    queued(hop, 1, "payment")
    end(begin(hop, "/courses"))
    assert hop.figure("outrigger_bulkhead_limit", rule="rest") >= 20
    assert hop.figure("outrigger_policy_refusals_total", policy="BulkheadPolicy/default/stricter", mode="dry_run") > 0
    application.let_go("reports")
    application.let_go("pay")
    end(*reports, *payments)
