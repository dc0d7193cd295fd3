# presets: dev tsan
# seconds: 20
"""Endpoints with names, against a real name server: changes are followed, the last good answer survives whatever happens, and requests are told what is wrong."""

import collections
import socket
import threading

from support.backend import held, message, reply
from support.fleet import eventually, take_port
from support.hop import Hop, service, traffic
from support.name_server import NameServer
from support.wire import Wire, exchange

GET = "GET / HTTP/1.1\r\nHost: courses\r\n\r\n"


def ask(hop):
    return exchange(hop.address, GET)


def cluster(hop, name="default/courses:80"):
    return next(row for row in hop.page("/clusters") if row["service"] == name)


def addresses(hop):
    return sorted(endpoint["address"] for endpoint in cluster(hop)["endpoints"])


def named(hop, name):
    return next(row for row in cluster(hop)["names"] if row["name"] == name)


def start(fleet, names, endpoint, resolution="DNS", policies=(), **options):
    return Hop(fleet, [service("courses", [endpoint], resolution=resolution)], policies=policies, dns={"servers": [names.address]}, **options)


def test_changes_of_a_name_are_followed(fleet):
    port = take_port()
    fleet.backend(reply(200, b"first"), port)
    fleet.backend(reply(200, b"second"), port, host="127.0.0.2")
    names = NameServer(fleet, {"courses.example": ["127.0.0.1"]})
    hop = start(fleet, names, f"courses.example:{port}")
    with Wire(hop.address) as wire:
        assert wire.get(host="courses").response().body == b"first"
        names.set({"courses.example": ["127.0.0.2"]})
        eventually(lambda: addresses(hop) == [f"127.0.0.2:{port}"], what="the new address")
        assert wire.get(host="courses").response().body == b"second"
        names.set({"courses.example": ["127.0.0.1", "127.0.0.2"]})
        eventually(lambda: len(addresses(hop)) == 2, what="both addresses")
    row = named(hop, "courses.example")
    assert (row["outcome"], row["records"], row["ttl_s"], row["failures"]) == ("found", 2, 1, 0)
    assert cluster(hop)["resolution"] == "DNS"
    assert "event=dns_answer" in hop.process.output()


def test_the_hosts_themselves_are_looked_up_where_there_are_no_endpoints(fleet):
    port = take_port()
    fleet.backend(reply(200, b"here"), port)
    names = NameServer(fleet, {"courses.example": ["127.0.0.1"]})
    entry = service("courses", [], hosts=["courses.example", "*.courses.example"], resolution="DNS", port=port)
    hop = Hop(fleet, [entry], dns={"servers": [names.address]})
    assert exchange(hop.address, f"GET / HTTP/1.1\r\nHost: courses.example:{port}\r\n\r\n").body == b"here"


def test_localhost_and_literal_addresses_need_no_server(fleet):
    port = take_port()
    fleet.backend(reply(200, b"here"), port)
    nobody = fleet.address()
    hop = Hop(fleet, [service("courses", [f"localhost:{port}"], resolution="DNS"), service("other", [f"127.0.0.1:{port}"], resolution="DNS")], dns={"servers": [nobody]})
    assert ask(hop).body == b"here"
    assert exchange(hop.address, "GET / HTTP/1.1\r\nHost: other\r\n\r\n").body == b"here"


def test_an_endpoint_that_has_gone_finishes_what_it_has(fleet):
    port = take_port()
    release = threading.Event()
    fleet.backend(held(release, message(200, b"first")), port)
    fleet.backend(reply(200, b"second"), port, host="127.0.0.2")
    names = NameServer(fleet, {"courses.example": ["127.0.0.1"]})
    hop = start(fleet, names, f"courses.example:{port}")
    with Wire(hop.address) as wire:
        wire.get(host="courses")
        eventually(lambda: cluster(hop)["endpoints"][0]["active"] == 1, what="the request under way")
        names.set({"courses.example": ["127.0.0.2"]})
        eventually(lambda: addresses(hop) == [f"127.0.0.2:{port}"], what="the new address")
        assert ask(hop).body == b"second"
        release.set()
        assert wire.response().body == b"first"
    eventually(lambda: hop.figure("outrigger_upstream_connections_active") <= 1, what="the old connection closed")


def test_the_last_good_answer_survives_a_dead_server_and_the_server_is_found_again(fleet):
    port = take_port()
    fleet.backend(reply(200, b"first"), port)
    fleet.backend(reply(200, b"second"), port, host="127.0.0.2")
    names = NameServer(fleet, {"courses.example": ["127.0.0.1"]})
    hop = start(fleet, names, f"courses.example:{port}")
    assert ask(hop).body == b"first"
    names.stop()
    eventually(lambda: named(hop, "courses.example")["failures"] >= 2, what="look-ups that fail")
    assert ask(hop).body == b"first"
    assert hop.figure("outrigger_dns_names", state="stale") == 1 and hop.figure("outrigger_dns_stale_age_seconds") > 0
    names.write({"courses.example": ["127.0.0.2"]})
    names.start()
    eventually(lambda: addresses(hop) == [f"127.0.0.2:{port}"], what="the server being asked again", timeout=120)
    assert ask(hop).body == b"second"
    assert hop.figure("outrigger_dns_names", state="good") == 1 and hop.figure("outrigger_dns_stale_age_seconds") == 0


