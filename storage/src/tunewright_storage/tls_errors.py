"""What is wrong with a TLS connection: the reason, and what the message shows."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

from tunewright_storage.errors import StorageError, StorageReason

_VERIFY_FAILED = re.compile(r"certificate verify failed: (?P<problem>.+?)(?: \(_ssl\.c:\d+\)|$)", re.DOTALL)
_NAME_DIFFERS = re.compile(
    r"(?:hostname|IP address) \S+ doesn't match .*|no appropriate subjectAltName.*", re.IGNORECASE
)
_REASON_BY_TEXT = (
    # OpenSSL's texts: https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/
    ("certificate has expired", StorageReason.CERTIFICATE_EXPIRED),
    ("certificate is not yet valid", StorageReason.CERTIFICATE_NOT_YET_VALID),
    ("hostname mismatch", StorageReason.CERTIFICATE_NAME_MISMATCH),
    ("ip address mismatch", StorageReason.CERTIFICATE_NAME_MISMATCH),
    # urllib3's texts: it compares the names itself.
    ("doesn't match", StorageReason.CERTIFICATE_NAME_MISMATCH),
    ("no appropriate subjectaltname", StorageReason.CERTIFICATE_NAME_MISMATCH),
    ("certificate", StorageReason.UNKNOWN_AUTHORITY),
    ("x509", StorageReason.UNKNOWN_AUTHORITY),
    ("unknown ca", StorageReason.UNKNOWN_AUTHORITY),
)
_PEM_MARKS = (
    b"-----BEGIN CERTIFICATE-----",
    b"-----BEGIN TRUSTED CERTIFICATE-----",
    b"-----BEGIN X509 CERTIFICATE-----",
)
_DER_SEQUENCE = b"\x30"


def judge_tls(text: str) -> StorageReason:
    """Return the reason of a TLS failure: the certificate, or a connection that broke or does not use TLS."""
    lowered = text.lower()
    return next((reason for part, reason in _REASON_BY_TEXT if part in lowered), StorageReason.UNREACHABLE)


def describe_tls(text: str) -> str:
    """Return what is wrong with a certificate, in the words of OpenSSL or urllib3; empty if the text has none."""
    found = _VERIFY_FAILED.search(text)
    if found:
        return f"certificate verify failed: {found['problem'].rstrip('.')}"
    differs = _NAME_DIFFERS.search(text)
    return f"certificate verify failed: {differs[0].rstrip('.')}" if differs else ""


def check_bundle(path: Path) -> None:
    """Check that a file contains authorities' certificates in PEM format.

    Raises:
        StorageError: it does not; the message shows whether the format is DER.
    """
    data = path.read_bytes()
    if not any(mark in data for mark in _PEM_MARKS):
        if data.startswith(_DER_SEQUENCE):
            advice = "convert it with `openssl x509 -inform der -in ca.crt -out ca.pem`"
            raise _invalid_bundle(f"ca.crt in the storage secret is DER-encoded, not PEM; {advice}, and store it")
        raise _invalid_bundle("ca.crt in the storage secret contains no certificate in PEM format; store one")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError as error:
        raise _invalid_bundle(f"ca.crt in the storage secret cannot be read ({error}); store a certificate") from error


def _invalid_bundle(problem: str) -> StorageError:
    return StorageError(StorageReason.UNKNOWN_AUTHORITY, f"{problem} as ca.crt")
