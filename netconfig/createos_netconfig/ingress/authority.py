"""A certificate authority that can speak for one domain and nothing else, and the certificates it gives out.

The name constraints are critical (RFC 5280 4.2.1.10): who trusts this authority trusts it for names below the domain
only. Addresses are excluded as a whole, since a kind of name that is not constrained would be free.
"""

from __future__ import annotations

import os
import ssl
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from createos_netconfig.errors import NetconfigError

_CA_DAYS, _LEAF_DAYS, _RENEW_BEFORE_DAYS = 3650, 30, 7
# A clock that is a little behind must not refuse what was just made.
_BACKDATED = timedelta(hours=1)
_MOST_CACHED = 256


class Authority:
    """The authority kept in a directory: `ca.pem` for everybody, `ca.key` for nobody else (0600)."""

    def __init__(self, directory: Path, domain: str) -> None:
        """Open the authority of *domain*, or make one; NetconfigError when the files cannot be used."""
        self.domain = domain
        self._directory = directory
        try:
            self._key, self._certificate = self._load() or self._make()
        except (OSError, ValueError) as exc:
            raise NetconfigError(
                f"the certificate authority in {directory} cannot be used: {exc}",
                f"remove {directory} to get a new one",
            ) from exc

    @property
    def pem(self) -> str:
        """The authority's certificate, to be trusted."""
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def leaf(self, name: str, key: ec.EllipticCurvePrivateKey) -> bytes:
        """Return the certificate of one name for a key, in PEM, with the authority's behind it."""
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATED)
            .not_valid_after(now + timedelta(days=_LEAF_DAYS))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(_identifier(self._key), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM) + self.pem.encode()

    def _load(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None:
        key_file, certificate_file = self._directory / "ca.key", self._directory / "ca.pem"
        if not key_file.exists() or not certificate_file.exists():
            return None
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        known = certificate.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or []
        expires = certificate.not_valid_after_utc
        ours = isinstance(key, ec.EllipticCurvePrivateKey) and x509.DNSName(self.domain) in known
        if not ours or expires < datetime.now(UTC) + timedelta(days=_RENEW_BEFORE_DAYS):
            return None
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key, certificate

    def _make(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _authority_certificate(key, self.domain)
        _write(self._directory / "ca.key", key_pem(key), 0o600)
        _write(self._directory / "ca.pem", certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        return key, certificate


class Contexts:
    """TLS for every name below the domain, made when it is first asked for; the least used are forgotten."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._made: OrderedDict[str, tuple[ssl.SSLContext, datetime]] = OrderedDict()

    def of(self, name: str) -> ssl.SSLContext:
        """Return the context of one name."""
        known = self._made.get(name)
        if known and known[1] > datetime.now(UTC):
            self._made.move_to_end(name)
            return known[0]
        context = server_context()
        _load_chain(context, self._authority.leaf(name, self._key) + key_pem(self._key))
        self._made[name] = context, datetime.now(UTC) + timedelta(days=_LEAF_DAYS - _RENEW_BEFORE_DAYS)
        self._made.move_to_end(name)
        if len(self._made) > _MOST_CACHED:
            self._made.popitem(last=False)
        return context


def server_context() -> ssl.SSLContext:
    """Return a context for TLS 1.2 and later that speaks HTTP/1.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key in PEM, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _authority_certificate(key: ec.EllipticCurvePrivateKey, domain: str) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"createos-local ingress ({domain} only)")])
    nobody = [x509.IPAddress(IPv4Network("0.0.0.0/0")), x509.IPAddress(IPv6Network("::/0"))]
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=_CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.NameConstraints([x509.DNSName(domain)], nobody), critical=True)
        .add_extension(_usage(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _identifier(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _load_chain(context: ssl.SSLContext, pem: bytes) -> None:
    """Load certificates and key; ssl wants a file, and this one exists in memory only."""
    handle = os.memfd_create("leaf", os.MFD_CLOEXEC)
    try:
        os.write(handle, pem)
        context.load_cert_chain(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)


def _write(path: Path, data: bytes, mode: int) -> None:
    """Write a file that is whole or not there, and nobody else's for a moment."""
    partial = path.with_suffix(f"{path.suffix}.partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
