"""A cgroup of a test's own with a limit of memory, version 2 or the memory controller of version 1, where one may be made."""

import contextlib
import uuid
from pathlib import Path

# Root of the hierarchy -> names of the limit and of the use in it.
VERSIONS = {"/sys/fs/cgroup": ("memory.max", "memory.current"), "/sys/fs/cgroup/memory": ("memory.limit_in_bytes", "memory.usage_in_bytes")}


class Cgroup:
    """`folder` is None where none can be made."""

    def __init__(self):
        self.folder = None
        for root, (self.limit, self.use) in VERSIONS.items():
            folder = Path(root) / f"outrigger-{uuid.uuid4().hex}"
            with contextlib.suppress(OSError):
                folder.mkdir()
                if (folder / self.limit).exists():
                    self.folder = folder
                    return
                folder.rmdir()

    def inside(self):
        """Words before a command that has its process, and what it starts, go inside."""
        return ["sh", "-c", f'echo $$ > {self.folder}/cgroup.procs && exec "$@"', "sh"]

    def start(self, fleet, name, argv, ready, **options):
        """Starts a process inside."""
        return fleet.start(name, [*self.inside(), *argv], ready, **options)

    def set_limit(self, count):
        (self.folder / self.limit).write_text(str(count), encoding="ascii")

    def used(self):
        return int((self.folder / self.use).read_text(encoding="ascii"))

    def held(self):
        """What is used, less pages of files that the system can drop: logs that were written, for one."""
        lines = dict(line.split() for line in (self.folder / "memory.stat").read_text(encoding="ascii").splitlines())
        return self.used() - int(lines.get("total_inactive_file", lines["inactive_file"]))

    def set_share(self, percent):
        """Sets the limit so that the present use is about `percent` of it."""
        self.set_limit(self.used() * 100 // percent)

    def remove(self):
        """Once nothing is inside any more."""
        if self.folder is not None:
            with contextlib.suppress(OSError):
                self.folder.rmdir()
