# presets: dev
"""Metrics on their way to a collector: the same figures as /metrics, in all protocols, cumulative or as deltas, with exponential histograms, and once more at the end."""

import http.client
import re
import socket

import pytest
from prometheus_client.openmetrics import parser as openmetrics

from support.authorize import get
from support.fleet import eventually, split_address
from support.hop import Hop, service
from support.otlp_receiver import PROTOCOLS, told

DURATION = "http.client.request.duration"


def pushing(fleet, receiver, environment=None, **block):
    """A proxy that sends its metrics ten times in a second."""
    hop = Hop(fleet, [service("backend", [fleet.backend().address])], start=False, workers=2)
    hop.proxy["spec"]["telemetry"]["metrics"] = {"endpoint": f"http://{receiver.address}", "protocol": PROTOCOLS[receiver.protocol], "interval": "100ms", **block}
    if environment:
        hop.proxy["spec"]["telemetry"].pop("metrics")
    hop.start(environment=environment) if environment else hop.start()
    return hop


def metrics_of(receiver, name):
    with receiver.lock:
        return [metric for metric in receiver.records if metric.name == name]


def labels_of(point):
    return {attribute.key: attribute.value.string_value or attribute.value.int_value or attribute.value.bool_value for attribute in point.attributes}


def newest(receiver, name=DURATION):
    found = metrics_of(receiver, name)
    return found[-1] if found else None


def ask(hop, count):
    for _ in range(count):
        assert get(hop.address, "/", host="backend").status == 200