def test_a_name_that_goes_keeps_its_addresses(fleet):
    port = take_port()
    fleet.backend(reply(200, b"here"), port)
    names = NameServer(fleet, {"courses.example": ["127.0.0.1"]})
    hop = start(fleet, names, f"courses.example:{port}")
    assert ask(hop).body == b"here"
    names.set({})
    eventually(lambda: named(hop, "courses.example")["outcome"] == "nxdomain", what="the name being gone")
    assert ask(hop).body == b"here"
    assert "event=dns_failed" in hop.process.output() and hop.figure("outrigger_dns_lookups_total", outcome="nxdomain") >= 1


def test_a_name_that_is_not_there_yet_is_a_dns_error_until_it_is(fleet):
    port = take_port()
    fleet.backend(reply(200, b"here"), port)
    names = NameServer(fleet)
    hop = start(fleet, names, f"courses.example:{port}")
    response = ask(hop)
    assert response.status == 502 and "error=dns_error" in response.header("proxy-status")
    assert b"courses.example: nxdomain" in response.body
    assert hop.logged(end="dns_error")["status"] == 502
    names.set({"courses.example": ["127.0.0.1"]})
    eventually(lambda: ask(hop).status == 200, what="the name being found")


def test_where_no_server_answers_requests_wait_no_longer_than_for_a_connection(fleet):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        hop = Hop(fleet, [service("courses", ["courses.example:80"], resolution="DNS")], dns={"servers": [f"127.0.0.1:{silent.getsockname()[1]}"]},
                  policies=[traffic("courses", connections={"connectTimeout": "100ms"})])
        response = ask(hop)
        assert response.status == 504 and "error=dns_timeout" in response.header("proxy-status")
        hop.logged(end="dns_timeout")


def test_two_hundred_addresses(fleet):
    port = take_port()
    fleet.backend(reply(200, b"here"), port, host="0.0.0.0")
    many = [f"127.0.1.{number}" for number in range(1, 201)]
    names = NameServer(fleet, {"courses.example": many})
    hop = start(fleet, names, f"courses.example:{port}")
    eventually(lambda: len(addresses(hop)) == 200, what="200 addresses, which come over TCP")
    for _ in range(20):
        assert ask(hop).body == b"here"


def test_srv_records_say_ports_and_weights(fleet):
    often = fleet.backend(reply(200, b"often"))
    seldom = fleet.backend(reply(200, b"seldom"))
    spare = fleet.backend(reply(200, b"spare"))
    name = "_http._tcp.courses.example"
    lines = [f"{name},a.example,{often.port},10,9", f"{name},b.example,{seldom.port},10,1", f"{name},a.example,{spare.port},20,1"]
    names = NameServer(fleet, {"a.example": ["127.0.0.1"], "b.example": ["127.0.0.1"]}, lines)
    hop = start(fleet, names, name, resolution="SRV", policies=[traffic("courses", loadBalancer={"type": "RoundRobin", "slowStart": "0s"})], workers=1)
    eventually(lambda: len(addresses(hop)) == 3, what="all endpoints")
    bodies = collections.Counter(ask(hop).body for _ in range(40))
    assert bodies == {b"often": 36, b"seldom": 4}
    weights = {endpoint["address"]: endpoint["weight"] for endpoint in cluster(hop)["endpoints"]}
    assert weights[often.address] == 9 and weights[seldom.address] == 1
    often.close(), seldom.close()
    eventually(lambda: ask(hop).body == b"spare", what="the second priority, once the first is gone")
    assert {row["name"] for row in cluster(hop)["names"]} == {name, "a.example.", "b.example."}


def test_a_mistake_in_srv_records_takes_no_service_down(fleet):
    port = take_port()
    fleet.backend(reply(200, b"first"), port)
    fleet.backend(reply(200, b"second"), port, host="127.0.0.2")
    name = "_http._tcp.courses.example"
    names = NameServer(fleet, {"a.example": ["127.0.0.1"], "b.example": ["127.0.0.2"]}, [f"{name},a.example,{port},10,5"])
    hop = start(fleet, names, name, resolution="SRV")
    assert ask(hop).body == b"first"

    def serve(target):
        names.stop()
        names.services = [f"{name},{target},{port},10,5"]
        names.start()

    serve("typo.example")
    eventually(lambda: any(row["name"] == "typo.example." and row["state"] == "failed" for row in cluster(hop)["names"]), what="the mistake being seen", timeout=120)
    assert ask(hop).body == b"first"
    assert named(hop, name)["state"] == "stale" and hop.figure("outrigger_dns_stale_age_seconds") > 0
    serve("b.example")
    eventually(lambda: addresses(hop) == [f"127.0.0.2:{port}"], what="the right target", timeout=120)
    assert ask(hop).body == b"second" and named(hop, name)["state"] == "good"


def test_other_servers_and_other_names_by_a_reload(fleet):
    port = take_port()
    fleet.backend(reply(200, b"first"), port)
    fleet.backend(reply(200, b"second"), port, host="127.0.0.2")
    one = NameServer(fleet, {"courses.example": ["127.0.0.1"]})
    two = NameServer(fleet, {"courses.example": ["127.0.0.2"]})
    hop = start(fleet, one, f"courses.example:{port}")
    assert ask(hop).body == b"first"
    hop.proxy["spec"]["dns"] = {"servers": [two.address]}
    hop.reload()
    eventually(lambda: ask(hop).body == b"second", what="the other server's answer")
    hop.documents[1]["spec"].update(resolution="Static", endpoints=[{"address": f"127.0.0.1:{port}"}])
    hop.reload()
    assert ask(hop).body == b"first"
    assert "names" not in cluster(hop)
