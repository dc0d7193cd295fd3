# presets: dev release
"""The context of a trace, beyond what applications do: requests go through a pair of sidecars to an application that only copies headers, and from there by its sidecar to the next.

What arrives at the application and what at the next service, by each rule of W3C Trace Context, B3 and W3C Baggage."""
# seconds: 20

import re

import pytest

from support.backend import message, replay
from support.fleet import Fleet
from support.hop import Hop
from support.pair import Pair
from support.wire import exchange

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
COPIED = ["traceparent", "tracestate", "baggage", "b3", "X-B3-TraceId", "X-B3-SpanId", "X-B3-ParentSpanId", "X-B3-Sampled", "X-B3-Flags", "x-debug-trace"]
VALID = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-(0[0-3])")


class Chain:
    """client -> `near` -> (mutual TLS) -> `far` -> application -> `on` -> next service"""

    def __init__(self, fleet, **traces):
        self.next = fleet.backend(replay(message(200, b"next")))
        collector = fleet.backend(replay(message(200, b"", [("Content-Type", "application/x-protobuf")])))
        telemetry = {"accessLog": {"filter": "None"}, "traces": {"endpoint": f"http://{collector.address}", **traces}}
        self.on = Hop(fleet, {"next": [self.next.address]}, name="on", telemetry=telemetry)
        self.application = fleet.backend(self.copy)
        self.pair = Pair(fleet, self.application.address, near={"telemetry": telemetry}, far={"telemetry": telemetry})

    def copy(self, connection):
        while (request := connection.read_request()) is not None:
            lines = [f"{name}: {value}" for name in COPIED for value in request.values(name)]
            assert exchange(self.on.address, "\r\n".join(["GET /on HTTP/1.1", "Host: next", *lines, "", ""])).status == 200
            connection.send(message(200, b"done"))

    def ask(self, *fields):
        """(what the application got, what the next service got)"""
        assert exchange(self.pair.address, "\r\n".join(["GET / HTTP/1.1", "Host: backend", *fields, "", ""])).status == 200
        return self.application.requests[-1], self.next.requests[-1]


def chain_of(**traces):
    """One for many tests."""
    with Fleet() as fleet:
        yield Chain(fleet, sampling={"numerator": 1}, **traces)


@pytest.fixture(scope="module")
def w3c():
    yield from chain_of()


def context(request):
    """(trace id, parent id, flags) of the one traceparent that it has."""
    values = request.values("traceparent")
    assert len(values) == 1, values
    found = VALID.fullmatch(values[0])
    assert found, values
    return found.groups()


def assert_one_trace(seen, trace=TRACE, flags="01"):
    contexts = [context(request) for request in seen]
    assert [one[0] for one in contexts] == [trace] * len(seen) and [one[2] for one in contexts] == [flags] * len(seen)
    parents = [one[1] for one in contexts]
    assert len({SPAN, *parents}) == len(parents) + 1, "each proxy that records has a span of its own"


def assert_anew(seen):
    contexts = [context(request) for request in seen]
    assert len({one[0] for one in contexts}) == 1 and contexts[0][0] != TRACE
    assert len({one[1] for one in contexts}) == len(seen)
    assert all(request.values("tracestate") == ["ot=th:0"] for request in seen)
    return contexts[0][0]


def test_a_trace_goes_on_with_a_new_parent_at_each_step(w3c):
    seen = w3c.ask(f"traceparent: {PARENT}", "tracestate: congo=t61,rojo=00f0")
    assert_one_trace(seen)
    assert all(request.values("tracestate") == ["congo=t61,rojo=00f0"] for request in seen)


def test_where_none_was_begun_one_begins(w3c):
    assert_anew(w3c.ask())
    assert assert_anew(w3c.ask()) != assert_anew(w3c.ask())


@pytest.mark.parametrize("value", [
    f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{SPAN}-01", f"00-{TRACE}-{SPAN.upper()}-01",
    f"00-{TRACE}-{SPAN}-0A", f"00-{TRACE}-{SPAN}-01-more", f"00-{TRACE}-{SPAN}-01.", f"00-{TRACE}-{SPAN}", f"00-{TRACE[:-1]}-{SPAN}-01", f"00-{TRACE[:-1]}.-{SPAN}-01",
    f"0-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01.more", f"{PARENT},{PARENT}", "nonsense", ""])
def test_an_invalid_traceparent_begins_anew(w3c, value):
    assert_anew(w3c.ask(f"traceparent: {value}", "tracestate: congo=t61"))


