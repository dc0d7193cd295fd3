# presets: dev tsan release
# seconds: 38
"""Binary upgrade: a new process takes the listening sockets, the old one drains; nobody who sends requests notices. And sockets that systemd opens."""

import copy
import os
import re
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest

from support.backend import held, message, reply
from support.fleet import BIN, answers, eventually, http_get
from support.h2_peer import H2Client
from support.hop import Hop, service
from support.upgrade import upgradable, upgrade
from support.wire import Wire, exchange


def hop_of(fleet, script=reply(200, b"x" * 100), **options):
    hop = upgradable(Hop(fleet, {"backend": [fleet.backend(script).address]}, start=False, **options))
    hop.start()
    return hop


GET = "GET / HTTP/1.1\r\nHost: backend\r\n\r\n"


def write_aside(hop, name):
    """New documents for the next process alone: this one watches its own, and would open sockets of theirs itself while they are handed over."""
    hop.name = name
    hop.write()


def get(hop):
    return exchange(hop.address, GET).status


def load(fleet, address, *words):
    return fleet.start("load", ["h2load", "-D", "8", "-c", "4", *words, "--connect-to", address, "http://backend/"])


def no_failure(process, *hops):
    process.wait()
    assert "0 failed, 0 errored, 0 timeout" in process.output() and ", 0 3xx, 0 4xx, 0 5xx" in process.output(), process.output()
    for hop in hops:  # at its end the load gives up what is under way
        failures = [line for line in hop.log() if line["end"] not in ("ok", "client_gone")]
        assert not failures, f"{len(failures)}: {failures[:3]}"


def upgrade_thrice(hop):
    for number in range(3):
        eventually(lambda: hop.figure("outrigger_streams_total") > 50, what="traffic through this process")
        upgrade(hop, f"process{number}")


def test_three_upgrades_under_load_fail_nothing(fleet):
    hop = hop_of(fleet)
    process = load(fleet, hop.address, "--h1")
    upgrade_thrice(hop)
    no_failure(process, hop)


@pytest.mark.parametrize("protocol", ["HTTP1", "HTTP2"])
def test_three_upgrades_of_a_callee_are_no_failure_to_its_caller(fleet, protocol):
    callee = Hop(fleet, name="callee", inbound={"in": {"forwardTo": fleet.backend(reply(200, b"x" * 100)).address}}, outbound=False, start=False)
    upgradable(callee).start()
    caller = Hop(fleet, [service("backend", [callee.inbound["in"]], protocol=protocol)])
    process = load(fleet, caller.address, "-m", "5")
    upgrade_thrice(callee)
    no_failure(process, caller)


def test_each_connection_is_told_and_each_request_answered(fleet):
    event = threading.Event()
    hop = hop_of(fleet, held(event, message(200, b"done")))
    backend = fleet.backends[0]
    with Wire(hop.address) as wire, H2Client(hop.address) as client:
        wire.get()
        eventually(lambda: backend.connections and backend.connections[0].requests)
        old = upgrade(hop, wait=False)
        event.set()
        response = wire.response()
        assert (response.body, response.header("connection")) == (b"done", "close")
        client.wait_for_end()
        assert client.goaway.error_code == 0
    assert old.wait() == 0
    assert get(hop) == 200


def test_connections_that_wait_to_be_accepted_go_to_the_new_process(fleet):
    hop = hop_of(fleet)
    hop.process.signal(signal.SIGSTOP)  # it accepts nothing any more
    waiting = [Wire(hop.address) for _ in range(20)]
    for wire in waiting:
        wire.get()
    old = hop.process
    hop.process = fleet.start("next", [BIN / "outrigger-proxy", "--config", hop.config, "--upgrade"])
    old.signal(signal.SIGCONT)
    for wire in waiting:
        assert wire.response().status == 200
        wire.close()
    eventually(lambda: " event=ready " in hop.process.output())
    assert old.wait() == 0


