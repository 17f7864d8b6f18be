"""The private certificate authorities of the local cluster and of its object store.

They are created at run time on the machine that uses them, only root can read them, and `down` deletes them. The keys
are elliptic-curve keys, because a dozen RSA keys would take longer than the rest of a warm start.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID_DAYS = 3650
CLOCK_SKEW = dt.timedelta(minutes=5)


@dataclasses.dataclass(frozen=True)
class KeyPair:
    """A certificate and its key as PEM files."""

    certificate: Path
    key: Path


def ensure_authority(folder: Path, name: str) -> KeyPair:
    """Return the authority `<folder>/<name>.{crt,key}`; create it if it does not exist."""
    pair = _pair(folder, name)
    if not _is_whole(pair):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _subject(f"tunewright-{name}", None)
        builder = _builder(subject, subject, key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        builder = builder.add_extension(_usage(authority=True), critical=True)
        _write(pair, builder.sign(key, hashes.SHA256()), key)
    return pair


def ensure_certificate(
    folder: Path,
    name: str,
    authority: KeyPair,
    *,
    common_name: str,
    organization: str | None = None,
    hosts: Sequence[str] = (),
) -> KeyPair:
    """Return `<folder>/<name>.{crt,key}`, signed by `authority`; create it if it does not exist.

    Args:
        folder: the folder of the two files.
        name: their name without the suffix.
        authority: the authority that signs.
        common_name: for Kubernetes, the user's name.
        organization: for Kubernetes, the user's group.
        hosts: the DNS names and addresses of a server.
    """
    pair = _pair(folder, name)
    if _is_whole(pair):
        return pair
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
    issuer_key = serialization.load_pem_private_key(authority.key.read_bytes(), password=None)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{authority.key} is not an elliptic-curve key; delete {folder} and run `make up` again.")
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    builder = _builder(_subject(common_name, organization), issuer.subject, key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(authority=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
    _write(pair, builder.sign(issuer_key, hashes.SHA256()), key)
    return pair


def ensure_signing_key(folder: Path, name: str) -> KeyPair:
    """Return `<folder>/<name>.{pub,key}`, the pair that signs service account tokens."""
    pair = KeyPair(folder / f"{name}.pub", folder / f"{name}.key")
    if not _is_whole(pair):
        key = ec.generate_private_key(ec.SECP256R1())
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        _store(pair, public, key)
    return pair


def _pair(folder: Path, name: str) -> KeyPair:
    return KeyPair(folder / f"{name}.crt", folder / f"{name}.key")


def _is_whole(pair: KeyPair) -> bool:
    # The certificate is renamed into place last: if it exists, its key exists, too.
    return pair.certificate.exists()


def _subject(common_name: str, organization: str | None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(attributes)


def _builder(subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + dt.timedelta(days=VALID_DAYS))
        # Python's strict verification (3.13 and later) requires both key identifiers.
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(pair: KeyPair, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    _store(pair, certificate.public_bytes(serialization.Encoding.PEM), key)


def _store(pair: KeyPair, public: bytes, key: ec.EllipticCurvePrivateKey) -> None:
    pair.key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for path, content in ((pair.key, private), (pair.certificate, public)):
        scratch = path.with_name(f".{path.name}")
        scratch.touch(mode=0o600)
        scratch.write_bytes(content)
        scratch.rename(path)
