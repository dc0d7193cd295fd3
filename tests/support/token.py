"""An issuer of tokens: keys by python3-cryptography, JWK Sets, JWTs signed by each algorithm, and a server of the keys."""

import base64
import json
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
CURVES = {"ES256": (ec.SECP256R1, "P-256", 32), "ES384": (ec.SECP384R1, "P-384", 48), "ES512": (ec.SECP521R1, "P-521", 66)}
HASHES = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}


def b64(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def number(value, size=None):
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


class Issuer:
    """One key, `kid`, for one algorithm."""

    def __init__(self, kid="k1", algorithm="ES256", name="https://id.example"):
        self.kid, self.algorithm, self.name = kid, algorithm, name
        if algorithm in CURVES:
            self.key = ec.generate_private_key(CURVES[algorithm][0]())
        elif algorithm == "EdDSA":
            self.key = ed25519.Ed25519PrivateKey.generate()
        else:
            self.key = rsa.generate_private_key(65537, 2048)

    def jwk(self):
        public = self.key.public_key()
        if self.algorithm in CURVES:
            _, curve, size = CURVES[self.algorithm]
            point = public.public_numbers()
            own = {"kty": "EC", "crv": curve, "x": number(point.x, size), "y": number(point.y, size)}
        elif self.algorithm == "EdDSA":
            own = {"kty": "OKP", "crv": "Ed25519", "x": b64(public.public_bytes(Encoding.Raw, PublicFormat.Raw))}
        else:
            own = {"kty": "RSA", "n": number(public.public_numbers().n), "e": number(public.public_numbers().e)}
        return {**own, "kid": self.kid, "alg": self.algorithm, "use": "sig"}

    def sign(self, octets):
        if self.algorithm == "EdDSA":
            return self.key.sign(octets)
        digest = HASHES[self.algorithm[2:]]()
        if self.algorithm in CURVES:
            size = CURVES[self.algorithm][2]
            return b"".join(part.to_bytes(size, "big") for part in decode_dss_signature(self.key.sign(octets, ec.ECDSA(digest))))
        if self.algorithm.startswith("PS"):
            return self.key.sign(octets, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
        return self.key.sign(octets, padding.PKCS1v15(), digest)

    def token(self, life=300, header=None, **claims):
        """For so many seconds; a claim that is None is left out."""
        now = int(time.time())
        payload = {"iss": self.name, "iat": now, "exp": now + life, **claims}
        head = header or {"alg": self.algorithm, "kid": self.kid, "typ": "JWT"}
        parts = [b64(json.dumps(part).encode()) for part in (head, {name: value for name, value in payload.items() if value is not None})]
        return ".".join([*parts, b64(self.sign(".".join(parts).encode()))])


def jwks(*issuers):
    return json.dumps({"keys": [issuer.jwk() for issuer in issuers]})