def test_two_of_them_begin_anew(w3c):
    assert_anew(w3c.ask(f"traceparent: {PARENT}", f"traceparent: {PARENT}", "tracestate: congo=t61"))


@pytest.mark.parametrize("value", [f"cc-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-comes", f"01-{TRACE}-{SPAN}-01-"])
def test_a_higher_version_is_told_on_as_version_00(w3c, value):
    assert_one_trace(w3c.ask(f"traceparent: {value}"))


@pytest.mark.parametrize("came, goes", [("03", "03"), ("ff", "03"), ("fd", "01"), ("05", "01")])
def test_known_flags_are_passed_on_and_others_are_zero(w3c, came, goes):
    assert_one_trace(w3c.ask(f"traceparent: 00-{TRACE}-{SPAN}-{came}"), flags=goes)


def test_what_is_not_sampled_goes_on_as_it_came(w3c):
    fields = [f"traceparent: 00-{TRACE}-{SPAN}-00", "tracestate: congo=t61", "tracestate: UPPER=is no key"]
    for request in w3c.ask(*fields):
        assert [f"traceparent: {value}" for value in request.values("traceparent")] + [f"tracestate: {value}" for value in request.values("tracestate")] == fields


def test_names_are_read_in_any_case(w3c):
    assert_one_trace(w3c.ask(f"TraceParent: {PARENT}", "TRACESTATE: congo=t61"))


def test_lines_of_tracestate_are_one_list_in_their_order(w3c):
    for request in w3c.ask(f"traceparent: {PARENT}", "tracestate: a=1,b=2", "tracestate: c=3", "tracestate: "):
        assert re.split(r"[ ,]+", ",".join(request.values("tracestate")).strip(",")) == ["a=1", "b=2", "c=3"]


@pytest.mark.parametrize("value", ["A=1", "a=1,b", "a=1,=2", "a=1,b=", "a=1=2", "a.b=1", f"{'a' * 257}=1", f"a={'1' * 257}", "a=\u00e4", "a =1", ",".join(f"k{number}=1" for number in range(33))])
def test_an_invalid_tracestate_is_dropped_and_the_trace_goes_on(w3c, value):
    seen = w3c.ask(f"traceparent: {PARENT}", f"tracestate: {value}")
    assert_one_trace(seen)
    assert all(request.values("tracestate") == [] for request in seen)


@pytest.mark.parametrize("value", ["a=1,,b=2", "a=1,", f"{'a' * 256}=1", f"a={'1' * 256}", "0_-*/@x=!~ {}", ",".join(f"k{number}=1" for number in range(32)),
                                   ",".join(f"key{number}={'v' * 20}" for number in range(19))])
def test_a_valid_tracestate_goes_on(w3c, value):
    for request in w3c.ask(f"traceparent: {PARENT}", f"tracestate: {value}"):
        assert request.values("tracestate") == [value]


def test_baggage_goes_on_unchanged(w3c):
    fields = ["a=1;p=x;q , b=%20%C3%A4", "c=" + "3" * 4000]
    for request in w3c.ask(*[f"baggage: {value}" for value in fields]):
        assert request.values("baggage") == fields


def test_of_baggage_64_members_go_on(w3c):
    for request in w3c.ask("baggage: " + ",".join(f"k{number}=v" for number in range(60)), "baggage: " + ",".join(f"l{number}=v" for number in range(10))):
        assert request.values("baggage") == [",".join(f"k{number}=v" for number in range(60)), "l0=v,l1=v,l2=v,l3=v"]


def test_other_forms_are_not_read(w3c):
    for request in w3c.ask(f"b3: {TRACE}-{SPAN}-1"):
        assert request.values("b3") == [f"{TRACE}-{SPAN}-1"] and context(request)[0] != TRACE


def test_one_of_many_is_recorded_and_all_proxies_agree(fleet):
    chain = Chain(fleet, sampling={"numerator": 1, "denominator": 4})
    flags = set()
    for _ in range(60):
        application, following = chain.ask()
        trace, _, flag = context(application)
        assert context(following)[0] == trace and context(following)[2] == flag
        assert (flag == "03") == (int(trace[18:], 16) >= 3 << 54)
        assert application.values("tracestate") == following.values("tracestate") == (["ot=th:c"] if flag == "03" else [])
        flags.add(flag)
    assert flags == {"02", "03"}


# ---- B3