def test_admin_metrics_and_the_socket_of_upgrades_go_along(fleet):
    hop = Hop(fleet, {"backend": [fleet.backend().address]}, inbound={"in": {"forwardTo": fleet.backend().address}}, start=False)
    path = fleet.folder / "admin.sock"
    hop.proxy["spec"]["admin"] = {"address": f"unix:{path}"}
    upgradable(hop).start()
    for number in range(2):
        upgrade(hop, f"process{number}")
        assert "sockets=5" in re.search(r"event=upgrade_begun .*", fleet.processes[number].output()).group()
        assert hop.figure("outrigger_ready") == 1
        assert exchange(hop.inbound["in"], "GET / HTTP/1.1\r\nHost: x\r\n\r\n").status == 200
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200")


ASK = """
import os, socket, sys
os.setgroups([]), os.setuid(65534)
with socket.socket(socket.AF_UNIX) as asking:
    try:
        asking.connect(sys.argv[1])
        text, sockets, _, _ = socket.recv_fds(asking, 64, 64)
        print(len(sockets), text)
    except PermissionError:
        print("denied")
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can ask as another user")
def test_another_user_gets_no_sockets(fleet):
    hop = hop_of(fleet)
    path = Path(hop.proxy["spec"]["upgrade"]["path"])
    assert path.stat().st_mode & 0o777 == 0o600
    fleet.folder.chmod(0o755)

    def ask():
        return fleet.run([sys.executable, "-c", ASK, path]).stdout.strip()

    assert ask() == "denied"
    path.chmod(0o666)  # as somebody might who means well
    assert ask().startswith("0 ")
    told = re.compile(r'event=upgrade_refused uid=65534 pid=\d+ reason="not now, or not by this user"')
    eventually(lambda: told.search(hop.process.output()), what="the refusal being told, and who asked")
    assert get(hop) == 200


@pytest.mark.parametrize("wrong", ["documents", "address", "program"])
def test_a_new_process_that_does_not_come_up_changes_nothing(fleet, wrong):
    hop = hop_of(fleet)
    if wrong == "documents":
        hop.fleet.write("bad/config.yaml", "kind: Proxy\nnonsense: true\n")
        fleet.start("next", [BIN / "outrigger-proxy", "--config", fleet.folder / "bad", "--upgrade"], exit_codes=(3,)).wait()
    elif wrong == "address":
        with socket.create_server(("127.0.0.1", 0)) as taken:
            hop.proxy["spec"]["listeners"].append({"name": "more", "role": "Outbound", "address": "127.0.0.1:%d" % taken.getsockname()[1]})
            bad = fleet.write("bad/config.yaml", hop.documents)
            fleet.start("next", [BIN / "outrigger-proxy", "--config", bad, "--upgrade"], exit_codes=(1,)).wait()
    else:  # it takes the sockets and dies
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(hop.proxy["spec"]["upgrade"]["path"])
            text, sockets, _, _ = socket.recv_fds(client, 100, 100)
            assert text == b"outrigger 1 sockets\n" and len(sockets) == 4
            for each in sockets:
                os.close(each)
    if wrong != "documents":
        eventually(lambda: " event=upgrade_failed " in hop.process.output())
    assert get(hop) == 200 and hop.process.running() and http_get(hop.metrics, "/readyz")[0] == 200
    hop.proxy["spec"]["listeners"] = hop.proxy["spec"]["listeners"][:1]
    hop.write()
    upgrade(hop)
    assert get(hop) == 200


def test_a_second_start_by_mistake_takes_nothing_from_the_first(fleet):
    hop = Hop(fleet, {"backend": [fleet.backend().address]}, start=False)
    path = fleet.folder / "admin.sock"
    hop.proxy["spec"]["admin"] = {"address": f"unix:{path}"}
    upgradable(hop).start()
    for number, field in enumerate(("admin", "upgrade", "listeners")):  # the first that is in its way
        documents = copy.deepcopy(hop.documents)
        spec = documents[0]["spec"]
        spec["metrics"] = {"address": fleet.address()}
        if field != "admin":
            spec["admin"] = {"address": f"unix:{fleet.folder}/other.sock"}
        if field == "listeners":
            spec["upgrade"] = {"path": f"{fleet.folder}/other.upgrade"}
        second = fleet.start(f"second{number}", [BIN / "outrigger-proxy", "--config", fleet.write(f"second{number}/config.yaml", documents)], exit_codes=(1,))
        assert second.wait() == 1 and "Address already in use" in second.output()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    assert " event=upgrade_begun " not in hop.process.output()
    upgrade(hop)
    assert get(hop) == 200


def test_without_a_predecessor_it_starts(fleet):
    hop = upgradable(Hop(fleet, {"backend": [fleet.backend().address]}, start=False))
    hop.start(arguments=["--upgrade"])
    assert " event=upgrade_alone " in hop.process.output() and get(hop) == 200


def test_one_that_drains_hands_nothing_over(fleet):
    event = threading.Event()
    hop = hop_of(fleet, held(event, message(200, b"done")))
    with Wire(hop.address) as wire:
        wire.get()
        eventually(lambda: fleet.backends[0].connections and fleet.backends[0].connections[0].requests)
        hop.process.signal(signal.SIGTERM)
        eventually(lambda: http_get(hop.metrics, "/readyz")[0] == 503)
        fleet.start("next", [BIN / "outrigger-proxy", "--config", hop.config, "--upgrade"], exit_codes=(1,)).wait()
        event.set()
        assert wire.response().body == b"done"
    assert hop.process.wait() == 0


def test_detach_ends_when_the_new_process_is_ready(fleet):
    hop = hop_of(fleet)
    old = hop.process
    assert fleet.start("next", [BIN / "outrigger-proxy", "--config", hop.config, "--upgrade", "--detach"]).wait() == 0
    assert old.wait() == 0
    assert get(hop) == 200
    assert hop.post("/shutdown")[0] == 202
    eventually(lambda: is_closed(hop.address), what="the detached process being gone")
    hop.fleet.write("hop/config.yaml", "nonsense: true\n")
    assert fleet.run([BIN / "outrigger-proxy", "--config", hop.config, "--detach"]).returncode == 3


def is_closed(address):
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port))).close()
    except ConnectionRefusedError:
        return True
    return False


# --- systemd ---

def start_activated(fleet, hop, sockets, names="", arguments=()):
    """As systemd does: sockets from descriptor 3 on, in the environment how many and what they are called."""
    program = ("import os, sys\nfor at, fd in enumerate(sys.argv[1].split(',')):\n    os.dup2(int(fd), 3 + at)\n"
               "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(sys.argv[1].split(','))), LISTEN_FDNAMES=sys.argv[2])\n"
               "os.execv(sys.argv[3], sys.argv[3:])")
    given = [os.dup(each.fileno()) for each in sockets]
    high = [os.dup2(fd, 100 + at) for at, fd in enumerate(given)]
    for fd in given:
        os.close(fd)
    command = ["/usr/bin/python3", "-c", program, ",".join(map(str, high)), names, BIN / "outrigger-proxy", "--config", hop.write(), *arguments]
    hop.process = fleet.start("hop", command, answers(hop.metrics), pass_fds=high)
    for fd in high:
        os.close(fd)


def test_sockets_of_systemd_are_found_by_address_or_name(fleet):
    with socket.create_server(("127.0.0.1", 0)) as by_address, socket.create_server(("127.0.0.1", 0)) as by_name, socket.create_server(("127.0.0.1", 0)) as nobody:
        hop = Hop(fleet, {"backend": [fleet.backend().address]}, start=False)
        address = "127.0.0.1:%d" % by_address.getsockname()[1]
        hop.proxy["spec"]["listeners"][0]["address"] = address
        hop.proxy["spec"]["listeners"].append({"name": "named", "role": "Outbound", "address": "127.0.0.1:1"})
        early = Wire(address)  # before anybody accepts
        early.get()
        start_activated(fleet, hop, [by_address, by_name, nobody], "whatever:named:nobody")
        assert early.response().status == 200
        early.close()
        for server in (by_address, by_name):
            assert exchange("127.0.0.1:%d" % server.getsockname()[1], "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200
        assert 'event=socket_not_used name="nobody"' in hop.process.output()


def test_a_socket_that_was_found_by_its_name_goes_along(fleet):
    with socket.create_server(("127.0.0.1", 0)) as named, socket.create_server(("127.0.0.1", 0)) as metrics:
        hop = upgradable(Hop(fleet, {"backend": [fleet.backend().address]}, start=False))
        inside, hop.metrics = hop.metrics, "127.0.0.1:%d" % metrics.getsockname()[1]
        hop.proxy["spec"]["metrics"] = {"address": inside}
        start_activated(fleet, hop, [named, metrics], "outbound:metrics")
        given = "127.0.0.1:%d" % named.getsockname()[1]
    for number in range(2):
        upgrade(hop, f"process{number}")
        assert exchange(given, GET).status == 200
        assert hop.figure("outrigger_ready") == 1
    # A name stands for a place that the documents do not know, never for one that they have left.
    hop.proxy["spec"]["listeners"].append({"name": "more", "role": "Outbound", "address": fleet.address()})
    write_aside(hop, "more")
    upgrade(hop, "with one more")
    before = hop.proxy["spec"]["listeners"][1]["address"]
    assert exchange(before, GET).status == 200
    hop.proxy["spec"]["listeners"][1]["address"] = fleet.address()
    write_aside(hop, "moved")
    upgrade(hop, "with one that moved")
    assert exchange(hop.proxy["spec"]["listeners"][1]["address"], GET).status == 200 and is_closed(before)


def test_a_socket_of_both_families_is_that_of_ipv4(fleet):
    """As systemd makes one of ListenStream=PORT."""
    both = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    port = both.getsockname()[1]
    hop = upgradable(Hop(fleet, {"backend": [fleet.backend().address]}, start=False))
    hop.proxy["spec"]["listeners"][0]["address"] = f"0.0.0.0:{port}"
    with both:
        start_activated(fleet, hop, [both], "proxy.socket")
    for number in range(2):
        assert exchange(f"127.0.0.1:{port}", GET).status == 200
        assert hop.logged(number + 1)
        assert all(line["peer"].startswith("127.0.0.1:") for line in hop.log()), "as the client is known by"
        upgrade(hop, f"process{number}")


def test_a_detached_process_has_the_sockets_of_systemd(fleet):
    hop = Hop(fleet, {"backend": [fleet.backend().address]}, start=False)
    with socket.create_server(("127.0.0.1", 0)) as named:
        start_activated(fleet, hop, [named], "outbound", arguments=["--detach"])
        given = "127.0.0.1:%d" % named.getsockname()[1]
    assert hop.process.wait() == 0
    assert exchange(given, GET).status == 200
    assert hop.post("/shutdown")[0] == 202
    eventually(lambda: is_closed(given), what="the detached process being gone")


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_of_each_state(fleet, abstract):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        path = fleet.folder / "notify"
        manager.bind(f"\0{path}" if abstract else str(path))
        manager.settimeout(60)
        environment = {"NOTIFY_SOCKET": f"@{path}" if abstract else str(path)}
        hop = upgradable(Hop(fleet, {"backend": [fleet.backend().address]}, start=False))
        hop.start(environment=environment)
        assert manager.recv(1000).decode().split("\n") == [f"MAINPID={hop.process.pid}", "READY=1"]
        hop.process.signal(signal.SIGHUP)
        assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", manager.recv(1000).decode())
        assert manager.recv(1000) == b"READY=1"
        old = hop.process
        hop.process = fleet.start("next", [BIN / "outrigger-proxy", "--config", hop.config, "--upgrade"], environment=environment)
        assert manager.recv(1000).decode().split("\n") == [f"MAINPID={hop.process.pid}", "READY=1"]
        assert old.wait() == 0
        hop.process.stop()
        assert manager.recv(1000) == b"STOPPING=1"


def test_documents_of_the_new_process_may_differ(fleet):
    hop = hop_of(fleet)
    hop.proxy["spec"]["workers"] = 2 if hop.proxy["spec"].get("workers") == 1 else 1
    hop.proxy["spec"]["listeners"][0]["name"] = "renamed"
    more = hop.add_listener()
    hop.documents.append(service("other", [fleet.backend(reply(204)).address]))
    write_aside(hop, "fresh")
    upgrade(hop)
    assert get(hop) == 200
    assert exchange(more, "GET / HTTP/1.1\r\nHost: other\r\n\r\n").status == 204
