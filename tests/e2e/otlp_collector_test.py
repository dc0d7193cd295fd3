# presets: dev release
# seconds: 60
"""All three signals to OpenTelemetry's own Collector: by each protocol, plain and with gzip through mutual TLS, while it is killed and comes back under load. What it decoded is what was
made but for what the bounded queues had no room for, to the record."""

import codecs
import contextlib
import threading

import pytest

from support.collector import SENDER, Collector, needs_collector
from support.fleet import eventually
from support.hop import API, Hop, service
from support.origin import simple
from support.otlp_receiver import PROTOCOLS, ended, told
from support.pair import CALLEE, CALLER, Identity
from support.test_ca import Authority
from support.wire import Wire

SIGNALS = ("traces", "logs", "metrics")
DURATION = "http.client.request.duration"
CLIENTS = 3


class Load:
    """Clients that ask and ask until the end; `count` says how often they were answered."""

    def __init__(self, address):
        self.address, self.count, self.lock, self.is_over = address, 0, threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(CLIENTS)]

    def run(self):
        with Wire(self.address) as wire:
            while not self.is_over.is_set():
                if wire.get(host="backend").response().status == 200:
                    with self.lock:
                        self.count += 1

    def end(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join()


@contextlib.contextmanager
def load(hop):
    running = Load(hop.address)
    for thread in running.threads:
        thread.start()
    try:
        yield running
    finally:
        running.end()


def telling_hop(fleet, collector, protocol, compression, identity=None, policies=()):
    """A proxy with two workers that tells the collector everything; with an identity, by mutual TLS."""
    batch = {"scheduleDelay": "20ms", "exportTimeout": "10m", "maxQueueSize": 256, "maxBatchSize": 64}
    how = {"endpoint": "http://collector", "protocol": PROTOCOLS[protocol], "compression": compression}
    entry = service("collector", [collector.address(protocol)], protocol="GRPC" if protocol == "grpc" else "HTTP", tls={"mode": "Mesh" if identity else "None"},
                    **({"identities": [CALLEE]} if identity else {}))
    hop = Hop(fleet, [service("backend", [fleet.backend().address]), entry], policies=policies, start=False, workers=2, **({"identity": identity.spec} if identity else {}))
    hop.proxy["spec"]["telemetry"] = {"traces": {**how, "batch": batch}, "logs": {**how, "batch": batch}, "accessLog": {"format": "OTLP", "filter": "All"},
                                      "metrics": {**how, "interval": "100ms", "exportTimeout": "10m", "temporality": "Delta"}}
    hop.start()
    return hop


def values(attributes):
    return tuple(sorted((item.key, str(item.value)) for item in attributes))


def points(metrics):
    """Each data point by what makes it one, however often it came: (name, attributes, time) -> point."""
    return {(metric.name, values(point.attributes), point.time_unix_nano): point
            for metric in metrics for point in getattr(metric, metric.WhichOneof("data")).data_points}


def different(receiver):
    """How many different records it has: whoever is killed before its answer is out is sent them again."""
    if receiver.signal == "traces":
        return len({span.span_id for span in receiver.spans})
    if receiver.signal == "logs":
        return len({record.SerializeToString() for record in receiver.spans})
    return len(points(receiver.spans))


def waits_for_nothing(hop):
    return all(told(hop, signal)[2] == 0 for signal in ("traces", "logs"))


@needs_collector
@pytest.mark.parametrize("wire", ["plain", "gzip and mutual TLS"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_collector_that_is_killed_under_load_loses_nothing_but_what_the_queues_had_no_room_for(fleet, receiver_of, protocol, wire):
    authority = Authority()
    ours, theirs = [Identity(fleet, name, identity, authority) if wire != "plain" else None for name, identity in (("near", CALLER), ("collector", CALLEE))]
    behind = {signal: receiver_of("http/json", signal, sender=SENDER) for signal in SIGNALS}
    collector = Collector(fleet, behind.values(), theirs)
    hop = telling_hop(fleet, collector, protocol, "None" if wire == "plain" else "Gzip", ours)
    with load(hop) as running:
        eventually(lambda: all(receiver.spans for receiver in behind.values()), what="each signal comes")
        collector.process.kill()
        eventually(lambda: all(told(hop, signal)[3].get("queue_full", 0) > 0 for signal in ("traces", "logs")), what="the queues are full")
        came = {signal: len(receiver.spans) for signal, receiver in behind.items()}
        collector.start()
        eventually(lambda: all(len(behind[signal].spans) > came[signal] for signal in SIGNALS), what="each signal comes again")
    eventually(lambda: waits_for_nothing(hop), what="what waits is sent")
    dropped = {signal: told(hop, signal)[3] for signal in SIGNALS}
    assert set(dropped["traces"]) == set(dropped["logs"]) == {"queue_full"} and dropped["metrics"] == {}
    hop.process.stop()
    for signal in SIGNALS:
        made, exported = ended(hop, signal)
        assert made - exported == dropped[signal].get("queue_full", 0), signal
        assert different(behind[signal]) == exported, signal
    assert ended(hop, "traces")[0] == ended(hop, "logs")[0] == running.count
    # No delta is lost or told twice either.
    came = [point for (name, _, _), point in points(behind["metrics"].spans).items() if name == DURATION]
    assert sum(point.count for point in came) == running.count


def utf8(error):
    """As spans have it: each byte that is no part of UTF-8 becomes U+FFFD."""
    return "\ufffd" * (error.end - error.start), error.end


codecs.register_error("each-byte", utf8)

HOSTILE = [b'"', b"\\", b'\\"},{"x":"', b"\xff\xfe\x80", b"\xc3(", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"tab\there", b"%00%0a%0d", b"%s%n%x", b"${x}", b"</script>", "ä\u2028\U0001f600".encode(),
           b"\xc2\x85\xc2\x9f", b"'; --", b"x" * 32768, b"\xc3\xa4" * 16384, b"\xff" * 16384]


@needs_collector
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_flood_of_hostile_values_is_told_whole_and_breaks_nothing(fleet, receiver_of, protocol):
    """In headers, paths, hosts and methods: each is one span and one record, which the Collector decodes, and what is told of it is what was sent."""
    behind = {signal: receiver_of("http/json", signal, sender=SENDER) for signal in SIGNALS}
    collector = Collector(fleet, behind.values())
    policy = {"apiVersion": API, "kind": "TelemetryPolicy", "metadata": {"name": "hostile"},
              "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": "backend"}],
                       "traces": {"attributes": [{"name": "hostile", "from": {"type": "Header", "name": "x-hostile"}}]},
                       "metrics": {"labels": [{"name": "hostile", "from": {"type": "Header", "name": "x-hostile"}}]}}}
    hop = telling_hop(fleet, collector, protocol, "Gzip", policies=[policy])
    for value in HOSTILE:
        with Wire(hop.address) as wire:
            assert wire.send(b"GET / HTTP/1.1\r\nHost: backend\r\nUser-Agent: " + value[:4000] + b"\r\nX-Hostile: " + value + b"\r\n\r\n").response().status == 200
        for head in (b"GET /" + value[:4000] + b" HTTP/1.1\r\nHost: backend", b"GET / HTTP/1.1\r\nHost: " + value, b"M" + value[:64] + b" / HTTP/1.1\r\nHost: backend"):
            with Wire(hop.address) as wire:
                assert wire.send(head + b"\r\n\r\n").response().status >= 200
    eventually(lambda: waits_for_nothing(hop), what="what waits is sent")
    hop.process.stop()
    for signal in SIGNALS:
        made, exported = ended(hop, signal)
        assert made == exported == different(behind[signal]), signal
    told_of = {attribute.value.string_value for span in behind["traces"].spans for attribute in span.attributes if attribute.key == "hostile"}
    sent = [value.decode("utf-8", "each-byte") for value in HOSTILE]
    for value in sent:
        assert value in told_of or any(900 < len(one.encode()) <= 1024 and value.startswith(one.removesuffix("...")) for one in told_of), value[:100]
    assert len(told_of) == len(set(sent)) and ended(hop, "logs")[0] >= 2 * len(HOSTILE)


@needs_collector
def test_who_shows_no_certificate_tells_the_collector_nothing(fleet, receiver_of):
    """So that what the test above says of mutual TLS is not for nothing."""
    authority = Authority()
    behind = receiver_of("http/json", "traces", sender=SENDER)
    collector = Collector(fleet, [behind], Identity(fleet, "collector", CALLEE, authority))
    bundle = fleet.write("ca.pem", authority.bundle_pem)
    entry = service("collector", [collector.address("http/protobuf")], tls=simple(bundle, subjectAltNames=[{"type": "URI", "uri": CALLEE}]))
    hop = Hop(fleet, [service("backend", [fleet.backend().address]), entry], start=False)
    hop.proxy["spec"]["telemetry"]["traces"] = {"endpoint": "http://collector", "batch": {"scheduleDelay": "20ms"}}
    hop.start()
    with load(hop):
        eventually(lambda: "event=export_retry" in hop.process.output(), what="a try that failed")
    assert behind.spans == []
