# presets: dev release
"""docs/getting-started.md as a new user reads it: all its commands, as they stand and in their order, in a folder of their own, with what the page says that they print. What is not run
is the build, whose programs are those under test; ports are free ones."""

import os
import re

from support.fleet import BIN, ROOT, take_port

PAGE = ROOT / "docs" / "getting-started.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
PORT = re.compile(r"(?<=[ :])(8001|8002|15\d\d\d)\b")
BUILD = "./dev build release\n"

# A command that fails ends it, and whatever runs in the background goes along.
PRELUDE = "set -eu\ntrap 'kill $(jobs -p) 2> /dev/null || true; wait' EXIT\n"


def steps():
    """(commands, what they print, line by line) of each block."""
    found = []
    for kind, content in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        assert kind in ("sh", "text"), kind
        if kind == "sh":
            found.append((content, []))
        else:
            assert not found[-1][1], "two outputs of one step"
            found[-1][1].extend(content.splitlines())
    return found


def pattern(line):
    """A line of the page's output; `...` stands for anything."""
    return re.compile(".*".join(re.escape(part) for part in line.split("...")) + "$", re.M)


def test_every_command_of_the_page_does_what_it_says(fleet):
    blocks = steps()
    assert BUILD in blocks[0][0] and len(blocks) > 10
    ports = {}

    def placed(text):
        text = PORT.sub(lambda match: ports.setdefault(match[1], str(take_port())), text)
        return text.replace(BUILD, "").replace('"$PWD/build/release/bin:$PATH"', f'"{BIN}:$PATH"')

    script = PRELUDE + "".join(f"{placed(commands)}echo '=== {number}'\n" for number, (commands, _) in enumerate(blocks))
    work = fleet.folder / "work"
    work.mkdir()
    done = fleet.run(["bash", fleet.write("page.sh", script)], timeout=120, folder=ROOT, environment={"TMPDIR": str(work)})
    logs = "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')[-2000:]}" for path in work.rglob("*.log") if path.is_file())
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{logs}"
    outputs = re.split(r"^=== \d+\n", done.stdout, flags=re.M)
    for (commands, wanted), output in zip(blocks, outputs):
        position = 0
        for line in wanted:
            found = pattern(placed(line)).search(output, position)
            assert found, f"after {commands}\nthere is no {line!r} in\n{output[position:]}"
            position = found.end()
    assert "Sanitizer" not in logs, logs
    assert os.listdir(work), "it works in a folder of its own"
