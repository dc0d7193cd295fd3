# presets: dev tsan release
# seconds: 40
"""Who changed what, in the audit log: commands and attempts at the admin listener, documents by name, signals, certificates and authorities, a binary upgrade."""

import os
import signal
import socket
import threading

import pytest

from support.audited import Audited, AuditLog
from support.backend import reply
from support.edge import Edge, https
from support.fleet import BIN, eventually
from support.hop import API, service
from support.pair import CALLEE, Identity
from support.routes import backends, path, route, to_gateway
from support.secret_volume import SecretVolume
from support.test_ca import Authority
from support.upgrade import upgradable, upgrade
from support.wire import Wire, exchange


def ask(hop, method, target, host=None, headers=""):
    return exchange(hop.admin, f"{method} {target} HTTP/1.1\r\nHost: {host or hop.admin}\r\nContent-Length: 0\r\n{headers}\r\n", method)


# --- the admin listener ---

def test_changes_are_told_with_who_and_how(fleet):
    audited = Audited(fleet)
    hop = audited.hop
    assert hop.post("/logging?level=debug&token=hidden")[0] == 200
    done = audited.line(event="admin", page="/logging")
    assert (done["result"], done["status"], done["listener"], done["method"], done["authority"]) == ("done", 200, "admin", "POST", hop.admin)
    assert done["peer"].startswith("127.0.0.1:")
    assert done["arguments"] == "level=debug&token=REDACTED" and "hidden" not in audited.path.read_text()
    assert ask(hop, "POST", "/drain").status == 401
    refused = audited.line(event="admin", page="/drain")
    assert (refused["result"], refused["status"]) == ("refused", 401)
    assert hop.post("/reload")[0] == 200
    assert audited.line(event="configuration", cause="admin")["result"] == "accepted"
    hop.post("/drain")
    assert audited.line(event="process", result="draining")["cause"] == "admin"


@pytest.mark.parametrize("method, target, host, headers, status", [
    ("GET", "/config", "evil.example", "", 403), ("GET", "/config", None, "Sec-Fetch-Site: cross-site\r\n", 403), ("PUT", "/reload", None, "", 405),
    ("DELETE", "/config", None, "", 405), ("POST", "/nothing?key=1", None, "", 404)])
def test_whoever_is_kept_out_or_tries_what_there_is_not_is_told(fleet, method, target, host, headers, status):
    audited = Audited(fleet)
    assert ask(audited.hop, method, target, host, headers).status == status
    line = audited.line(event="admin")
    assert (line["result"], line["status"], line["method"], line["page"], line["authority"]) == ("refused", status, method, target.split("?")[0], host or audited.hop.admin)


def test_who_looks_at_requests_is_told_and_who_reads_figures_is_not(fleet):
    audited = Audited(fleet)
    assert audited.hop.page("/config")
    with Wire(audited.hop.admin) as wire:
        assert wire.send(f"GET /tap?count=1&path=/x HTTP/1.1\r\nHost: {audited.hop.admin}\r\n\r\n").head().status == 200
        line = audited.line(event="admin")
        assert (line["page"], line["result"], line["status"], line["arguments"]) == ("/tap", "done", 200, "count=1&path=/x")
    assert ask(audited.hop, "GET", "/tap?count=many").status == 400
    assert audited.line(event="admin", status=400)["result"] == "refused"
    assert len(audited.lines(event="admin")) == 2


def test_over_a_unix_socket_the_process_is_named(fleet):
    audited = Audited(fleet, start=False)
    path = fleet.folder / "admin.sock"
    audited.hop.proxy["spec"]["admin"] = {"address": f"unix:{path}"}
    audited.hop.start()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"POST /logging?level=info HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        assert b" 200 " in client.makefile("rb").readline()
    line = audited.line(event="admin")
    assert (line["peer"], line["uid"], line["pid"]) == ("unix", os.getuid(), os.getpid())


