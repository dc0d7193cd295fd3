"""A crowd of clients that stay, talk, and come and go: `crowd.py PORT tcp|websockets COUNT SECONDS MESSAGES ENDS`

Opens COUNT connections, says `full`, and for SECONDS sends MESSAGES a second on them in turn, of which some are large, and compares every byte that comes back. All the while ENDS
connections a second end (by the client, by the application, by a reset, of which half cut a message) and others are opened in their place. At the end all end in order. The last line says
in JSON what was counted:

    lost     a message, handshake or end for which the answer did not come within PATIENCE_S
    wrong    something else came
    broken   the connection ended where it should not
"""

import collections
import json
import random
import resource
import select
import socket
import struct
import sys
import time

import talk

TICK_S = 0.01
PATIENCE_S = 60
RAMP_S = 300
OPENING_MAX = 128           # handshakes at once, fewer than any backlog
LARGE = 1_000_000
SIZES = ((500, LARGE), (50, 1 << 16), (1, 120))  # every so manieth message has that size, the first that fits
READ_BYTES = 262144
RESET = struct.pack("ii", 1, 0)


class Member:
    """One connection. A step sends `out` and is done when exactly `expected` has come, and for the last step the end behind it."""

    def __init__(self, sock):
        self.sock = sock
        self.step = "connect"
        self.number = 0         # of the step: tells a late deadline that its step is over
        self.out = b""
        self.expected = b""
        self.received = bytearray()
        self.how = None         # it ends: who began
        self.ends_output = False