def page_of(hop):
    connection = http.client.HTTPConnection(*split_address(hop.metrics), timeout=60)
    connection.request("GET", "/metrics", headers={"Accept": "application/openmetrics-text"})
    page = connection.getresponse().read().decode()
    connection.close()
    return page


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_figures_are_those_of_the_page(fleet, receiver_of, protocol):
    receiver = receiver_of(protocol, "metrics")
    hop = pushing(fleet, receiver, **({"compression": "Gzip"} if protocol == "http/protobuf" else {}))
    ask(hop, 7)
    eventually(lambda: newest(receiver) and sum(point.count for point in newest(receiver).histogram.data_points) == 7)
    metric = newest(receiver)
    point = metric.histogram.data_points[0]
    assert metric.unit == "s" and metric.histogram.aggregation_temporality == 2
    labels = labels_of(point)
    assert labels == {"outrigger.service": "default/backend:80", "http.request.method": "GET", "server.address": "backend", "server.port": 80, "http.response.status_code": 200,
                      "network.protocol.version": "1.1"}
    assert list(point.explicit_bounds) == [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
    assert sum(point.bucket_counts) == 7 and 0 < point.start_time_unix_nano < point.time_unix_nano
    assert abs(point.sum - hop.figure("http_client_request_duration_seconds_sum")) < 1e-6
    assert newest(receiver, "outrigger.workers").gauge.data_points[0].as_int == 2
    ends = {labels_of(one)["end"]: one.as_int for one in newest(receiver, "outrigger.request_ends").sum.data_points}
    assert ends == {"ok": 7} and newest(receiver, "outrigger.request_ends").sum.is_monotonic
    # All that the page has, and each once in a push.
    with receiver.lock:
        names = {metric.name for metric in receiver.records}
    assert len(names) > 70 and "process.cpu.time" in names and "outrigger.tls_handshakes" in names
    eventually(lambda: hop.figure("outrigger_telemetry_records_exported_total", signal="metrics") > 100)


def test_deltas_add_up_over_reloads_and_to_the_end(fleet, receiver_of):
    receiver = receiver_of(signal="metrics")
    hop = pushing(fleet, receiver, temporality="Delta")
    ask(hop, 5)
    eventually(lambda: metrics_of(receiver, DURATION))
    hop.documents[1]["spec"]["ports"][0]["port"] = 81  # another service: what was counted goes to the overflow
    hop.reload()
    assert get(hop.address, "/", host="backend:81").status == 200
    eventually(lambda: sum(point.count for metric in metrics_of(receiver, DURATION) for point in metric.histogram.data_points) == 6)
    hop.documents[0]["spec"]["telemetry"]["metrics"]["interval"] = "1h"
    hop.reload()
    assert get(hop.address, "/", host="backend:81").status == 200
    hop.process.stop()
    points = [point for metric in metrics_of(receiver, DURATION) for point in metric.histogram.data_points]
    assert sum(point.count for point in points) == 7
    ends = [point for metric in metrics_of(receiver, "outrigger.request_ends") for point in metric.sum.data_points]
    assert sum(point.as_int for point in ends) == 7
    assert all(metric.histogram.aggregation_temporality == 1 for metric in metrics_of(receiver, DURATION))


def test_histograms_can_be_exponential(fleet, receiver_of):
    receiver = receiver_of(signal="metrics")
    hop = pushing(fleet, receiver, histograms="Exponential")
    ask(hop, 20)
    eventually(lambda: newest(receiver) and sum(point.count for point in newest(receiver).exponential_histogram.data_points) == 20)
    point = newest(receiver).exponential_histogram.data_points[0]
    assert sum(point.positive.bucket_counts) + point.zero_count == 20 and len(point.positive.bucket_counts) <= 160
    base = 2 ** (2 ** -point.scale)
    counts = point.positive.bucket_counts
    low = sum(count * base ** (point.positive.offset + place) for place, count in enumerate(counts))
    assert low * 0.999 <= point.sum <= low * base * 1.001 and labels_of(point)["http.response.status_code"] == 200
    assert hop.figure("http_client_request_duration_seconds_count") == 20  # the page has its own


def test_variables_fill_what_documents_do_not_say(fleet, receiver_of):
    receiver = receiver_of(signal="metrics")
    hop = pushing(fleet, receiver, environment={"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{receiver.address}", "OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none",
                                                "OTEL_METRIC_EXPORT_INTERVAL": "100", "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta", "OTEL_SERVICE_NAME": "courses"})
    ask(hop, 3)
    eventually(lambda: sum(point.count for metric in metrics_of(receiver, DURATION) for point in metric.histogram.data_points) == 3)
    assert newest(receiver).histogram.aggregation_temporality == 1 and receiver.resource["service.name"] == "courses"
    process = newest(receiver, "process.memory.usage")
    assert process.unit == "By"


def test_a_collector_that_is_not_there_costs_only_points(fleet, receiver_of):
    receiver = receiver_of(signal="metrics")
    hop = pushing(fleet, receiver, exportTimeout="300ms")
    receiver.stop()
    ask(hop, 3)
    eventually(lambda: hop.figure("outrigger_telemetry_records_dropped_total", signal="metrics") > 0)
    receiver.start()
    eventually(lambda: newest(receiver) and sum(point.count for point in newest(receiver).histogram.data_points) == 3)


def test_tries_again_are_counted_and_told(fleet, receiver_of):
    receiver = receiver_of(signal="metrics")
    receiver.answers += [503, 503]
    hop = pushing(fleet, receiver)
    ask(hop, 2)
    eventually(lambda: newest(receiver))
    assert hop.figure("outrigger_telemetry_export_retries_total", signal="metrics") == 2
    assert len(re.findall(r"event=export_retry signal=metrics records=\d+ reason=", hop.process.output())) == 1
    assert hop.figure("outrigger_telemetry_records_dropped_total", signal="metrics") == 0


def test_points_that_are_not_sent_are_counted(fleet, receiver_of):
    """Pushes of several pieces that nobody takes, and a signal that is switched off meanwhile: each point is exported, dropped, or waits."""
    receiver = receiver_of(signal="metrics")
    hop = pushing(fleet, receiver, temporality="Delta", exportTimeout="20s")  # a small push that is under way first is over in time
    hop.documents.append({"apiVersion": "outrigger.dev/v1alpha1", "kind": "TelemetryPolicy", "metadata": {"name": "many", "namespace": "default"},
                          "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": "backend"}], "metrics": {"labels": [{"name": "tenant", "from": {"type": "Header", "name": "x-tenant"}}]}}})
    hop.reload()
    connection = http.client.HTTPConnection(*split_address(hop.address), timeout=60)
    receiver.stop()
    for number in range(900):
        connection.request("GET", "/", headers={"Host": "backend", "x-tenant": f"{number:0120}"})
        connection.getresponse().read()
    connection.close()
    eventually(lambda: told(hop, "metrics")[2] > 900)  # which adds up
    del hop.proxy["spec"]["telemetry"]["metrics"]["endpoint"]
    hop.reload()
    eventually(lambda: told(hop, "metrics")[2] == 0)
    assert told(hop, "metrics")[3]["disabled"] > 900
    # Pages of as many series are made in slices: clients may leave meanwhile.
    for _ in range(20):
        with socket.create_connection(split_address(hop.metrics)) as left:
            left.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
    assert hop.figure(DURATION.replace(".", "_") + "_seconds_count") == 900
    # What was not taken is told once there is somebody.
    receiver.start()
    hop.proxy["spec"]["telemetry"]["metrics"]["endpoint"] = f"http://{receiver.address}"
    hop.reload()
    eventually(lambda: sum(point.count for metric in metrics_of(receiver, DURATION) for point in metric.histogram.data_points) == 900)


def test_exemplars_lead_to_the_trace(fleet, receiver_of):
    """The last sampled request of a bucket, in OpenMetrics and in OTLP: its ids are those of its span."""
    receiver, spans = receiver_of(signal="metrics"), receiver_of(signal="traces")
    hop = Hop(fleet, [service("backend", [fleet.backend().address])], start=False)
    hop.proxy["spec"]["telemetry"] |= {"metrics": {"endpoint": f"http://{receiver.address}", "interval": "100ms"},
                                       "traces": {"endpoint": f"http://{spans.address}", "batch": {"scheduleDelay": "20ms"}}}
    hop.start()
    ask(hop, 1)
    eventually(lambda: spans.spans)
    ids = (spans.spans[0].trace_id.hex(), spans.spans[0].span_id.hex())
    families = list(openmetrics.text_string_to_metric_families(page_of(hop)))
    found = [sample.exemplar for family in families for sample in family.samples if sample.exemplar]
    assert [(one.labels["trace_id"], one.labels["span_id"]) for one in found] == [ids]
    assert found[0].value == hop.figure("http_client_request_duration_seconds_sum")
    eventually(lambda: newest(receiver) and newest(receiver).histogram.data_points[0].exemplars)
    exemplar = newest(receiver).histogram.data_points[0].exemplars[0]
    assert (exemplar.trace_id.hex(), exemplar.span_id.hex()) == ids