def test_what_came_of_a_reload_is_told_though_nobody_has_waited(fleet):
    """The answer waits for an identity whose files are of no use; whoever asked is gone by then."""
    authority = Authority()
    identity = Identity(fleet, "own", CALLEE, authority)
    audited = Audited(fleet, hop={"identity": identity.spec})
    audited.line(event="process", result="ready")
    audited.hop.write([*audited.hop.documents, {"apiVersion": API, "kind": "TelemetryPolicy", "metadata": {"name": "bad"}, "spec": {}}])
    identity.volume.publish({"tls.crt": b"nothing", "tls.key": b"nothing", "ca.crt": b"nothing"})
    with Wire(audited.hop.admin) as wire:
        wire.send(f"POST /reload HTTP/1.1\r\nHost: {audited.hop.admin}\r\nAuthorization: Bearer {audited.hop.token}\r\nContent-Length: 0\r\n\r\n")
        audited.line(event="configuration", cause="admin", result="refused")
        wire.break_off()
    line = audited.line(event="admin", page="/reload")
    assert (line["result"], line["status"]) == ("refused", 422)


# --- documents ---

def test_documents_are_told_by_name(fleet):
    audited = Audited(fleet)
    hop = audited.hop
    assert hop.page("/config")["proxy"]["audit_log"] == str(audited.path)
    first = audited.line(event="configuration")
    assert {"result": "accepted", "cause": "start", "generation": 1, "added": 2, "changed": 0, "removed": 0, "documents": "+Proxy/default/hop +AuthorizationPolicy/default/guard"}.items() <= first.items()
    good = hop.documents
    hop.write([*good, {"apiVersion": API, "kind": "TelemetryPolicy", "metadata": {"name": "bad"}, "spec": {}}])
    hop.process.signal(signal.SIGHUP)
    refused = audited.line(event="configuration", result="refused", cause="signal")
    assert refused["errors"] == 1 and "targetRefs" in refused["reason"] and refused["generation"] == 1
    hop.write(good)
    hop.process.signal(signal.SIGHUP)
    same = audited.line(event="configuration", result="accepted", cause="signal", generation=2)
    assert (same["added"], same["changed"], same["removed"], same["fingerprint"]) == (0, 0, 0, first["fingerprint"]) and "documents" not in same
    guard = good[1]
    hop.write([hop.proxy, {**guard, "spec": {**guard["spec"], "mode": "DryRun"}}, service("new", ["127.0.0.1:1"])])
    changed = audited.line(event="configuration", cause="files", generation=3)
    assert changed["documents"] == "~AuthorizationPolicy/default/guard +ServiceEntry/default/new" and changed["fingerprint"] != first["fingerprint"]
    hop.write(good)
    back = audited.line(event="configuration", cause="files", generation=4)
    assert back["documents"] == "~AuthorizationPolicy/default/guard -ServiceEntry/default/new" and back["fingerprint"] == first["fingerprint"]


# --- the process ---

def test_the_process_is_told_with_its_cause(fleet):
    audited = Audited(fleet)
    audited.hop.process.stop()
    assert [(line["result"], line.get("cause")) for line in audited.lines(event="process")] == [("ready", "start"), ("draining", "signal"), ("ending", "signal"), ("ended", None)]


def test_the_file_is_opened_anew_by_signal_which_is_told(fleet):
    audited = Audited(fleet)
    audited.line(event="process", result="ready")
    audited.path.rename(f"{audited.path}.1")
    audited.hop.process.signal(signal.SIGUSR1)
    eventually(audited.path.exists)
    assert AuditLog(audited.path).line(event="process", result="reopened")["cause"] == "signal"
    exchange(audited.address, "GET /secret HTTP/1.1\r\nHost: app\r\n\r\n")
    audited.line(event="denied")


