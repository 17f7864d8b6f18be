from __future__ import annotations

import json
import ssl

from tunewright_dev.local import control_plane


def test_credentials_are_private_valid_and_kept(paths):
    first = control_plane.ensure_credentials(paths)
    stamps = {path: path.stat().st_mtime_ns for path in paths.pki.iterdir()}
    control_plane.ensure_credentials(paths)
    assert {path: path.stat().st_mtime_ns for path in paths.pki.iterdir()} == stamps
    assert {path.name for path in paths.pki.iterdir() if path.stat().st_mode & 0o077} == set()
    context = ssl.create_default_context(cafile=str(first.authority.certificate))
    context.load_cert_chain(first.admin.certificate, first.admin.key)


def test_a_kubeconfig_needs_no_other_file(paths):
    credentials = control_plane.ensure_credentials(paths)
    config = json.loads(credentials.kubeconfigs["admin"].read_text())
    assert config["clusters"][0]["cluster"]["server"] == "https://10.98.0.1:6443"
    assert str(paths.state) not in json.dumps(config)
