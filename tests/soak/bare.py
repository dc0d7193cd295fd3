"""The soak of bare machines: Debian roots with nothing but git, a fresh clone of what is committed, and the README's two commands in it.

Needs root, debootstrap and apt sources for Debian on this machine; takes from it the mirror and what it tells apt of fetching. Everything lies in one folder under
/var/tmp (the short form does the demo on the oldest alone), and /proc and /dev are bound into it while commands run: they are taken away before anything is removed.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from stack import SoakFailure
from support.fleet import ROOT

SUITES = ("bookworm", "trixie")
COMMANDS = (("demo", "./dev demo --once", 3600), ("test", "./dev test", 7200))
LOGS = ROOT / "build" / "log"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
BOUND = ("proc", "dev")


def output_of(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def run_logged(log, words, limit_s):
    """Runs it in a session of its own with its output in `log`; returns the exit code."""
    with open(log, "wb") as output:
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            return child.wait(limit_s)
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise


def archives():
    """label -> address, of the archives that this machine's apt knows."""
    lines = output_of("apt-get", "indextargets", "--format", "$(LABEL)|$(REPO_URI)", "Created-By: Packages").splitlines()
    return dict(reversed([line.split("|", 1) for line in lines]))


def make_root(root, suite, log):
    known = archives()
    if "Debian" not in known:
        raise SoakFailure("apt knows no Debian archive here: apt-get update")
    keys = ["--keyring", KEYRING] if KEYRING.exists() else []
    if run_logged(log, ["debootstrap", "--variant=minbase", "--include=git,ca-certificates", *keys, suite, root, known["Debian"]], 1800) != 0:
        raise SoakFailure(f"debootstrap failed; its output: {log}")
    lines = [f"deb {known['Debian']} {suite} main", f"deb {known['Debian']} {suite}-updates main"]
    if "Debian-Security" in known:
        lines.append(f"deb {known['Debian-Security']} {suite}-security main")
    (root / "etc/apt/sources.list").write_text("\n".join(lines) + "\n", encoding="ascii")
    fetching = [line for line in output_of("apt-config", "dump").splitlines() if line.startswith("Acquire::")]
    (root / "etc/apt/apt.conf.d/99fetching").write_text("\n".join(fetching) + "\n", encoding="utf-8")
    for name in ("resolv.conf", "hosts"):
        shutil.copyfile(Path("/etc") / name, root / "etc" / name)
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", f"file://{ROOT}", root / "outrigger"], check=True)


def mounts_below(root):
    """Where something is mounted below `root`, the deepest first."""
    points = [line.split(" ")[1] for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    return sorted((point for point in points if point.startswith(f"{root}/")), reverse=True)


def processes_in(root):
    """Processes that run inside the root: what a command left behind."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.readlink(folder / "root") == str(root):
                yield int(folder.name)


@contextlib.contextmanager
def bound(root):
    try:
        for name in BOUND:
            subprocess.run(["mount", "--bind", f"/{name}", root / name], check=True)
        yield
    finally:
        for pid in processes_in(root):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for point in mounts_below(root):
            subprocess.run(["umount", point], check=False)


def remove(root):
    left = mounts_below(root)
    if left:
        raise SoakFailure(f"still mounted, so nothing is removed: {' '.join(left)}")
    shutil.rmtree(root)


def run_suite(run, root, suite):
    figures = {}
    run.say(f"{suite}: a root with nothing but git")
    make_root(root, suite, LOGS / f"bare-{suite}-root.log")
    variables = [f"{name}={os.environ[name]}" for name in ("http_proxy", "https_proxy", "no_proxy") if name in os.environ]
    environment = ["env", "-i", "HOME=/root", "LANG=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *variables]
    with bound(root):
        for name, command, limit_s in COMMANDS[:1] if run.quick else COMMANDS:
            log = LOGS / f"bare-{suite}-{name}.log"
            begun = time.monotonic()
            code = run_logged(log, ["chroot", root, *environment, "sh", "-c", f"cd /outrigger && {command}"], limit_s)
            run.check(code == 0, f"{suite}: {command} ended with {code} after {time.monotonic() - begun:.0f} s; its output: {log}")
            figures[name] = f"{time.monotonic() - begun:.0f} s"
    return figures


def bare(run):
    if os.geteuid() != 0:
        raise SoakFailure("it takes root to make a root")
    if shutil.which("debootstrap") is None:
        raise SoakFailure("debootstrap is missing: apt-get install debootstrap")
    LOGS.mkdir(parents=True, exist_ok=True)
    figures = {"commit": output_of("git", "-C", ROOT, "rev-parse", "--short", "HEAD").strip()}
    for suite in SUITES[:1] if run.quick else SUITES:
        root = Path(tempfile.mkdtemp(prefix="outrigger-bare-", dir="/var/tmp"))
        try:
            figures[suite] = run_suite(run, root, suite)
        finally:
            remove(root)
    return figures
