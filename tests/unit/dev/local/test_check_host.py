"""The check that runs before there is a virtual environment."""

from __future__ import annotations

import subprocess
import sys

from tunewright_dev.errors import DevError
from tunewright_dev.local import check_host, host
from tunewright_dev.paths import find_paths


def test_it_needs_the_standard_library_only():
    # -S: without site-packages, like the machine's python3.
    script = (
        f"import sys; sys.path.insert(0, {str(find_paths().clone / 'dev' / 'src')!r}); "
        "import tunewright_dev.local.check_host"
    )
    done = subprocess.run([sys.executable, "-S", "-B", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_unsupported_machine_is_refused_with_the_reason(monkeypatch, capsys):
    monkeypatch.delenv("CLUSTER", raising=False)
    monkeypatch.setattr(host, "require_supported", _refuse)
    assert check_host.main() == 1
    assert "needs 2 cores" in capsys.readouterr().err


def test_with_an_existing_cluster_every_machine_is_supported(monkeypatch):
    monkeypatch.setenv("CLUSTER", "existing")
    monkeypatch.setattr(host, "require_supported", _refuse)
    assert check_host.main() == 0


def _refuse(_paths):
    raise DevError("needs 2 cores, this has 1")
