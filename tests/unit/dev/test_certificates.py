from __future__ import annotations

import ssl

from tunewright_dev import certificates


def test_an_incomplete_certificate_is_created_again(paths):
    authority = certificates.ensure_authority(paths.pki, "ca")
    authority.certificate.unlink()
    again = certificates.ensure_authority(paths.pki, "ca")
    ssl.create_default_context(cafile=str(again.certificate))
