"""What the clients of a crowd and its application say to each other: messages of bytes alone, or of WebSocket (RFC 6455), as little of it as that needs.

A tongue knows what a client sends and, byte by byte, what must come back: `hello` and `is_welcome` for the handshake, `message` and `echo` for a message,
`goodbye` (what is sent, whether our side then ends, what must come before the end) for an end that the client begins, `dismissal` for one that it asks the application for.
"""

import base64
import hashlib
import struct

from application import PATTERN

# Said by a client that wants the other side to end first. No stretch of the pattern.
BYE = b"end this, please"
NORMAL = struct.pack("!H", 1000)
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
BINARY, CLOSE = 0x2, 0x8
KEY = base64.b64encode(PATTERN[:16])


def payload(number, size):
    """Content that no other message has at the same place."""
    offset = number * 7919 % 4096
    return (struct.pack("!Q", number) + PATTERN[offset:offset + size])[:size]


# --- frames ---

def masked(content, mask):
    """XORed with the mask; twice gives the content again."""
    size = len(content)
    pad = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(content, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")


def frame(opcode, content, mask=None):
    size = len(content)
    bit = 0x80 if mask else 0
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, bit | size)
    elif size < 65536:
        head = struct.pack("!BBH", 0x80 | opcode, bit | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, bit | 127, size)
    return head + mask + masked(content, mask) if mask else head + content


def take_frame(received):
    """Takes one masked frame off the front of a bytearray: (opcode, content), or None while it is not all there."""
    if len(received) < 2:
        return None
    size, at = received[1] & 0x7F, 2
    if size >= 126:
        width = 2 if size == 126 else 8
        size, at = int.from_bytes(received[2:2 + width], "big"), 2 + width
    if len(received) < at + 4 + size:
        return None
    opcode, mask = received[0] & 0x0F, bytes(received[at:at + 4])
    content = masked(received[at + 4:at + 4 + size], mask)
    del received[:at + 4 + size]
    return opcode, content


def accepted(key):
    return base64.b64encode(hashlib.sha1(key + GUID).digest())


class Bytes:
    """The echo comes as it was sent; an end is the end of a direction."""
    hello = b""
    goodbye = (b"", True, b"")
    dismissal = (BYE, False, b"")

    @staticmethod
    def message(content, _number):
        return content

    @staticmethod
    def echo(content):
        return content


class WebSocket:
    hello = (b"GET /echo HTTP/1.1\r\nHost: backend\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY + b"\r\n\r\n")
    closing = frame(CLOSE, NORMAL, b"mask")
    goodbye = (closing, False, frame(CLOSE, NORMAL))
    dismissal = (frame(BINARY, BYE, b"mask") + closing, False, frame(CLOSE, NORMAL))

    @staticmethod
    def is_welcome(head):
        return head.startswith(b"HTTP/1.1 101 ") and accepted(KEY) in head

    @staticmethod
    def message(content, number):
        return frame(BINARY, content, struct.pack("!I", number * 2654435761 & 0xFFFFFFFF))

    @staticmethod
    def echo(content):
        return frame(BINARY, content)


TONGUES = {"tcp": Bytes, "websockets": WebSocket}
