# presets: dev release
"""What the process takes from itself: no new privileges, no system calls but a proxy's, no files but in its folders, no core; and everything works all the same."""

import ctypes
import os
import re
import resource
import shutil
import signal
from pathlib import Path

import pytest

from support.backend import reply
from support.fleet import BIN, PRESET, answers, eventually, take_port
from support.hop import Hop, service
from support.name_server import NameServer
from support.wire import exchange


def status_of(process, thread=None):
    path = Path(f"/proc/{process.pid}/status" if thread is None else f"/proc/{process.pid}/task/{thread}/status")
    return dict(line.split(":\t", 1) for line in path.read_text().splitlines() if ":\t" in line)


def has_landlock():
    return ctypes.CDLL(None).syscall(444, None, 0, 1) >= 1


def hop_of(fleet, **spec):
    return Hop(fleet, {"backend": [fleet.backend(reply(200, b"ok")).address]}, **spec)


def get(hop):
    return exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status


@pytest.mark.parametrize("workers", [1, 2])
def test_every_thread_is_restricted(fleet, workers):
    hop = hop_of(fleet, workers=workers)
    assert get(hop) == 200
    threads = os.listdir(f"/proc/{hop.process.pid}/task")
    assert len(threads) >= workers + 2  # main and the log's
    for thread in threads:
        status = status_of(hop.process, thread)
        assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
    assert hop.page("/version")["hardening"] == {"seccomp": "enforced", "landlock": "enforced" if has_landlock() else "not supported"}
    assert 'event=hardened seccomp="enforced"' in hop.process.output()


def test_both_can_be_switched_off(fleet):
    hop = hop_of(fleet, hardening={"seccomp": "Disable", "landlock": "Disable"})
    assert get(hop) == 200
    assert status_of(hop.process)["Seccomp"] == "0"
    assert hop.page("/version")["hardening"] == {"seccomp": "disabled", "landlock": "disabled"}


def test_there_is_no_core(fleet):
    hop = hop_of(fleet)
    assert resource.prlimit(hop.process.pid, resource.RLIMIT_CORE) == (0, 0)
    if PRESET == "release" and os.getuid() != 0:
        assert os.stat(f"/proc/{hop.process.pid}/environ").st_uid == 0, "nobody of the same user may look into it"
    if PRESET == "release":  # a sanitizer has its own handlers
        hop.process.exit_codes = {-signal.SIGABRT}
        hop.process.signal(signal.SIGABRT)
        hop.process.wait()
        assert not [name for name in os.listdir(hop.process.log.parent) if name.startswith("core")]


@pytest.mark.skipif(not has_landlock(), reason="this kernel has no Landlock")
@pytest.mark.parametrize("field", ["accessLog", "identity", "tokenFile"])
def test_a_reload_may_not_name_another_folder(fleet, field):
    hop = hop_of(fleet)
    other = fleet.folder.parent / (fleet.folder.name + "-other")
    other.mkdir()
    try:
        (other / "file").write_text("secret")
        if field == "accessLog":
            hop.proxy["spec"]["telemetry"]["accessLog"]["path"] = str(other / "access.log")
        elif field == "identity":
            hop.proxy["spec"]["identity"] = dict.fromkeys(["certificate", "privateKey", "trustBundle"], str(other / "file"))
        else:
            hop.proxy["spec"]["admin"]["tokenFile"] = str(other / "file")
        hop.write()
        status, answer = hop.post("/reload")
        assert status == 422 and f"{other}/" in answer["errors"][0] and "an upgrade or a restart takes new ones" in answer["errors"][0], answer
        assert get(hop) == 200 and hop.generation() == 1
        hop.process.stop()
        if field != "identity":
            hop.start()
            assert get(hop) == 200
    finally:
        shutil.rmtree(other)


@pytest.mark.skipif(not has_landlock(), reason="this kernel has no Landlock")
def test_a_link_out_of_the_folders_leads_nowhere(fleet):
    hop = hop_of(fleet)
    (fleet.folder / "hop" / "config.yaml").unlink()
    (fleet.folder / "hop" / "config.yaml").symlink_to("/etc/passwd")
    status, answer = hop.post("/reload")
    assert status == 422 and "cannot be read: Permission denied" in answer["errors"][0], answer
    assert get(hop) == 200


def test_files_that_are_replaced_are_read_again(fleet):
    hop = hop_of(fleet)
    fleet.write("fresh", hop.token + "-2")
    os.replace(fleet.folder / "fresh", fleet.folder / "hop.token")
    hop.token += "-2"
    fleet.write("fresh.yaml", hop.documents)
    os.replace(fleet.folder / "fresh.yaml", hop.config)
    assert hop.post("/reload")[0] == 200
    assert hop.figure("process_open_fds") > 0 and hop.figure("process_resident_memory_bytes") > 0


class OwnEtc:
    """An /etc of the process's own, in a mount namespace: a copy whose files the test may replace."""

    def __init__(self, fleet):
        if os.getuid() != 0 or fleet.run(["unshare", "--mount", "true"]).returncode != 0:
            pytest.skip("no mount namespace can be made here")
        self.folder = fleet.folder / "etc"
        self.folder.mkdir()
        for name in ("passwd", "group", "nsswitch.conf"):
            shutil.copy(f"/etc/{name}", self.folder / name)
        fleet.folder.chmod(0o777)

    def rename_over(self, name, text):
        (self.folder / "fresh").write_text(text)
        (self.folder / "fresh").chmod(0o644)
        os.replace(self.folder / "fresh", self.folder / name)

    def start(self, fleet, hop, user):
        hop.write()
        script = f'mount --bind {self.folder} /etc && exec setpriv --reuid {user} --clear-groups "$0" --config "$1"'
        hop.process = fleet.start("hop", ["unshare", "--mount", "sh", "-c", script, BIN / "outrigger-proxy", hop.config], answers(hop.metrics))


