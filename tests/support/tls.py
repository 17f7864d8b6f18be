"""A private authority, its certificates, and HTTPS servers on loopback."""

import contextlib
import datetime as dt
import http.server
import ipaddress
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = dt.timedelta(days=1)


class Authority:
    """A certificate authority whose files are in a folder: ``<name>.crt`` (PEM) and ``<name>.der``."""

    def __init__(self, folder, name="authority", *, starts=-DAY, ends=DAY):
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        certificate = _build(self._name, self._name, self._key.public_key(), starts, ends).add_extension(
            constraints, critical=True
        )
        signed = certificate.sign(self._key, hashes.SHA256())
        self.bundle, self.der = folder / f"{name}.crt", folder / f"{name}.der"
        self.bundle.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        self.der.write_bytes(signed.public_bytes(serialization.Encoding.DER))

    def issue(self, *hosts, starts=-DAY, ends=DAY):
        """Return the file with a server's certificate and key for these host names."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        names = x509.SubjectAlternativeName([_name(host) for host in hosts])
        certificate = _build(self._name, subject, key.public_key(), starts, ends).add_extension(names, critical=False)
        path = self._folder / "server.pem"
        path.write_bytes(
            certificate.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return path


@contextlib.contextmanager
def serve_https(handler, certificate):
    """Serve a handler on loopback with a file of `Authority.issue`; yield the server."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _build(issuer, subject, public_key, starts, ends):
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + starts)
        .not_valid_after(now + ends)
    )


def _name(host):
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
