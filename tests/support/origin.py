"""A server outside the mesh: TLS with a certificate of a public-looking authority, no client certificate asked for, and notes of what each handshake was."""

import ssl
import threading

from support.backend import echo
from support.test_ca import Authority


class Origin:
    """Runs `script` behind TLS. `asked`: the names that clients asked for (SNI), `chosen`: protocols (ALPN), `resumed`: whether sessions were, one for each handshake in order."""

    def __init__(self, fleet, script=echo, names=("api.example",), authority=None, port=None, host="127.0.0.1", alpn=(), prepare=None, **leaf):
        self.fleet = fleet
        self.authority = authority or Authority("ca.example", name="Origin Root")
        self.asked, self.chosen, self.resumed = [], [], []
        self.lock = threading.Lock()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.authority.issue(*leaf.pop("uris", ()), names=names, extended=("server",), **leaf).write(fleet.folder / "origins", f"o{id(self)}"))
        context.sni_callback = lambda sock, name, _: self.note(self.asked, name)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if prepare:
            prepare(context)

        def noting(connection):
            self.note(self.chosen, connection.socket.selected_alpn_protocol())
            self.note(self.resumed, connection.socket.session_reused)
            script(connection)
        self.backend = fleet.backend(noting, port, tls=context, host=host)
        self.address = self.backend.address

    def note(self, notes, value):
        with self.lock:
            notes.append(value)

    def bundle(self, name="origin-ca.pem"):
        """Its authority's certificate as a file; the path."""
        return self.fleet.write(name, self.authority.bundle_pem.decode())


def simple(*files, **fields):
    """`tls` of a service: mode Simple, trusting these files."""
    return {"mode": "Simple", **({"caCertificates": {"files": [str(path) for path in files]}} if files else {}), **fields}