@pytest.fixture(scope="module")
def b3():
    yield from chain_of(propagators=["b3"])


@pytest.fixture(scope="module")
def b3multi():
    yield from chain_of(propagators=["b3multi"])


def assert_b3(seen, trace, state):
    found = [re.fullmatch(r"([0-9a-f]{32})-([0-9a-f]{16})-([01d])", request.header("b3")).groups() for request in seen]
    assert [one[0] for one in found] == [trace or found[0][0]] * 2 and [one[2] for one in found] == [state] * 2
    assert not any(name.lower().startswith(("x-b3", "traceparent")) for request in seen for name, _ in request.headers)
    return found


@pytest.mark.parametrize("value, trace, state", [(f"{TRACE}-{SPAN}-1", TRACE, "1"), (f"{TRACE}-{SPAN}-1-00f067aa0ba902b8", TRACE, "1"), (f"{TRACE}-{SPAN}-d", TRACE, "d"),
                                                 (f"{TRACE}-{SPAN}", TRACE, "1"), (f"a3ce929d0e0e4736-{SPAN}-1", "0" * 16 + "a3ce929d0e0e4736", "1"), ("0", None, "0"), ("1", None, "1"),
                                                 ("nonsense", None, "1"), (f"{'0' * 32}-{SPAN}-1", None, "1")])
def test_b3_in_one_field(b3, value, trace, state):
    found = assert_b3(b3.ask(f"b3: {value}"), trace, state)
    assert state == "0" or len({SPAN, *[one[1] for one in found]}) == 3


def test_b3_that_denies_goes_on_as_it_came(b3):
    for request in b3.ask(f"b3: {TRACE}-{SPAN}-0"):
        assert request.values("b3") == [f"{TRACE}-{SPAN}-0"]


def test_b3_in_several_fields_is_read_and_the_one_counts_before_them(b3):
    several = ["X-B3-TraceId: " + "1" * 32, "X-B3-SpanId: " + "2" * 16]
    assert_b3(b3.ask(*several, "X-B3-Sampled: 1"), "1" * 32, "1")
    assert_b3(b3.ask(*several, "X-B3-Sampled: 0", f"b3: {TRACE}-{SPAN}-1"), TRACE, "1")


@pytest.mark.parametrize("fields, told", [(["X-B3-Sampled: 1"], ("x-b3-sampled", "1")), (["X-B3-Sampled: true"], ("x-b3-sampled", "1")), (["X-B3-Flags: 1"], ("x-b3-flags", "1")),
                                          (["X-B3-Flags: 1", "X-B3-Sampled: 0"], ("x-b3-flags", "1")), ([], ("x-b3-sampled", "1"))])
def test_b3_in_several_fields(b3multi, fields, told):
    for request in b3multi.ask(f"X-B3-TraceId: {TRACE}", f"X-B3-SpanId: {SPAN}", "X-B3-ParentSpanId: 00f067aa0ba902b8", *fields):
        names = {name.lower(): value for name, value in request.headers if name.lower().startswith("x-b3") or name.lower() == "b3"}
        assert names.pop("x-b3-traceid") == TRACE and names.pop("x-b3-spanid") not in (SPAN, "00f067aa0ba902b8")
        assert names == dict([told])


# ---- the rest

def test_whoever_may_has_a_request_recorded(fleet):
    chain = Chain(fleet, sampling={"numerator": 0}, forceHeader="x-debug-trace")
    assert [context(request)[2] for request in chain.ask("x-debug-trace: 1")] == ["03", "03"]
    assert [context(request)[2] for request in chain.ask(f"traceparent: 00-{TRACE}-{SPAN}-00", "x-debug-trace: true")] == ["01", "01"]
    assert [context(request)[2] for request in chain.ask()] == ["02", "02"]


def test_without_an_endpoint_nothing_is_touched(fleet):
    backend = fleet.backend()
    pair = Pair(fleet, backend.address)
    lines = ["traceparent: nonsense", "tracestate: A", "b3: x", "baggage: " + ",".join(f"k{number}=v" for number in range(70))]
    assert exchange(pair.address, "\r\n".join(["GET / HTTP/1.1", "Host: backend", *lines, "", ""])).status == 200
    assert [f"{name.lower()}: {value}" for name, value in backend.requests[0].headers if name.lower() in ("traceparent", "tracestate", "b3", "baggage")] == lines
    assert exchange(pair.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200
    assert not backend.requests[1].values("traceparent")