@pytest.mark.skipif(not has_landlock(), reason="this kernel has no Landlock")
@pytest.mark.parametrize("user", [0, 65534])
def test_the_resolvers_files_when_something_is_renamed_over_them(fleet, user):
    """Root keeps to what they said, and says so once; any other user follows."""
    etc = OwnEtc(fleet)
    etc.rename_over("resolv.conf", "nameserver 127.0.0.1\nsearch one.example\n")
    etc.rename_over("hosts", "127.0.0.3 filed\n")
    port = take_port()
    for host, body in (("127.0.0.1", b"one"), ("127.0.0.2", b"two"), ("127.0.0.3", b"three"), ("127.0.0.4", b"four")):
        fleet.backend(reply(200, body), port, host=host)
    names = NameServer(fleet, {"courses.one.example": ["127.0.0.1"], "courses.two.example": ["127.0.0.2"]})
    hop = Hop(fleet, [service("courses", [f"courses:{port}"], resolution="DNS"), service("filed", [f"filed:{port}"], resolution="DNS")],
              dns={"servers": [names.address]}, start=False)
    etc.start(fleet, hop, user)

    def bodies():
        return [exchange(hop.address, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").body for host in ("courses", "filed")]

    assert bodies() == [b"one", b"three"]
    etc.rename_over("resolv.conf", "nameserver 127.0.0.1\nsearch two.example\n")
    etc.rename_over("hosts", "127.0.0.4 filed\n")
    if user != 0:
        eventually(lambda: bodies() == [b"two", b"four"], what="the new files being followed")
        return
    lookups = hop.figure("outrigger_dns_lookups_total", outcome="found")
    eventually(lambda: hop.process.output().count("event=dns_file_unreadable") == 2, what="both files being missed")
    eventually(lambda: hop.figure("outrigger_dns_lookups_total", outcome="found") > lookups + 4, what="further look-ups")
    assert bodies() == [b"one", b"three"]
    assert hop.process.output().count("event=dns_file_unreadable") == 2


@pytest.mark.skipif(not has_landlock(), reason="this kernel has no Landlock")
def test_a_folder_of_the_access_log_that_is_made_later(fleet):
    hop = Hop(fleet, {"backend": [fleet.backend(reply(200, b"ok")).address]}, start=False)
    log = fleet.folder / "later" / "logs" / "access.log"
    hop.proxy["spec"]["telemetry"]["accessLog"]["path"] = str(log)
    hop.start()
    assert get(hop) == 200
    log.parent.mkdir(parents=True)
    eventually(lambda: get(hop) == 200 and log.exists() and '"status":200' in log.read_text(), what="lines in the new folder")


@pytest.mark.skipif(not has_landlock(), reason="this kernel has no Landlock")
def test_a_folder_of_the_access_log_that_is_made_anew_is_out_of_reach_and_that_is_told(fleet):
    hop = hop_of(fleet)
    assert get(hop) == 200
    hop.logged()
    shutil.rmtree(hop.access_log.parent)
    hop.access_log.parent.mkdir()
    eventually(lambda: get(hop) == 200 and hop.figure("outrigger_access_log_dropped_total", reason="failed") > 0, what="lost lines being counted")
    assert "event=access_log_failed" in hop.process.output() and "where Landlock is enforced" in hop.process.output()
    assert not hop.access_log.exists()


@pytest.mark.skipif(not has_landlock(), reason="this kernel has no Landlock")
def test_a_folder_of_the_access_log_that_is_missing_in_too_wide_a_one_is_told(fleet):
    hop = Hop(fleet, {"backend": [fleet.backend(reply(200, b"ok")).address]}, start=False)
    hop.proxy["spec"]["telemetry"]["accessLog"]["path"] = "/tmp/outrigger-is-not-there/access.log"
    hop.start()
    assert get(hop) == 200
    told = [line for line in hop.process.output().splitlines() if "event=log_folder_missing" in line]
    assert len(told) == 1 and 'path="/tmp/outrigger-is-not-there/access.log"' in told[0]


@pytest.mark.parametrize("descriptors", [6, 10, 14, 18, 20, 24, 30, 40])
def test_too_few_descriptors_are_told(fleet, descriptors):
    config = hop_of(fleet, start=False).write()
    few = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", BIN / "outrigger-proxy", "--config", config]
    result = fleet.run(few)
    assert result.returncode == 1
    assert re.search(rf"too few file descriptors: the process may have {descriptors} and needs \d+ at least \(ulimit -n, LimitNOFILE\)", result.stderr), result.stderr


def test_as_many_descriptors_as_are_asked_for_are_enough(fleet):
    hop = hop_of(fleet, start=False, workers=2)
    config = hop.write()
    told = fleet.run(["sh", "-c", 'ulimit -n 40; exec "$@"', "sh", BIN / "outrigger-proxy", "--config", config]).stderr
    needed = int(re.search(r"needs (\d+) at least", told).group(1))
    process = fleet.start("few", ["sh", "-c", f'ulimit -n {needed}; exec "$@"', "sh", BIN / "outrigger-proxy", "--config", config], ready=answers(hop.metrics))
    assert get(hop) == 200
    assert process.running()
