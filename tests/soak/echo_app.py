"""An application with thousands of connections, each of which gets back what it says: `echo_app.py PORT tcp|websockets`

One thread and one epoll. Who is not read by the other side is not read from either.
"""

import ctypes
import resource
import select
import signal
import socket
import sys

import talk

PR_SET_PDEATHSIG = 1
READ_BYTES = 262144


class Peer:
    """A connection. `over`: it is closed once all was sent."""

    def __init__(self, sock):
        self.sock = sock
        self.out = bytearray()
        self.over = False
        self.reads = True


class BytesPeer(Peer):
    def __init__(self, sock):
        super().__init__(sock)
        self.tail = b""

    def take(self, content):
        self.tail = (self.tail + content)[-len(talk.BYE):]
        if self.tail == talk.BYE:
            self.over = True
        else:
            self.out += content


class WebSocketPeer(Peer):
    def __init__(self, sock):
        super().__init__(sock)
        self.received = bytearray()
        self.greeted = self.closing = False

    def greet(self):
        head, found, rest = self.received.partition(b"\r\n\r\n")
        if not found:
            return
        key = next(line.split(b":", 1)[1].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
        self.out += (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
                     + talk.accepted(key) + b"\r\n\r\n")
        self.received = bytearray(rest)
        self.greeted = True

    def take(self, content):
        self.received += content
        if not self.greeted:
            self.greet()
        while self.greeted and (found := talk.take_frame(self.received)) is not None:
            opcode, said = found
            if opcode == talk.CLOSE or said == talk.BYE:
                if not self.closing:
                    self.out += talk.frame(talk.CLOSE, talk.NORMAL)
                self.closing, self.over = True, opcode == talk.CLOSE
            else:
                self.out += talk.frame(talk.BINARY, said)


class Application:
    def __init__(self, port, make):
        self.make = make
        self.peers = {}
        self.epoll = select.epoll()
        self.listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self.listener.setblocking(False)
        self.epoll.register(self.listener, select.EPOLLIN)

    def accept(self):
        for _ in range(256):
            try:
                sock, _ = self.listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.peers[sock.fileno()] = self.make(sock)
            self.epoll.register(sock, select.EPOLLIN)

    def close(self, number):
        peer = self.peers.pop(number)
        self.epoll.unregister(number)
        peer.sock.close()

    def advance(self, number, events):
        peer = self.peers[number]
        try:
            if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR) and peer.reads:
                content = peer.sock.recv(READ_BYTES)
                if content:
                    peer.take(content)
                else:
                    peer.over = True
            if peer.out:
                del peer.out[:peer.sock.send(peer.out)]
        except BlockingIOError:
            pass
        except OSError:
            self.close(number)
            return
        if peer.over and not peer.out:
            self.close(number)
        elif peer.reads != (not peer.out):
            peer.reads = not peer.out
            self.epoll.modify(number, select.EPOLLIN if peer.reads else select.EPOLLOUT)

    def run(self):
        while True:
            for number, events in self.epoll.poll(maxevents=512):
                if number == self.listener.fileno():
                    self.accept()
                else:
                    self.advance(number, events)


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    Application(int(sys.argv[1]), {"tcp": BytesPeer, "websockets": WebSocketPeer}[sys.argv[2]]).run()
