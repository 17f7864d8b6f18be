"""Each way in which a certificate is invalid has a reason and a message of its own."""

import http.server

import pytest
from botocore.config import Config

from support.tls import DAY, Authority, serve_https
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.object_store import ObjectStore
from tunewright_storage.tls_errors import check_bundle, describe_tls, judge_tls

ROOT = StorageURI.parse("s3://bucket/team")
ONCE = {"mode": "standard", "total_max_attempts": 1}


@pytest.fixture
def read_from(monkeypatch, tmp_path):
    """Read an object over https from a host name, with a server's certificate and a bundle, and return the error."""

    def read(host, certificate, bundle):
        with serve_https(http.server.BaseHTTPRequestHandler, certificate) as server:
            monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"https://{host}:{server.server_port}")
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
            monkeypatch.setattr(
                "tunewright_storage.object_store.Config", lambda **given: Config(**given | {"retries": ONCE})
            )
            with pytest.raises(StorageError) as error:
                ObjectStore.from_environment(bundle).read(ROOT)
        return error.value

    return read


@pytest.mark.parametrize(
    ("host", "names", "dates", "reason", "words"),
    [
        (
            "localhost",
            ("localhost",),
            {"starts": -2 * DAY, "ends": -DAY},
            StorageReason.CERTIFICATE_EXPIRED,
            "certificate has expired; renew that certificate",
        ),
        (
            "localhost",
            ("localhost",),
            {"starts": DAY, "ends": 2 * DAY},
            StorageReason.CERTIFICATE_NOT_YET_VALID,
            "certificate is not yet valid; check the clock",
        ),
        (
            "localhost",
            ("s3.example.com",),
            {},
            StorageReason.CERTIFICATE_NAME_MISMATCH,
            "hostname 'localhost' doesn't match 's3.example.com'; set AWS_ENDPOINT_URL_S3",
        ),
        (
            "127.0.0.1",
            ("localhost",),
            {},
            StorageReason.CERTIFICATE_NAME_MISMATCH,
            "'127.0.0.1' doesn't match 'localhost'; set AWS_ENDPOINT_URL_S3",
        ),
    ],
)
def test_an_invalid_certificate(read_from, tmp_path, host, names, dates, reason, words):
    authority = Authority(tmp_path)
    error = read_from(host, authority.issue(*names, **dates), authority.bundle)
    assert (error.reason, error.retryable) == (reason, False)
    assert words in str(error)


def test_an_expired_authority(read_from, tmp_path):
    authority = Authority(tmp_path, starts=-2 * DAY, ends=-DAY)
    error = read_from("localhost", authority.issue("localhost"), authority.bundle)
    assert error.reason is StorageReason.CERTIFICATE_EXPIRED


def test_another_authority(read_from, tmp_path):
    other = Authority(tmp_path, "other")
    error = read_from("localhost", Authority(tmp_path).issue("localhost"), other.bundle)
    assert error.reason is StorageReason.UNKNOWN_AUTHORITY
    assert "as ca.crt" in str(error)


def test_a_der_encoded_bundle_is_named_and_the_conversion_shown(read_from, tmp_path):
    authority = Authority(tmp_path)
    error = read_from("localhost", authority.issue("localhost"), authority.der)
    assert error.reason is StorageReason.UNKNOWN_AUTHORITY
    assert "DER-encoded, not PEM" in str(error)
    assert "openssl x509 -inform der" in str(error)


@pytest.mark.parametrize(
    "content",
    [
        b"nothing",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ],
)
def test_a_bundle_without_a_certificate(tmp_path, content):
    (tmp_path / "ca.crt").write_bytes(content)
    with pytest.raises(StorageError, match=r"ca\.crt in the storage secret") as error:
        check_bundle(tmp_path / "ca.crt")
    assert error.value.reason is StorageReason.UNKNOWN_AUTHORITY


def test_a_bundle_of_several_authorities(tmp_path):
    bundle = tmp_path / "ca.crt"
    bundle.write_bytes(b"".join(Authority(tmp_path, name).bundle.read_bytes() for name in ("one", "two")))
    check_bundle(bundle)


@pytest.mark.parametrize(
    "text",
    [
        "certificate verify failed: Hostname mismatch, certificate is not valid for 's3.test'. (_ssl.c:1006)",
        "certificate verify failed: IP address mismatch, certificate is not valid for '10.0.0.1'. (_ssl.c:1006)",
        "hostname 's3.test' doesn't match either of 'a.test', 'b.test'",
        "no appropriate subjectAltName fields were found",
    ],
)
def test_another_name_in_the_words_of_openssl_and_urllib3(text):
    assert judge_tls(text) is StorageReason.CERTIFICATE_NAME_MISMATCH
    assert describe_tls(text).startswith("certificate verify failed: ")


def test_a_connection_that_breaks_is_not_about_a_certificate():
    text = "EOF occurred in violation of protocol (_ssl.c:1006)"
    assert judge_tls(text) is StorageReason.UNREACHABLE
    assert describe_tls(text) == ""
