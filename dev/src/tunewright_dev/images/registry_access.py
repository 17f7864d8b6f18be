"""Give image builds access to the package registries that this machine can reach, without a trace in the images.

A machine behind a proxy or a company's certificate authority is configured for pip, uv and apt, but a build in a
container is not. So the machine's settings are rendered into files that are mounted while a step runs. They are not
written into a layer, an environment variable or the repository.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tunewright_dev.images.artefacts import DEBIAN_SUITE

_BUNDLE_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")
_BUNDLE_IN_IMAGE = "/etc/ssl/certs/ca-certificates.crt"
_PIP_SETTINGS = frozenset(
    {"default-timeout", "extra-index-url", "index-url", "proxy", "retries", "timeout", "trusted-host"}
)
_PIP_LINE = re.compile(r"^(?:global|install|user|:env:)\.(?P<key>[a-z-]+)='(?P<value>.*)'$")
_APT_LINE = re.compile(r"^Acquire::(?:http|https|ftp)::(?:Proxy|Verify-Peer|CAInfo)\b.*;$")


def build_mounts(folder: Path) -> list[str]:
    """Write the machine's settings into `folder` and return the `source:target:ro` of each mount."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    bundle = find_bundle(os.environ)
    # The pip of this environment, because Debian's python3 has none.
    pip = read_pip_settings(_output([sys.executable, "-m", "pip", "config", "list"]))
    sources = _output(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    )
    files = {
        "/etc/pip.conf": render_pip(pip, has_bundle=bundle is not None),
        "/etc/uv/uv.toml": render_uv(
            os.environ.get("UV_DEFAULT_INDEX") or pip.get("index-url"), has_bundle=bundle is not None
        ),
        "/etc/apt/sources.list": render_apt_sources(sources),
        "/etc/apt/apt.conf.d/99build": render_apt_settings(_output(["apt-config", "dump"])),
    }
    mounts = [f"{bundle}:{_BUNDLE_IN_IMAGE}:ro"] if bundle else []
    for target, text in files.items():
        source = folder / Path(target).name
        source.write_text(text)
        mounts.append(f"{source}:{target}:ro")
    return mounts


def find_bundle(environment: Mapping[str, str]) -> Path | None:
    """Return the bundle of certificate authorities that this machine is configured to trust, or None."""
    named = (environment.get(variable) for variable in _BUNDLE_VARIABLES)
    return next((Path(name).resolve() for name in named if name and Path(name).is_file()), None)


def read_pip_settings(listed: str) -> dict[str, str]:
    """Return the settings of `pip config list` that a build needs; the environment overrides configuration files."""
    settings = {}
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):
        match = _PIP_LINE.match(line)
        if match and match["key"] in _PIP_SETTINGS:
            settings[match["key"]] = match["value"]
    return settings


def render_pip(settings: Mapping[str, str], *, has_bundle: bool) -> str:
    """Return a pip.conf."""
    lines = [f"{key} = {value}" for key, value in sorted(settings.items())]
    if has_bundle:
        lines.append(f"cert = {_BUNDLE_IN_IMAGE}")
    return "\n".join(["[global]", *lines, ""])


def render_uv(index: str | None, *, has_bundle: bool) -> str:
    """Return a uv.toml."""
    lines = ["system-certs = true"] if has_bundle else []
    if index:
        lines += ["[[index]]", f'url = "{index}"', "default = true"]
    return "\n".join([*lines, ""])


def render_apt_sources(targets: str) -> str:
    """Return a sources.list with the machine's Debian sources, without those of third parties."""
    suites = {DEBIAN_SUITE, f"{DEBIAN_SUITE}-updates", f"{DEBIAN_SUITE}-security"}
    rows = (line.split() for line in targets.splitlines())
    lines = sorted({f"deb {row[0]} {row[1]} {row[2]}" for row in rows if row[1] in suites})
    return "\n".join([*lines, ""])


def render_apt_settings(dumped: str) -> str:
    """Return the lines of `apt-config dump` with the settings to reach a mirror."""
    return "\n".join([line for line in dumped.splitlines() if _APT_LINE.match(line)] + [""])


def _output(argv: list[str]) -> str:
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""
