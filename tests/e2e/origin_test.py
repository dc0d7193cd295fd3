"""TLS toward servers outside the mesh (tls.mode Simple): whom it trusts, which names it takes, what it asks for, which protocols, resumption, files that change, and what fails."""
# presets: dev
# seconds: 32

import contextlib
import signal
import ssl
import threading

import pytest

from support.backend import reply
from support.fleet import BIN, eventually, take_port
from support.h2_peer import h2_reply
from support.hop import Hop, service, traffic
from support.name_server import NameServer
from support.opaque import Raw, echo_bytes, speaks_after_end, tcp_listener
from support.origin import Origin, simple
from support.test_ca import HOUR, Authority, pem
from support.websocket import connect, websocket_server
from support.wire import Wire, exchange

HOST = "api.example"


def ask(hop, host=HOST, path="/"):
    return exchange(hop.address, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")


def start(fleet, origins, tls, hosts=(HOST,), protocol="HTTP", policies=(), **options):
    addresses = [origin.address for origin in origins]
    return Hop(fleet, [service("api", addresses, hosts=list(hosts), tls=tls, protocol=protocol)], policies=policies, workers=1, **options)


def failed(hop, reason):
    return hop.figure("outrigger_tls_failures_total", side="client", reason=reason)


def refused(hop, end, reason, text):
    """A request that ends as `end`, with the reason wherever somebody looks for it."""
    response = ask(hop)
    assert response.status == 502 and f"error={'tls_certificate_error' if end == 'identity_mismatch' else 'tls_protocol_error'}" in response.header("proxy-status")
    assert text.encode() in response.body
    assert text in hop.logged(end=end)["detail"]
    assert failed(hop, reason) >= 1
    endpoint = hop.page("/clusters")[0]["endpoints"][0]
    assert endpoint["tls"] == "Simple" and text in endpoint["tls_failure"]
    assert f"event=upstream_tls_failed endpoint={endpoint['address']}" in hop.process.output()


def test_a_server_of_the_right_authority_and_name_is_reached(fleet):
    origin = Origin(fleet)
    hop = start(fleet, [origin], simple(origin.bundle()))
    response = ask(hop, path="/x")
    assert response.status == 200 and b'"/x"' in response.body
    assert origin.asked == [HOST] and origin.chosen == [None]
    request = origin.backend.requests[0]
    assert request.values("host") == [HOST] and not [name for name, _ in request.headers if name.lower().startswith("outrigger")]
    [row] = hop.page("/certs")["ca_sets"]
    assert row["certificates"] == 1 and "pending_error" not in row and "Origin Root" in row["first_to_end"] and row["files"].endswith("origin-ca.pem")
    [endpoint] = [each for each in hop.page("/config")["services"] if each["service"] == "default/api:80"][0]["endpoints"]
    assert (endpoint["tls"], endpoint["sni"], endpoint["expects"]) == ("Simple", HOST, [HOST])


def test_words_of_the_mesh_are_never_offered(fleet):
    hellos = []

    def record(connection):
        head = connection.socket.recv(5)
        hellos.append(connection.read_exactly(int.from_bytes(head[3:5], "big")))
    backend = fleet.backend(record)
    origin = Origin(fleet)
    tcp = tcp_listener("raw")
    entries = [service(name, [backend.address], tls=simple(origin.bundle()), protocol=protocol)
               for name, protocol in (("auto", "HTTP"), ("one", "HTTP1"), ("two", "HTTP2"), ("raw", "TCP"))]
    hop = Hop(fleet, entries, policies=[traffic(name, retry={"disabled": True}) for name in ("auto", "one", "two", "raw")], start=False)
    hop.proxy["spec"]["listeners"].append(tcp)
    hop.start()
    for host in ("auto", "one", "two"):
        assert ask(hop, host).status == 502
    with contextlib.suppress(ConnectionResetError), Raw(tcp["address"]) as client:  # which may be broken off before it is used
        client.send(b"hello")
    eventually(lambda: len(hellos) >= 4, what="a handshake for the opaque stream")
    assert not [hello for hello in hellos if b"outrigger" in hello]
    assert [(b"\x08http/1.1" in hello, b"\x02h2" in hello) for hello in hellos] == [(True, True), (True, False), (False, True), (False, False)]


def test_a_server_of_another_authority_is_refused(fleet):
    origin = Origin(fleet)
    other = fleet.write("other.pem", Authority("other.example").bundle_pem.decode())
    refused(start(fleet, [origin], simple(other)), "tls_failed", "untrusted", "unable to get")


def test_a_certificate_for_another_name_is_refused(fleet):
    origin = Origin(fleet, names=["other.example"], subject=HOST)  # the common name is none
    refused(start(fleet, [origin], simple(origin.bundle())), "identity_mismatch", "name", f"its certificate is not for {HOST}")


def test_an_expired_certificate_is_refused(fleet):
    origin = Origin(fleet, lifetime=-HOUR / 2, starts=-HOUR)
    refused(start(fleet, [origin], simple(origin.bundle())), "tls_failed", "expired", "a certificate has expired")


@pytest.mark.parametrize("fields, leaf, asked", [
    ({"sni": "other.example"}, {"names": ["other.example"]}, "other.example"),
    ({"subjectAltNames": [{"type": "Hostname", "hostname": "a.example"}, {"type": "Hostname", "hostname": "b.example"}]}, {"names": ["b.example"]}, HOST),
    ({"sni": "front.example", "subjectAltNames": [{"type": "URI", "uri": "spiffe://other/web"}]}, {"names": ["x.example"], "uris": ["spiffe://other/web"]}, "front.example"),
    ({"subjectAltNames": [{"type": "Hostname", "hostname": "127.0.0.1"}]}, {"names": [], "addresses": ["127.0.0.1"]}, HOST),
    ({"sni": "deep.wild.example"}, {"names": ["*.wild.example"]}, "deep.wild.example"),
], ids=["sni", "one of two names", "URI", "address", "wildcard"])
def test_names_are_those_that_the_document_says(fleet, fields, leaf, asked):
    origin = Origin(fleet, **leaf)
    hop = start(fleet, [origin], simple(origin.bundle(), **fields))
    assert ask(hop).status == 200
    assert origin.asked == [asked]


@pytest.mark.parametrize("fields, leaf", [
    ({"sni": HOST}, {"names": ["api.example.evil"]}),
    ({"subjectAltNames": [{"type": "URI", "uri": "spiffe://other/web"}]}, {"names": [HOST], "uris": ["spiffe://other/web2"]}),
    ({"subjectAltNames": [{"type": "Hostname", "hostname": "127.0.0.1"}]}, {"names": ["127.0.0.1"], "addresses": ["127.0.0.2"]}),
    ({"sni": "a.deep.wild.example"}, {"names": ["*.wild.example"]}),
], ids=["longer", "URI", "address", "two labels"])
def test_what_looks_like_the_name_is_not_it(fleet, fields, leaf):
    origin = Origin(fleet, **leaf)
    assert ask(start(fleet, [origin], simple(origin.bundle(), **fields))).status == 502


def test_a_host_that_is_an_address_is_asked_for_by_no_name(fleet):
    origin = Origin(fleet, names=[], addresses=["127.0.0.1"])
    hop = start(fleet, [origin], simple(origin.bundle()), hosts=["127.0.0.1"])
    assert ask(hop, "127.0.0.1").status == 200
    assert origin.asked == [None]


def test_an_endpoint_has_its_own_tls(fleet):
    first, second = Origin(fleet, names=["first.example"]), Origin(fleet, names=["second.example"])
    both = [{"address": first.address, "tls": simple(first.bundle("first.pem"), sni="first.example")},
            {"address": second.address, "tls": simple(second.bundle("second.pem"), sni="second.example")}]
    hop = Hop(fleet, [service("api", both, hosts=[HOST])], workers=1, policies=[traffic("api", loadBalancer={"type": "RoundRobin"})])
    for _ in range(4):
        assert ask(hop).status == 200
    assert set(first.asked) == {"first.example"} and set(second.asked) == {"second.example"}


def test_the_systems_bundle(fleet):
    origin = Origin(fleet)
    hop = start(fleet, [origin], simple(), start=False)
    hop.start(environment={"SSL_CERT_FILE": str(origin.bundle())})
    assert ask(hop).status == 200


def test_an_intermediate_is_an_end_of_the_path_and_one_that_is_sent_is_used(fleet):
    root = Authority("ca.example", name="Root")
    origin = Origin(fleet, authority=root.intermediate())
    assert ask(start(fleet, [origin], simple(origin.bundle()))).status == 200
    middle = fleet.write("middle.pem", pem(origin.authority.certificate).decode())
    assert ask(start(fleet, [origin], simple(middle), name="second")).status == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("key", ["P-256", "RSA", "P-384"])
def test_versions_and_keys_of_strangers(fleet, version, key):
    def only(context):
        context.minimum_version = context.maximum_version = version
    origin = Origin(fleet, prepare=only, key=key, authority=Authority("ca.example", key=key))
    assert ask(start(fleet, [origin], simple(origin.bundle()))).status == 200


@pytest.mark.parametrize("protocol, alpn, chosen", [("HTTP", ["h2", "http/1.1"], "h2"), ("HTTP", ["http/1.1"], "http/1.1"), ("HTTP1", ["h2", "http/1.1"], "http/1.1"),
                                                    ("HTTP2", ["http/1.1", "h2"], "h2"), ("GRPC", ["h2"], "h2")])
def test_the_protocol_is_the_servers_choice_where_the_port_leaves_it(fleet, protocol, alpn, chosen):
    origin = Origin(fleet, h2_reply(b"hi") if chosen == "h2" else reply(200, b"hi"), alpn=alpn)
    hop = start(fleet, [origin], simple(origin.bundle()), protocol=protocol)
    assert ask(hop).body == b"hi"
    assert origin.chosen == [chosen]
    if chosen == "h2":
        assert origin.backend.requests[0].header(":scheme") == "https"


def test_one_that_wants_our_certificate_gets_none(fleet):
    authority = Authority("ca.example")
    trust = fleet.write("clients.pem", authority.bundle_pem.decode())

    def wants(mode):
        def prepare(context):
            context.load_verify_locations(str(trust))
            context.verify_mode = mode
        return prepare
    optional = Origin(fleet, prepare=wants(ssl.CERT_OPTIONAL))
    assert ask(start(fleet, [optional], simple(optional.bundle()))).status == 200
    required = Origin(fleet, prepare=wants(ssl.CERT_REQUIRED))
    hop = start(fleet, [required], simple(required.bundle("required.pem")), name="second")
    assert ask(hop).status == 502
    assert "the peer refused" in hop.logged(end="tls_failed")["detail"]


def test_another_endpoint_takes_what_a_wrong_certificate_could_not(fleet):
    right = Origin(fleet)
    wrong = Origin(fleet, names=["wrong.example"], authority=right.authority)
    hop = start(fleet, [wrong, right], simple(right.bundle()), policies=[traffic("api", loadBalancer={"type": "RoundRobin"})])
    for _ in range(4):
        assert exchange(hop.address, f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 2\r\n\r\nhi").status == 200
    assert len(right.backend.requests) == 4 and not wrong.backend.requests


def test_a_failed_handshake_is_not_repeated_at_the_same_endpoint(fleet):
    origin = Origin(fleet, names=["wrong.example"])
    hop = start(fleet, [origin], simple(origin.bundle()))
    assert ask(hop).status == 502
    assert hop.logged(end="identity_mismatch")["attempts"] == 1 and len(origin.asked) == 1


# --- sessions and files that change ---

# Each request gets a connection of its own.
SHORT = [traffic("api", connections={"http1IdleTimeout": "1ms"})]


def fresh(hop):
    eventually(lambda: hop.figure("outrigger_upstream_connections_active") == 0, what="no connection left")
    assert ask(hop).status == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed_under_one_set_of_authorities_and_no_other(fleet, version):
    def only(context):
        context.minimum_version = context.maximum_version = version
    origin = Origin(fleet, prepare=only)
    path = origin.bundle()
    hop = start(fleet, [origin], simple(path), policies=SHORT)
    for _ in range(3):
        fresh(hop)
    assert origin.resumed == [False, True, True]
    assert hop.figure("outrigger_tls_handshakes_total", side="client", kind="resumed") == 2
    both = fleet.write("more.pem", origin.authority.bundle_pem.decode() + Authority("more.example").bundle_pem.decode())
    both.rename(path)
    eventually(lambda: hop.page("/certs")["ca_sets"][0]["certificates"] == 2, what="the new set")
    fresh(hop)
    fresh(hop)
    assert origin.resumed == [False, True, True, False, True]
    # Other names are another key.
    hop.documents[1]["spec"]["tls"]["subjectAltNames"] = [{"type": "Hostname", "hostname": HOST}, {"type": "Hostname", "hostname": "b.example"}]
    hop.reload()
    fresh(hop)
    assert origin.resumed[5] is False


def test_a_server_whose_authority_is_taken_out_is_refused_and_one_that_comes_in_is_reached(fleet):
    old, new = Origin(fleet, alpn=["h2"], script=h2_reply(b"old")), Authority("new.example")
    path = old.bundle()
    hop = start(fleet, [old], simple(path))
    assert ask(hop).status == 200
    fleet.write("next.pem", new.bundle_pem.decode()).rename(path)
    eventually(lambda: ask(hop).status == 502, what="the old authority being gone")
    assert failed(hop, "untrusted") >= 1
    fleet.write("next.pem", old.authority.bundle_pem.decode()).rename(path)
    eventually(lambda: ask(hop).status == 200, what="the old authority being back")


def test_what_is_open_ends_soon_where_its_server_is_trusted_no_more_and_in_its_own_time_else(fleet):
    origin = Origin(fleet, echo_bytes)
    path = origin.bundle()
    listener = tcp_listener("api")
    hop = Hop(fleet, [service("api", [origin.address], hosts=[HOST], tls=simple(path), protocol="TCP")], listeners=[listener], outbound=False)
    with Raw(listener["address"]) as client:
        assert client.send(b"before").exactly(6) == b"before"
        both = origin.authority.bundle_pem.decode() + Authority("more.example").bundle_pem.decode()
        fleet.write("next.pem", both).rename(path)
        eventually(lambda: hop.page("/certs")["ca_sets"][0]["certificates"] == 2, what="the larger set")
        assert client.send(b"still").exactly(5) == b"still"
        fleet.write("next.pem", Authority("other.example").bundle_pem.decode()).rename(path)
        assert client.is_reset()
    assert hop.figure("outrigger_upstream_connections_closed_total", reason="untrusted") == 1


def test_a_file_that_is_of_no_use_keeps_the_set_in_force(fleet):
    origin = Origin(fleet)
    path = origin.bundle()
    hop = start(fleet, [origin], simple(path), policies=SHORT)
    fresh(hop)
    path.write_text("no certificate\n")
    eventually(lambda: "event=ca_set_refused" in hop.process.output(), what="the refusal")
    [row] = hop.page("/certs")["ca_sets"]
    assert row["certificates"] == 1 and row["pending_error"].endswith("no certificate in it")
    assert hop.figure("outrigger_ca_set_loads_total", files=str(path), result="refused") == 1
    fresh(hop)


def test_a_reload_says_what_is_wrong_with_a_set(fleet):
    origin = Origin(fleet)
    path = origin.bundle()
    right = path.read_text()
    hop = start(fleet, [origin], simple(path), policies=SHORT)
    assert hop.post("/reload")[1]["ca_errors"] == []
    path.write_text("no certificate\n")
    status, answer = hop.post("/reload")
    assert status == 422 and answer["result"] == "refused" and answer["ca_errors"] == [f"{path}: no certificate in it"], answer
    assert hop.figure("outrigger_ca_set_loads_total", files=str(path), result="refused") == 1
    assert hop.post("/reload")[0] == 422, "still refused"
    fresh(hop)
    path.write_text(right)
    status, answer = hop.post("/reload")
    assert status == 200 and answer["ca_errors"] == []
    assert "pending_error" not in hop.page("/certs")["ca_sets"][0]


def test_without_its_file_only_that_service_fails_until_it_is_there(fleet):
    origin, plain = Origin(fleet), fleet.backend(reply(200, b"plain"))
    path = fleet.folder / "late" / "ca.pem"
    path.parent.mkdir()
    entries = [service("api", [origin.address], hosts=[HOST], tls=simple(path)), service("plain", [plain.address])]
    hop = Hop(fleet, entries)
    assert ask(hop, "plain").status == 200
    response = ask(hop)
    assert response.status == 502 and b"its CA certificates could not be read" in response.body
    path.write_bytes(origin.authority.bundle_pem)
    eventually(lambda: ask(hop).status == 200, what="the file being read")


@pytest.mark.parametrize("content, text", [(None, "No such file or directory"), ("nothing\n", "no certificate in it")])
def test_check_says_what_is_wrong_with_a_file(fleet, content, text):
    path = fleet.folder / "ca.pem"
    if content:
        path.write_text(content)
    hop = Hop(fleet, [service("api", ["127.0.0.1:1"], tls=simple(path))], start=False)
    config = hop.write()
    for argv in ([BIN / "outrigger", "check", str(config)], [BIN / "outrigger-proxy", "--check", "--config", str(config)]):
        result = fleet.run(argv)
        assert result.returncode == 3
        assert "ServiceEntry/default/api: caCertificates:" in result.stderr and f"{path}: {text}" in result.stderr


def test_sets_come_and_go_with_documents(fleet):
    origin = Origin(fleet)
    hop = Hop(fleet, [service("plain", [origin.address])])
    assert hop.page("/certs")["ca_sets"] == []
    path = origin.bundle()
    hop.reload([hop.proxy, service("api", [origin.address], hosts=[HOST], tls=simple(path))])
    assert ask(hop).status == 200
    hop.reload([hop.proxy, service("plain", [origin.address])])
    assert hop.page("/certs")["ca_sets"] == []
    hop.reload([hop.proxy, service("api", [origin.address], hosts=[HOST], tls=simple(path))])
    assert ask(hop).status == 200


# --- beside what else there is ---

def test_with_names_that_are_looked_up(fleet):
    port = take_port()
    first = Origin(fleet, reply(200, b"first"), port=port)
    second = Origin(fleet, reply(200, b"second"), port=port, host="127.0.0.2", authority=first.authority)
    names = NameServer(fleet, {HOST: ["127.0.0.1"]})
    entry = service("api", [], hosts=[HOST], port=443, resolution="DNS", tls=simple(first.bundle()))
    entry["spec"]["ports"][0]["targetPort"] = port
    hop = Hop(fleet, [entry], dns={"servers": [names.address]})
    assert ask(hop).body == b"first"
    names.set({HOST: ["127.0.0.2"]})
    eventually(lambda: ask(hop).body == b"second", what="the new address")
    assert set(first.asked) == set(second.asked) == {HOST}


def test_opaque_bytes(fleet):
    origin = Origin(fleet, echo_bytes, alpn=["other"])
    listener = tcp_listener("api")
    hop = Hop(fleet, [service("api", [origin.address], hosts=[HOST], tls=simple(origin.bundle()), protocol="TCP")], listeners=[listener], outbound=False)
    with Raw(listener["address"]) as client:
        for size in (1, 100, 70000):
            assert client.send(b"x" * size).exactly(size) == b"x" * size
    assert origin.chosen == [None] and origin.asked == [HOST]
    hop.logged(method="CONNECT", request_bytes=70101, response_bytes=70101)


def test_websockets(fleet):
    server = websocket_server(fleet)

    def relay(connection):
        with Raw(server.address) as inner:
            back = threading.Thread(target=pump, args=(inner.socket, connection.socket), daemon=True)
            back.start()
            pump(connection.socket, inner.socket)
            back.join(timeout=30)
    origin = Origin(fleet, relay, alpn=["http/1.1"])
    hop = start(fleet, [origin], simple(origin.bundle()))
    with connect(hop.address, host=HOST) as peer:
        for text in ("hello", "x" * 70000):
            peer.send(text)
            assert peer.recv() == text


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(1)
    except OSError:
        pass


def test_several_workers_share_sets_and_sessions(fleet):
    origin = Origin(fleet)
    hop = Hop(fleet, [service("api", [origin.address], hosts=[HOST], tls=simple(origin.bundle()))], workers=3)
    for _ in range(12):
        assert ask(hop).status == 200
    assert set(origin.asked) == {HOST}
    hop.process.signal(signal.SIGHUP)
    assert ask(hop).status == 200
