# presets: dev
"""The support code itself: a fleet notices what goes wrong with its processes, backends and certificates are what they are said to be."""

import http.client
import json
import shutil
import socket
import threading

import pytest
from cryptography import x509

from support import backend
from support.fleet import Fleet, FleetError, accepts, eventually, http_get, prints, split_address, take_port
from support.secret_volume import SecretVolume
from support.test_ca import HOUR, Authority, spiffe_id

SHELL = "/bin/sh"


def failing_fleet(action):
    """Runs `action` with a fleet of its own that is closed as after a passed test; returns the failure."""
    try:
        with pytest.raises(FleetError) as caught:
            with Fleet() as inner:
                action(inner)
    finally:
        shutil.rmtree(inner.folder)
    return str(caught.value)


def test_ports_differ_and_are_free():
    ports = [take_port() for _ in range(50)]
    assert len(set(ports)) == 50
    with socket.create_server(("127.0.0.1", take_port())) as taken:
        assert taken.getsockname()[1] not in [take_port() for _ in range(50)]


def test_a_process_is_stopped_and_its_folder_removed():
    with Fleet() as inner:
        process = inner.start("good", [SHELL, "-c", "trap 'exit 0' TERM; echo up; while :; do sleep 0.02; done"], prints("up"))
        assert process.running()
    assert not process.running() and not inner.folder.exists()


def test_a_wrong_exit_code_is_a_failure():
    assert "ended with 3" in failing_fleet(lambda inner: inner.start("bad", [SHELL, "-c", "trap 'exit 3' TERM; echo up; while :; do sleep 0.02; done"], prints("up")))


def test_a_process_that_need_not_be_ready_may_end_at_once():
    with Fleet() as inner:
        for number in range(50):  # as quick as it can: it is over before anybody looks, now and then
            assert inner.start(f"quick{number}", ["/bin/false"], exit_codes=(1,)).wait() == 1


def test_a_report_of_a_sanitizer_is_a_failure():
    script = "trap 'exit 0' TERM; echo 'x.c:1: runtime error: shift'; echo up; while :; do sleep 0.02; done"
    assert "sanitizer" in failing_fleet(lambda inner: inner.start("bad", [SHELL, "-c", script], prints("up")))


def test_a_process_that_ignores_sigterm_is_killed_and_is_a_failure():
    def action(inner):
        inner.start("deaf", [SHELL, "-c", "trap '' TERM; echo up; while :; do sleep 0.02; done"], prints("up")).stop(timeout=0.2)
    assert "was killed" in failing_fleet(action)


def test_a_process_that_ends_before_it_is_ready_is_a_failure():
    assert "no luck" in failing_fleet(lambda inner: inner.start("gone", [SHELL, "-c", "echo no luck; exit 1"], prints("up"), exit_codes=(0, 1)))


def test_a_process_killed_on_purpose_is_no_failure(fleet):
    fleet.start("victim", [SHELL, "-c", "echo up; while :; do sleep 0.02; done"], prints("up")).kill()


def test_eventually_tells_why_it_gave_up():
    def never():
        assert 1 == 2
    with pytest.raises(FleetError) as caught:
        eventually(never, timeout=0.05, what="the impossible")
    assert "the impossible" in str(caught.value) and isinstance(caught.value.__cause__, AssertionError)


def test_a_command_is_run_to_its_end(fleet):
    done = fleet.run([SHELL, "-c", "echo out; echo err >&2; exit 4"])
    assert (done.returncode, done.stdout, done.stderr) == (4, "out\n", "err\n")


def test_backend_echoes_requests_on_a_kept_connection(fleet):
    echo = fleet.backend()
    client = http.client.HTTPConnection(*split_address(echo.address))
    for count in range(2):
        client.request("POST", "/a?b", body=iter([b"one", b"two"]), headers={"X-A": "1"}, encode_chunked=True)
        told = json.loads(client.getresponse().read())
        assert (told["method"], told["target"], told["body"], told["connection"]) == ("POST", "/a?b", "onetwo", 0)
        assert ["X-A", "1"] in told["headers"]
        assert len(echo.requests) == count + 1
    client.close()


