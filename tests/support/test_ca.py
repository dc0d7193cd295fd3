"""A certificate authority for tests and the demo: SPIFFE X.509-SVIDs made on the spot, good ones and ones that break each rule.

    authority = Authority("school.local")
    svid = authority.issue("spiffe://school.local/ns/school/sa/courses")
    svid.write(folder)      # tls.crt, tls.key; authority.bundle_pem is the trust bundle
"""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOUR = datetime.timedelta(hours=1)
KEY_USAGES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
              "encipher_only", "decipher_only")
EXTENDED_USAGES = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


def new_key(kind="P-256"):
    if kind == "RSA":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key({"P-256": ec.SECP256R1, "P-384": ec.SECP384R1}[kind]())


def pem(*certificates):
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)


def key_pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def spiffe_id(namespace, account, trust_domain="school.local"):
    return f"spiffe://{trust_domain}/ns/{namespace}/sa/{account}"


@dataclass
class Svid:
    """A leaf with its chain and key, as PEM."""
    certificate_pem: bytes
    key_pem: bytes
    certificate: x509.Certificate

    def write(self, folder, stem="tls"):
        """<stem>.crt and <stem>.key in `folder`; returns their paths."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        paths = folder / f"{stem}.crt", folder / f"{stem}.key"
        paths[0].write_bytes(self.certificate_pem)
        paths[1].write_bytes(self.key_pem)
        paths[1].chmod(0o600)
        return paths


class Authority:
    """A root for one trust domain, or an intermediate of one (see `intermediate`)."""

    def __init__(self, trust_domain="school.local", name="Test Root", lifetime=24 * HOUR, starts=-HOUR, parent=None, key="P-256"):
        self.trust_domain = trust_domain
        self.parent = parent
        self.key = new_key(key)
        subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, trust_domain), x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self.builder(subject, self.key.public_key(), lifetime, starts, parent or self, subject if parent is None else None)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(usage({"key_cert_sign", "crl_sign"}), critical=True)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{trust_domain}")]), critical=False)
        self.certificate = sign(builder, (parent or self).key)

    @property
    def bundle_pem(self):
        """The root, as a trust bundle."""
        return self.parent.bundle_pem if self.parent else pem(self.certificate)

    @property
    def chain(self):
        """Intermediates from this one up, the root left out."""
        return [self.certificate, *self.parent.chain] if self.parent else []

    def intermediate(self, name="Test Intermediate", **options):
        return Authority(self.trust_domain, name, parent=self, **options)

    @staticmethod
    def builder(subject, public_key, lifetime, starts, issuer, issuer_name=None):
        now = datetime.datetime.utcnow()
        authority_key = issuer.key.public_key()
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer_name or issuer.certificate.subject).public_key(public_key)
                .serial_number(x509.random_serial_number()).not_valid_before(now + starts).not_valid_after(now + lifetime)
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
                .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key), critical=False))

    def issue(self, *identities, lifetime=HOUR, starts=-HOUR, usages=("digital_signature",), usage_critical=True, extended=("server", "client"),
              ca=False, names=(), addresses=(), subject=None, key="P-256"):
        """An SVID. A good one has one identity and all defaults; each rule is broken by one argument:
        identities of a wrong trust domain, none, or two; `lifetime` below zero: expired; `starts` above zero: not yet valid; `usages` None: no KeyUsage;
        `extended` (): no extended key usage; `ca`: a CA as leaf; `names`, `addresses`: of DNS and IP besides; `subject`: a common name."""
        private = new_key(key)
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, subject)] if subject else []
        builder = self.builder(x509.Name(attributes), private.public_key(), lifetime, starts if starts < lifetime else lifetime - HOUR, self)
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if usages is not None:
            builder = builder.add_extension(usage(set(usages)), critical=usage_critical)
        if extended:
            builder = builder.add_extension(x509.ExtendedKeyUsage([EXTENDED_USAGES[word] for word in extended]), critical=False)
        alternatives = [x509.UniformResourceIdentifier(identity) for identity in identities] + [x509.DNSName(name) for name in names]
        alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=not attributes)
        certificate = sign(builder, self.key)
        return Svid(pem(certificate, *self.chain), key_pem(private), certificate)


def usage(words):
    return x509.KeyUsage(**{word: word in words for word in KEY_USAGES})


def sign(builder, key):
    return builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
