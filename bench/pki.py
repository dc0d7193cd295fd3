"""Certificates for a run: one authority, and leaves with a SPIFFE id for our sidecars and a DNS name for the peers, which check names. P-256."""
import datetime
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

TRUST_DOMAIN = "bench.local"


def spiffe_id(name):
    return f"spiffe://{TRUST_DOMAIN}/ns/bench/sa/{name}"


def _builder(subject, issuer, public_key):
    now = datetime.datetime.utcnow()
    return (x509.CertificateBuilder()
            .subject_name(subject).issuer_name(issuer).public_key(public_key).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5)).not_valid_after(now + datetime.timedelta(days=1)))


def _usage(leaf):
    return x509.KeyUsage(digital_signature=leaf, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
                         key_cert_sign=not leaf, crl_sign=not leaf, encipher_only=False, decipher_only=False)


def _write_key(path, key):
    with open(path, "wb") as file:
        file.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


class Authority:
    """Writes ca.crt, and for each leaf NAME.crt, NAME.key and NAME.pem (both in one file, as HAProxy wants them) into `folder`."""

    def __init__(self, folder):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench authority")])
        self.certificate = (_builder(self.name, self.name, self.key.public_key())
                            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
                            .add_extension(_usage(leaf=False), critical=True)
                            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
                            .sign(self.key, hashes.SHA256()))
        with open(self.path("ca.crt"), "wb") as file:
            file.write(self.certificate.public_bytes(serialization.Encoding.PEM))

    def path(self, name):
        return os.path.join(self.folder, name)

    def issue(self, name):
        key = ec.generate_private_key(ec.SECP256R1())
        sans = [x509.UniformResourceIdentifier(spiffe_id(name)), x509.DNSName(f"{name}.{TRUST_DOMAIN}")]
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (_builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), self.name, key.public_key())
                       .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                       .add_extension(_usage(leaf=True), critical=True)
                       .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
                       .add_extension(x509.SubjectAlternativeName(sans), critical=False)
                       .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
                       .sign(self.key, hashes.SHA256()))
        _write_key(self.path(name + ".key"), key)
        with open(self.path(name + ".crt"), "wb") as file:
            file.write(certificate.public_bytes(serialization.Encoding.PEM))
        with open(self.path(name + ".pem"), "wb") as file:
            file.write(certificate.public_bytes(serialization.Encoding.PEM))
            with open(self.path(name + ".key"), "rb") as key_file:
                file.write(key_file.read())
