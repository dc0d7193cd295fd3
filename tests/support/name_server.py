"""A name server for tests: dnsmasq on a port of its own, answering for what is below `example` alone, with TTLs of a second.

    names = NameServer(fleet, {"courses.example": ["127.0.0.1"]})
    Hop(fleet, [...], dns={"servers": [names.address]})
    names.set({"courses.example": ["127.0.0.2"]})
"""

import shutil
import signal
import socket
import struct
from pathlib import Path

from support.fleet import eventually, split_address

DNSMASQ = shutil.which("dnsmasq", path="/usr/sbin:/usr/bin:/sbin:/bin")


class NameServer:
    """`records`: name -> addresses. `services`: lines of srv-host ("_http._tcp.courses.example,a.example,80,10,5"); they are those of the start."""

    def __init__(self, fleet, records=None, services=(), address=None):
        assert DNSMASQ, "dnsmasq is missing: ./dev setup installs dnsmasq-base"
        self.fleet = fleet
        self.address = address or fleet.address()
        self.services = services
        self.process = None
        self.file = Path(fleet.folder) / f"names-{self.address}"
        self.write(records or {})
        self.start()

    def write(self, records):
        self.file.write_text("".join(f"{address} {name}\n" for name, addresses in records.items() for address in addresses) + "192.0.2.1 ready.example\n")

    def start(self):
        host, port = split_address(self.address)
        argv = [DNSMASQ, "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root", "--no-resolv", "--no-hosts", "--no-poll", "--local-ttl=1",
                "--local=/example/", "--bind-interfaces", f"--listen-address={host}", f"--port={port}", f"--addn-hosts={self.file}", "--log-facility=-",
                *(f"--srv-host={line}" for line in self.services)]
        self.process = self.fleet.start("dnsmasq", argv, lambda _process: self.knows("ready.example"), exit_codes=(0, -signal.SIGTERM))

    def set(self, records):
        """Other records from now on: returns once they are answered with."""
        self.write(records)
        before = self.process.output().count("read ")
        self.process.signal(signal.SIGHUP)
        eventually(lambda: self.process.output().count("read ") > before, what="dnsmasq reading its names again")

    def stop(self):
        self.process.stop()

    def knows(self, name):
        """Whether it has an address of the name, asked by hand."""
        question = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0\0\1\0\1"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(1)
            asking.connect(split_address(self.address))
            try:
                asking.send(question)
                return struct.unpack(">H", asking.recv(4096)[6:8])[0] > 0
            except OSError:
                return False
