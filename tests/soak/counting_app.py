"""An application that can be killed at any moment and whose executions can still be counted: `counting_app.py PORT LOG`

Answers GET and POST of /ID after some milliseconds. Before it begins with a request it writes `begin METHOD ID` to LOG, and `end METHOD ID` before it answers:
single appends, which outlive the process. One thread and one selector: SIGKILL ends all connections at once.
"""

import os
import selectors
import socket
import sys
import time

TAKES_S = 0.003


class Client:
    def __init__(self, sock):
        self.sock = sock
        self.received = b""


class Application:
    def __init__(self, port, log):
        self.log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ, None)
        self.waiting = []  # (due, client, name), in order of time

    def note(self, what, name):
        os.write(self.log, f"{what} {name}\n".encode())

    def read(self, client):
        try:
            more = client.sock.recv(65536)
        except OSError:
            more = b""
        if not more:
            self.selector.unregister(client.sock)
            client.sock.close()
            return
        client.received += more
        while b"\r\n\r\n" in client.received:
            head, rest = client.received.split(b"\r\n\r\n", 1)
            lines = head.decode("latin-1").split("\r\n")
            length = next((int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:")), 0)
            if len(rest) < length:
                return
            client.received = rest[length:]
            method, target, _ = lines[0].split(" ")
            self.note("begin", f"{method} {target[1:]}")
            self.waiting.append((time.monotonic() + TAKES_S, client, f"{method} {target[1:]}"))

    def answer_due(self):
        now = time.monotonic()
        while self.waiting and self.waiting[0][0] <= now:
            _, client, name = self.waiting.pop(0)
            self.note("end", name)
            try:
                client.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            except OSError:
                pass  # it went away

    def run(self):
        while True:
            wait = max(0.0, self.waiting[0][0] - time.monotonic()) if self.waiting else None
            for key, _ in self.selector.select(wait):
                if key.data is not None:
                    self.read(key.data)
                    continue
                sock, _ = self.listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.selector.register(sock, selectors.EVENT_READ, Client(sock))
            self.answer_due()


if __name__ == "__main__":
    Application(int(sys.argv[1]), sys.argv[2]).run()
