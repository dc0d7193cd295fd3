"""A TCP relay that stalls on demand: between a client and a server it lets bytes pass, holds them from a given one on, or cuts the connections.

    with StallRelay(backend_address) as relay:
        relay.stall("down", after=1000)     # of each connection 1,000 bytes more come back, then none
        ...                                 # talk to relay.address
        relay.resume("down")

While it stalls it does not read, so that both ends see what they would see of a peer that has stopped: full windows, no error, no end. "up" is from the
client to the server, "down" the way back. It is in this process, on two threads per connection: for behaviour, not for throughput.
"""

import contextlib
import socket
import struct
import threading

from support.fleet import split_address, take_port

CHUNK = 65536
RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: closing sends a reset


class Gate:
    """One direction of all connections. `limit` is how many bytes of each may pass from the moment it was set; None: all."""

    def __init__(self):
        self.changed = threading.Condition()
        self.limit = None
        self.era = 0  # counts the changes of `limit`: a pump counts its bytes anew in each
        self.closed = False

    def set(self, limit):
        with self.changed:
            self.limit = limit
            self.era += 1
            self.changed.notify_all()

    def close(self):
        with self.changed:
            self.closed = True
            self.changed.notify_all()


class Pump(threading.Thread):
    """Moves bytes from one socket to another as far as the gate allows."""

    def __init__(self, source, sink, gate):
        super().__init__(daemon=True)
        self.source, self.sink, self.gate = source, sink, gate
        self.era = -1
        self.passed = 0
        self.cut = False  # no end may go before the reset

    def allowance(self):
        """Waits until bytes may pass and returns how many; 0: the relay is closed."""
        with self.gate.changed:
            while not self.gate.closed:
                if self.era != self.gate.era:
                    self.era, self.passed = self.gate.era, 0
                if self.gate.limit is None:
                    return CHUNK
                if self.passed < self.gate.limit:
                    return min(CHUNK, self.gate.limit - self.passed)
                self.gate.changed.wait()
        return 0

    def run(self):
        with contextlib.suppress(OSError):
            while allowed := self.allowance():
                # Looked at first: what comes after the gate was shut while we waited must not pass.
                if not self.source.recv(1, socket.MSG_PEEK):
                    if not self.cut:
                        self.sink.shutdown(socket.SHUT_WR)
                    return
                if (allowed := min(allowed, self.allowance())) == 0:
                    return
                data = self.source.recv(allowed)
                self.passed += len(data)
                self.sink.sendall(data)


class StallRelay:
    def __init__(self, target, port=None):
        self.target = split_address(target)
        self.listener = socket.create_server(("127.0.0.1", port or take_port()))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.gates = {"up": Gate(), "down": Gate()}
        self.lock = threading.Lock()
        self.sockets = []
        self.pumps = []
        self.closed = False
        self.acceptor = threading.Thread(target=self.accept, daemon=True)
        self.acceptor.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                try:
                    server = socket.create_connection(self.target)
                except OSError:
                    client.close()
                    continue
                with self.lock:
                    pumps = [Pump(client, server, self.gates["up"]), Pump(server, client, self.gates["down"])]
                    self.sockets += [client, server]
                    self.pumps += pumps
                    for pump in pumps:
                        pump.start()

    def stall(self, direction, after=0):
        """From now on `after` bytes of each connection pass that way, then none."""
        self.gates[direction].set(after)

    def resume(self, direction):
        self.gates[direction].set(None)

    def cut(self):
        """Resets every connection there is, at both ends; new ones are still accepted."""
        with self.lock:
            for pump in self.pumps:
                pump.cut = True
            for end in self.sockets:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    end.shutdown(socket.SHUT_RD)  # a pump that waits in recv holds the descriptor open: wake it, then close
                end.close()
            self.sockets = []

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.acceptor.join()
        for gate in self.gates.values():
            gate.close()
        self.cut()
        for pump in self.pumps:
            pump.join()
