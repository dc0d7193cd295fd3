"""A scriptable HTTP/1.1 backend on raw sockets, in threads of the test: what stands behind a proxy and answers well, badly, slowly or not at all.

A script is a function of one connection, run in that connection's thread: it reads requests and sends bytes as it likes. Made by Fleet.backend; the
ready-made scripts are echo, reply, replay, cut and held. It keeps to HTTP only as far as its script does.
"""

import json
import socket
import struct
import threading


class Request:
    """A request as it arrived; `headers` are (name, value) as sent, in order."""

    def __init__(self, head):
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, self.version = lines[0].split(" ", 2)
        self.headers = [tuple(line.split(":", 1)) for line in lines[1:]]
        self.headers = [(name, value.strip(" \t")) for name, value in self.headers]
        self.trailers = []
        self.body = b""
        self.head = head

    def header(self, name):
        """The first value of a field, or None."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def values(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Connection:
    """One accepted connection. `number` counts them from 0; `requests` are those read from it."""

    def __init__(self, backend, sock, number):
        self.backend = backend
        self.socket = sock
        self.number = number
        self.requests = []
        self.received = bytearray()

    def read_until(self, mark):
        """Bytes up to and with `mark`; None when the peer ends before the first of them. What is behind it stays for the next call."""
        while (position := self.received.find(mark)) < 0:
            more = self.socket.recv(65536)
            if not more:
                if not self.received:
                    return None
                raise ConnectionError("the peer ended in the middle of a message")
            self.received += more
        return self.read_exactly(position + len(mark))

    def read_exactly(self, count):
        while len(self.received) < count:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError("the peer ended in the middle of a message")
            self.received += more
        found = bytes(memoryview(self.received)[:count])
        del self.received[:count]
        return found

    def read_line(self):
        line = self.read_until(b"\r\n")
        if line is None:
            raise ConnectionError("the peer ended in the middle of a message")
        return line

    def read_chunked(self, request):
        while True:
            size = int(self.read_line().split(b";")[0], 16)
            if size == 0:
                break
            request.body += self.read_exactly(size)
            assert self.read_exactly(2) == b"\r\n"
        while (line := self.read_line()) != b"\r\n":
            name, value = line[:-2].decode("latin-1").split(":", 1)
            request.trailers.append((name, value.strip(" \t")))

    def read_head(self):
        """The head of the next request, whose body is read with read_body; None when the peer has closed in order."""
        head = self.read_until(b"\r\n\r\n")
        if head is None:
            return None
        request = Request(head[:-4])
        self.requests.append(request)
        return request

    def read_body(self, request):
        if (request.header("transfer-encoding") or "").lower() == "chunked":
            self.read_chunked(request)
        else:
            request.body = self.read_exactly(int(request.header("content-length") or 0))
        self.backend.record(request)

    def read_request(self):
        """The next request, whole; sends 100 Continue where it is expected."""
        request = self.read_head()
        if request is not None:
            if (request.header("expect") or "").lower() == "100-continue":
                self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.read_body(request)
        return request

    def send(self, content):
        self.socket.sendall(content)

    def end(self):
        """Ends our side in order; the peer's may go on."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Closes with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def wait_for_end(self):
        """Blocks until the peer has closed; what it still sends is dropped."""
        while self.socket.recv(65536):
            pass


class Backend:
    """Listens on 127.0.0.1:`port` and runs `script` for each connection. `requests` are all that were read whole, in order of arrival."""

    def __init__(self, script, port, tls=None, host="127.0.0.1"):
        self.script = script
        self.tls = tls
        self.address = f"{host}:{port}"
        self.port = port
        self.lock = threading.Lock()
        self.requests = []
        self.connections = []
        self.failures = []
        self.threads = []
        self.closed = False
        self.listener = socket.create_server((host, port), backlog=1024)
        self.accepting = threading.Thread(target=self.accept, daemon=True)
        self.accepting.start()

    def record(self, request):
        with self.lock:
            self.requests.append(request)

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                if self.closed:  # accepted while close() was looking
                    sock.close()
                    return
                connection = Connection(self, sock, len(self.connections))
                self.connections.append(connection)
                thread = threading.Thread(target=self.serve, args=(connection,), daemon=True)
                self.threads.append(thread)
            thread.start()

    def serve(self, connection):
        try:
            if self.tls:
                # Put in its place before the handshake: close() is to find it.
                connection.socket = self.tls.wrap_socket(connection.socket, server_side=True, do_handshake_on_connect=False)
                connection.socket.do_handshake()
            self.script(connection)
        except (OSError, ConnectionError):
            pass  # the peer went away, or the backend is being closed
        except Exception as error:  # told by close()
            self.failures.append(error)
        finally:
            connection.socket.close()

    def close(self):
        """Stops listening and breaks all connections; raises what a script raised. Harmless when called again."""
        with self.lock:
            if self.closed:
                return
            self.closed = True
            connections = list(self.connections)
        # shutdown wakes a thread that is blocked in a call. Only then close: a number that is given away while a thread is about to use it would be another's socket.
        for sock in [self.listener] + [connection.socket for connection in connections]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.accepting.join()
        self.listener.close()
        for thread in self.threads:
            thread.join(timeout=10)
        for connection in connections:
            connection.socket.close()
        if self.failures:
            raise self.failures[0]


def message(status=200, body=b"", headers=(), reason="Whatever"):
    """The bytes of a response with a Content-Length."""
    lines = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def echo(connection):
    """Answers each request with what arrived, as JSON."""
    while (request := connection.read_request()) is not None:
        body = json.dumps({"method": request.method, "target": request.target, "version": request.version, "headers": request.headers,
                           "trailers": request.trailers, "body": request.body.decode("latin-1"), "connection": connection.number}).encode()
        response = message(200, body, [("Content-Type", "application/json")], "OK")
        connection.send(response if request.method != "HEAD" else response[:-len(body)])


def reply(status=200, body=b"", headers=()):
    """Answers each request alike."""
    return replay(message(status, body, headers))


def replay(*answers):
    """Answers the n-th request of a connection with the n-th of these bytes, exactly; closes behind the last unless it is the only one."""
    def script(connection):
        while connection.read_request() is not None:
            position = len(connection.requests) - 1
            connection.send(answers[min(position, len(answers) - 1)])
            if 1 < len(answers) == len(connection.requests):
                return
    return script


def cut(answer, count, reset=False):
    """Sends the first `count` bytes of the answer and then ends the connection, in order or with RST."""
    def script(connection):
        if connection.read_request() is not None:
            connection.send(answer[:count])
            if reset:
                connection.reset()
    return script


def held(event, answer):
    """Answers each request once `event` is set: a slow backend that is as slow as the test says."""
    def script(connection):
        while connection.read_request() is not None:
            event.wait()
            connection.send(answer)
    return script