def test_backend_sends_exact_bytes_and_breaks_where_told(fleet):
    whole = backend.message(200, b"0123456789")
    address = fleet.backend(backend.cut(whole, len(whole) - 4)).address
    with pytest.raises(http.client.IncompleteRead):
        http_get(address)
    address = fleet.backend(backend.cut(whole, 10, reset=True)).address
    with pytest.raises(ConnectionResetError):
        http_get(address)
    address = fleet.backend(backend.replay(whole, backend.message(404))).address
    with socket.create_connection(split_address(address)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
        received = b""
        while more := client.recv(4096):
            received += more
    assert received == whole + backend.message(404)


def test_backend_answers_when_the_test_says(fleet):
    event = threading.Event()
    slow = fleet.backend(backend.held(event, backend.message(204)))
    answers = []
    asking = threading.Thread(target=lambda: answers.append(http_get(slow.address)))
    asking.start()
    eventually(lambda: slow.requests)
    assert not answers
    event.set()
    asking.join()
    assert answers[0][0] == 204


def test_backend_can_be_restarted_on_its_port(fleet):
    first = fleet.backend(backend.reply(200, b"first"))
    assert http_get(first.address) == (200, b"first")
    first.close()
    assert not accepts(first.address)(None)
    second = fleet.backend(backend.reply(200, b"second"), port=first.port)
    assert http_get(second.address) == (200, b"second")


def test_backend_tells_what_its_script_raised():
    def broken(connection):
        raise ValueError("the script")
    with pytest.raises(ValueError):
        with Fleet() as inner:
            faulty = inner.backend(broken)
            assert accepts(faulty.address)(None)
            eventually(lambda: faulty.failures)
    shutil.rmtree(inner.folder)


def uris(certificate):
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def test_certificates_verify_with_openssl(fleet):
    authority = Authority()
    bundle = fleet.write("ca.crt", authority.bundle_pem)
    for issuer in (authority, authority.intermediate()):
        svid = issuer.issue(spiffe_id("school", "courses"))
        leaf, _ = svid.write(fleet.folder / "svid")
        verify = ["openssl", "verify", "-x509_strict", "-CAfile", bundle]
        assert fleet.run([*verify, "-untrusted", leaf, leaf]).returncode == 0
        assert uris(svid.certificate) == ["spiffe://school.local/ns/school/sa/courses"]
        expired, _ = issuer.issue(spiffe_id("school", "courses"), lifetime=-HOUR / 60).write(fleet.folder / "expired")
        assert "expired" in fleet.run([*verify, "-untrusted", expired, expired]).stderr
        early, _ = issuer.issue(spiffe_id("school", "courses"), starts=HOUR, lifetime=2 * HOUR).write(fleet.folder / "early")
        assert "not yet valid" in fleet.run([*verify, "-untrusted", early, early]).stderr
    stranger, _ = Authority().issue(spiffe_id("school", "courses")).write(fleet.folder / "stranger")
    assert fleet.run([*verify, stranger]).returncode != 0


def test_certificates_break_the_rule_that_is_named():
    authority = Authority()
    identity = spiffe_id("school", "courses")
    extensions = authority.issue(identity, usages=None, extended=()).certificate.extensions
    assert not [part for part in extensions if isinstance(part.value, (x509.KeyUsage, x509.ExtendedKeyUsage))]
    assert uris(authority.issue(identity, identity + "2").certificate) == [identity, identity + "2"]
    constraints = authority.issue(identity, ca=True).certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.value.ca
    assert authority.issue(identity, subject="courses").certificate.subject.rfc4514_string() == "CN=courses"


def test_secret_volume_swaps_all_files_at_once(fleet):
    volume = SecretVolume(fleet.folder / "secret")
    volume.publish({"tls.crt": b"one", "tls.key": b"1"})
    assert (volume / "tls.crt").read_bytes() == b"one"
    volume.publish({"tls.crt": b"two", "tls.key": b"2"})
    assert ((volume / "tls.crt").read_bytes(), (volume / "tls.key").read_bytes()) == (b"two", b"2")
    assert (volume / "tls.crt").is_symlink() and (volume / "..data").is_symlink()
