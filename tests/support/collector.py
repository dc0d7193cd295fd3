"""OpenTelemetry's own Collector (`./dev setup --peers` builds it), which decodes all three signals and passes each on to a strict receiver, one request for one.

    collector = Collector(fleet, receivers)     # one for each signal, "http/json": the names that it writes judge the numbers that were sent
    collector.process.kill(); collector.start()

With `tls` (Identity) it is a stranger to the mesh with a certificate of it: whoever connects must show one too, and it says h2 and http/1.1.
"""

import json

import pytest

from support.fleet import PEERS, accepts

PROGRAM = PEERS / "otelcol"
SENDER = "collector for tests"
needs_collector = pytest.mark.skipif(not PROGRAM.exists(), reason=f"the OpenTelemetry Collector is not there: ./dev setup --peers builds it ({PROGRAM})")


class Collector:
    def __init__(self, fleet, receivers, tls=None):
        self.fleet = fleet
        self.addresses = {"grpc": fleet.address(), "http": fleet.address()}
        secrets = {"tls": {"cert_file": tls.spec["certificate"], "key_file": tls.spec["privateKey"], "client_ca_file": tls.spec["trustBundle"]}} if tls else {}
        # An answer is given once the receiver behind has taken it: what was answered is there, whatever becomes of the Collector.
        exporter = {"encoding": "json", "sending_queue": {"enabled": False}, "retry_on_failure": {"enabled": False},
                    **{f"{receiver.signal}_endpoint": f"http://{receiver.address}/v1/{receiver.signal}" for receiver in receivers}}
        config = {"receivers": {"otlp": {"protocols": {name: {"endpoint": address, **secrets} for name, address in self.addresses.items()}}},
                  "exporters": {"otlp_http": exporter},
                  "service": {"pipelines": {receiver.signal: {"receivers": ["otlp"], "exporters": ["otlp_http"]} for receiver in receivers},
                              "telemetry": {"metrics": {"level": "none"}}}}
        self.config = fleet.write("collector.yaml", json.dumps(config))
        self.start()

    def start(self):
        self.process = self.fleet.start("otelcol", [PROGRAM, "--config", f"file:{self.config}"], accepts(self.addresses["http"]))

    def address(self, protocol):
        return self.addresses["grpc" if protocol == "grpc" else "http"]
