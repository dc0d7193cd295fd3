# presets: dev
"""`outrigger check`, and the rest of the command line that needs no proxy: whole outputs (tests/golden/config) and exit codes."""

import subprocess
from pathlib import Path

import pytest
from golden.generate import BIN, check, config_cases

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "docs" / "examples"


def run(*arguments):
    return subprocess.run([BIN / "outrigger", *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("case", config_cases(), ids=lambda case: case.name)
def test_check_says_what_it_said(case):
    assert check(case) == (case / "expected.txt").read_text(encoding="utf-8"), "if it should be so: ./dev generate"


def example_folders():
    return sorted({path.parent for path in EXAMPLES.rglob("proxy.yaml")})


@pytest.mark.parametrize("folder", example_folders(), ids=lambda folder: str(folder.relative_to(EXAMPLES)))
def test_the_examples_are_good(folder):
    done = run("check", str(folder))
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_an_application_is_no_service_and_a_namespace_may_have_any_name(tmp_path):
    (tmp_path / "mesh.yaml").write_text("""apiVersion: outrigger.dev/v1alpha1
kind: Proxy
metadata: {name: p, namespace: app}
spec:
  listeners:
  - {name: in, role: Inbound, forwardTo: "127.0.0.1:8000", mtls: {mode: Disable}}
---
apiVersion: outrigger.dev/v1alpha1
kind: ServiceEntry
metadata: {name: courses, namespace: app}
spec:
  hosts: [courses]
  ports: [{name: http, port: 80}]
  tls: {mode: None}
  endpoints: [{address: "127.0.0.1:8001"}]
""", encoding="utf-8")
    done = run("check", str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "ok: Proxy app/p: 1 listener, 1 service port with 1 endpoint\n"), done.stderr
    done = subprocess.run([BIN / "outrigger-proxy", "--config", tmp_path, "--check"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "the configuration is fine: 1 services, 1 listeners\n"), done.stderr


def test_version_and_help():
    assert run("--version").stdout == run("version").stdout != ""
    assert run("--version").stdout.startswith("outrigger ")
    for arguments in (["help"], ["--help"], ["-h"]):
        assert run(*arguments).returncode == 0
        assert "check" in run(*arguments).stdout
    assert "PATH" in run("help", "check").stdout


@pytest.mark.parametrize("arguments", [[], ["chekc"], ["check"], ["check", "--loud", "x"], ["help", "chekc"], ["version", "x"]], ids=" ".join)
def test_wrong_usage_is_exit_2(arguments):
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("outrigger")


def test_refused_documents_are_exit_3(tmp_path):
    done = run("check", str(tmp_path))
    assert (done.returncode, done.stdout) == (3, "")
    assert f"{tmp_path}: there is no document of kind Proxy" in done.stderr
    assert run("check", "--", str(tmp_path / "missing")).returncode == 3