def test_who_takes_the_sockets_is_told(fleet):
    audited = Audited(fleet, start=False)
    upgradable(audited.hop)
    audited.hop.start()
    upgrade(audited.hop)
    new = audited.hop.process
    told = [(line["result"], line["uid"], line["pid"]) for line in audited.lines(event="upgrade")]
    assert told == [("begun", os.getuid(), new.pid), ("taken", os.getuid(), new.pid)]
    causes = [(line["result"], line.get("cause")) for line in audited.lines(event="process")]
    assert sorted(causes, key=str) == sorted([("ready", "start"), ("ready", "upgrade"), ("draining", "upgrade"), ("ending", "upgrade"), ("ended", None)], key=str)


def test_who_asks_for_the_sockets_and_does_not_become_ready_is_told(fleet):
    audited = Audited(fleet, start=False)
    upgradable(audited.hop)
    audited.hop.start()
    with socket.socket(socket.AF_UNIX) as thief:
        thief.connect(audited.hop.proxy["spec"]["upgrade"]["path"])
        assert thief.recv(4096).startswith(b"outrigger 1 sockets\n")
        with socket.socket(socket.AF_UNIX) as second:
            second.connect(audited.hop.proxy["spec"]["upgrade"]["path"])
            assert second.recv(4096) == b"outrigger 1 refused\n"
    audited.line(event="upgrade", result="failed")
    assert [(line["result"], line["pid"]) for line in audited.lines(event="upgrade")] == [("begun", os.getpid()), ("refused", os.getpid()), ("failed", os.getpid())]


# --- certificates ---

def test_certificates_of_the_proxy_are_told(fleet):
    authority = Authority()
    identity = Identity(fleet, "own", CALLEE, authority)
    audited = Audited(fleet, hop={"identity": identity.spec})
    loaded = audited.line(event="certificate")
    assert (loaded["result"], loaded["subject"], loaded["generation"]) == ("loaded", CALLEE, 1) and int(loaded["serial"], 16) > 0
    identity.volume.publish({"tls.crt": b"nothing", "tls.key": b"nothing", "ca.crt": b"nothing"})
    refused = audited.line(event="certificate", result="refused")
    assert refused["subject"] == identity.spec["certificate"] and refused["reason"] == "certificate: no certificate in it"
    fresh = identity.issue(authority)
    again = audited.line(event="certificate", result="loaded", generation=2)
    assert int(again["serial"], 16) == fresh.certificate.serial_number


def test_certificates_of_a_gateway_and_authorities_of_servers_are_told(fleet):
    root, other = Authority(), Authority()
    volume = SecretVolume(fleet.folder / "web")
    svid = root.issue("spiffe://school.local/ns/a/sa/b", names=["web.example"], extended=("server",))
    volume.publish({"tls.crt": svid.certificate_pem, "tls.key": svid.key_pem})
    bundle = fleet.write("roots.pem", root.bundle_pem)
    audit = AuditLog(fleet.folder / "edge" / "audit.log")
    shop = service("shop", ["127.0.0.1:1"], tls={"mode": "Simple", "sni": "shop.example", "caCertificates": {"files": [str(bundle)]}})
    Edge(fleet, [shop], [https("web", "web.example")], route("shop", [to_gateway()], {"matches": [path("/")], "backendRefs": backends("shop")}),
         socket={"certificates": [{"name": "web", "certificate": str(volume / "tls.crt"), "privateKey": str(volume / "tls.key")}]}, telemetry={"auditLog": audit.block})
    assert audit.line(event="certificate", subject="edge", result="loaded")["serial"].lstrip("0") == f"{svid.certificate.serial_number:x}"
    assert audit.line(event="certificate", subject=str(bundle), result="loaded")["generation"] == 1
    volume.publish({"tls.crt": b"nothing", "tls.key": svid.key_pem})
    assert audit.line(event="certificate", subject="edge", result="refused")["reason"]
    fleet.write("roots.pem", "nothing")
    assert audit.line(event="certificate", subject=str(bundle), result="refused")["reason"]
    fleet.write("roots.pem", other.bundle_pem)
    audit.line(event="certificate", subject=str(bundle), result="loaded", generation=2)
