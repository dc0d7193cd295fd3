"""A folder whose files are swapped as Kubernetes swaps those of a mounted secret: all at once, by renaming one symbolic link.

    volume/tls.crt -> ..data/tls.crt        volume/..data -> ..3        volume/..3/tls.crt
"""

import os
import shutil
from pathlib import Path


class SecretVolume:
    """`publish` replaces the whole content; paths of files (volume / "tls.crt") stay the same."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self.version = 0

    def __truediv__(self, name):
        return self.folder / name

    def publish(self, files):
        """`files`: name -> bytes."""
        old = self.folder / f"..{self.version}"
        self.version += 1
        new = self.folder / f"..{self.version}"
        new.mkdir()
        for name, content in files.items():
            (new / name).write_bytes(content)
        os.symlink(new.name, self.folder / "..data_new")
        os.rename(self.folder / "..data_new", self.folder / "..data")
        for name in files:
            if not (self.folder / name).is_symlink():
                os.symlink(f"..data/{name}", self.folder / name)
        shutil.rmtree(old, ignore_errors=True)