class Crowd:
    def __init__(self, port, tongue, count):
        self.address = ("127.0.0.1", port)
        self.tongue, self.count = tongue, count
        self.rng = random.Random(count)
        self.epoll = select.epoll()
        self.members = {}
        self.quiet = collections.OrderedDict()  # those with nothing under way, longest first
        self.deadlines = collections.deque()
        self.opening = 0
        self.sent = 0
        self.fewest = None
        self.counted = collections.Counter(opened=0, messages=0, bytes=0, large=0, lost=0, wrong=0, broken=0, client=0, application=0, reset=0, cut=0)
        self.first_error = None

    # --- a step of a member ---

    def begin(self, member, step, out=b"", expected=b""):
        member.step, member.out, member.expected = step, out, expected
        member.number += 1
        member.received.clear()
        self.quiet.pop(member.sock.fileno(), None)
        self.deadlines.append((time.monotonic() + PATIENCE_S, member, member.number))
        self.send(member)

    def send(self, member):
        fileno = member.sock.fileno()
        try:
            if member.out:
                member.out = member.out[member.sock.send(member.out):]
        except BlockingIOError:
            pass
        except OSError as error:
            self.fail(member, "broken", f"sending: {error}")
            return
        if not member.out and member.ends_output:
            member.sock.shutdown(socket.SHUT_WR)
            member.ends_output = False
        self.epoll.modify(fileno, select.EPOLLIN | select.EPOLLOUT if member.out else select.EPOLLIN)

    def rest(self, member):
        member.step = "rest"
        member.number += 1
        self.quiet[member.sock.fileno()] = member

    def fail(self, member, how, text):
        self.counted[how] += 1
        self.first_error = self.first_error or f"{how} in step {member.step}: {text}"
        self.drop(member)

    def drop(self, member):
        fileno = member.sock.fileno()
        self.opening -= member.step in ("connect", "hello")
        del self.members[fileno]
        self.quiet.pop(fileno, None)
        self.epoll.unregister(fileno)
        member.sock.close()
        member.number = -1

    # --- what happens ---

    def open(self):
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        member = self.members[sock.fileno()] = Member(sock)
        self.opening += 1
        self.epoll.register(sock, select.EPOLLOUT)
        self.deadlines.append((time.monotonic() + PATIENCE_S, member, 0))
        try:
            sock.connect(self.address)
        except BlockingIOError:
            pass

    def connected(self, member):
        error = member.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self.fail(member, "broken", f"connect: error {error}")
        elif self.tongue.hello:
            self.begin(member, "hello", self.tongue.hello)
        else:
            self.settle(member)

    def settle(self, member):
        self.opening -= 1
        self.counted["opened"] += 1
        self.rest(member)

    def read(self, member):
        try:
            content = member.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self.fail(member, "broken", str(error))
            return
        if not content:
            if member.step == "end" and member.received == member.expected:
                self.counted[member.how] += 1
                self.drop(member)
            else:
                self.fail(member, "broken", f"it ended after {len(member.received)} of {len(member.expected)} bytes")
            return
        member.received += content
        if member.step == "hello":
            if member.received.endswith(b"\r\n\r\n"):
                if self.tongue.is_welcome(bytes(member.received)):
                    self.settle(member)
                else:
                    self.fail(member, "wrong", repr(bytes(member.received[:200])))
        elif len(member.received) > len(member.expected) or member.step == "rest":
            self.fail(member, "wrong", f"{len(member.received)} bytes for {len(member.expected)}")
        elif len(member.received) == len(member.expected):
            self.answered(member)

    def answered(self, member):
        if member.received != member.expected:
            self.fail(member, "wrong", f"other bytes, {len(member.received)} of them")
        elif member.step == "talk":
            self.counted["messages"] += 1
            self.counted["bytes"] += len(member.expected)
            self.counted["large"] += len(member.expected) >= LARGE
            self.rest(member)

    def speak(self, member):
        self.sent += 1
        size = next(size for every, size in SIZES if self.sent % every == 0)
        content = talk.payload(self.sent, size)
        self.begin(member, "talk", self.tongue.message(content, self.sent), self.tongue.echo(content))

    def end(self, member, how):
        member.how = how
        out, ends_output, expected = self.tongue.goodbye if how == "client" else self.tongue.dismissal
        member.ends_output = ends_output
        self.begin(member, "end", out, expected)

    def leave(self, member):
        """One goes, in one of the ways that there are."""
        how = self.rng.choice(("client", "client", "application", "reset", "cut"))
        if how in ("client", "application"):
            self.end(member, how)
            return
        member.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        if how == "cut":
            member.out = self.tongue.message(talk.payload(0, 100_000), 1)
            self.send(member)
        if member.number >= 0:
            self.counted[how] += 1
            self.drop(member)

    # --- the whole ---

    def poll(self, until):
        """Handles what comes, until then."""
        while (left := until - time.monotonic()) > 0:
            for fileno, events in self.epoll.poll(left, 512):
                member = self.members.get(fileno)
                if member is None:
                    continue
                if member.step == "connect":
                    self.connected(member)
                    continue
                if events & select.EPOLLOUT:
                    self.send(member)
                if member.number >= 0 and events & ~select.EPOLLOUT:
                    self.read(member)
        while self.deadlines and self.deadlines[0][0] < time.monotonic():
            _, member, number = self.deadlines.popleft()
            if member.number == number:
                self.fail(member, "lost", f"nothing for {PATIENCE_S} s, {len(member.received)} of {len(member.expected)} bytes")

    def refill(self):
        while len(self.members) < self.count and self.opening < OPENING_MAX:
            self.open()

    def failed(self):
        return self.counted["lost"] + self.counted["wrong"] + self.counted["broken"] > 100  # it cannot hold any more

    def gather(self):
        ends = time.monotonic() + RAMP_S
        while (len(self.members) < self.count or self.opening) and time.monotonic() < ends and not self.failed():
            self.refill()
            self.poll(time.monotonic() + TICK_S)

    def stay(self, seconds, messages, ends):
        begun = now = time.monotonic()
        spoken = left = 0.0
        self.fewest = self.count
        while now < begun + seconds and not self.failed():
            spoken += messages * TICK_S
            while spoken >= 1 and self.quiet:
                spoken -= 1
                self.speak(next(iter(self.quiet.values())))
            left += ends * TICK_S
            while left >= 1 and self.quiet:
                left -= 1
                self.leave(self.rng.choice(list(self.quiet.values())))
            self.refill()
            self.poll(now + TICK_S)
            self.fewest = min(self.fewest, len(self.members) - self.opening)
            now = time.monotonic()

    def disperse(self):
        ends = time.monotonic() + PATIENCE_S + 10
        while self.members and time.monotonic() < ends:
            for member in list(self.quiet.values())[:OPENING_MAX]:
                self.end(member, "client")
            self.poll(time.monotonic() + TICK_S)


def main():
    port, tongue, count = int(sys.argv[1]), talk.TONGUES[sys.argv[2]], int(sys.argv[3])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    crowd = Crowd(port, tongue, count)
    crowd.gather()
    print("full", len(crowd.members), flush=True)
    crowd.stay(*map(float, sys.argv[4:7]))
    print("going", flush=True)
    crowd.disperse()
    print(json.dumps({**crowd.counted, "fewest": crowd.fewest, "left": len(crowd.members), "first_error": crowd.first_error}), flush=True)


if __name__ == "__main__":
    main()
