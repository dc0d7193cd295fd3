"""Golden files: what a program says, kept whole. `./dev generate` rewrites them; the tests compare.

tests/golden/config/<case>/ has input.yaml or a folder input, and expected.txt: what `outrigger check` says of it. docs/reference.md is what `outrigger schema` says;
operations.py makes the table of docs/operations.md, metrics_page.py docs/metrics.md,
dashboard.py docs/grafana/outrigger.json.
"""

import os
import subprocess
from pathlib import Path

from golden import dashboard, metrics_page, operations

HERE = Path(__file__).resolve().parent
BIN = Path(os.environ.get("OUTRIGGER_BIN", HERE.parent.parent / "build" / "dev" / "bin"))

def config_cases():
    return sorted(path for path in (HERE / "config").iterdir() if path.is_dir())

def check(case):
    """The output and exit code of `outrigger check` on a case, as they stand in expected.txt."""
    name = "input.yaml" if (case / "input.yaml").exists() else "input"
    done = subprocess.run([BIN / "outrigger", "check", name], cwd=case, capture_output=True, text=True, timeout=60, check=False)
    return f"{done.stderr}{done.stdout}exit {done.returncode}\n"

REFERENCE = HERE.parent.parent / "docs" / "reference.md"

def reference():
    return subprocess.run([BIN / "outrigger", "schema"], capture_output=True, text=True, timeout=60, check=True).stdout

def main():
    REFERENCE.write_text(reference(), encoding="utf-8")
    operations.rewrite()
    metrics_page.rewrite()
    dashboard.rewrite()
    for case in config_cases():
        (case / "expected.txt").write_text(check(case), encoding="utf-8")

if __name__ == "__main__":
    main()
