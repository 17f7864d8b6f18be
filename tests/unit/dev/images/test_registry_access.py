from __future__ import annotations

from tunewright_dev.images import registry_access

PIP = """\
:env:.cert='/etc/ssl/company.crt'
:env:.index-url='https://mirror.example/simple'
:env:.find-links='/opt/wheels'
global.index-url='https://other.example/simple'
global.timeout='180'
install.user='true'
"""


def test_only_settings_for_builds_are_passed_on():
    settings = registry_access.read_pip_settings("\n".join(reversed(PIP.splitlines())))
    assert settings == {"index-url": "https://mirror.example/simple", "timeout": "180"}


def test_the_environment_takes_precedence_although_pip_prints_it_first():
    assert registry_access.read_pip_settings(PIP)["index-url"] == "https://mirror.example/simple"


def test_pip_and_uv_trust_the_mounted_bundle_only_when_there_is_one():
    assert registry_access.render_pip({}, has_bundle=False) == "[global]\n"
    assert "cert = /etc/ssl/certs/ca-certificates.crt" in registry_access.render_pip({}, has_bundle=True)
    assert registry_access.render_uv(None, has_bundle=False) == ""
    assert "system-certs = true" in registry_access.render_uv(None, has_bundle=True)


def test_uv_uses_the_index_of_pip():
    assert registry_access.render_uv("https://mirror.example/simple", has_bundle=False).splitlines() == [
        "[[index]]",
        'url = "https://mirror.example/simple"',
        "default = true",
    ]


def test_only_the_sources_of_debian_go_into_a_build():
    targets = (
        "http://d.example/debian/ bookworm main\n"
        "http://v.example/apt vendor-bookworm main\n"
        "http://d.example/s/ bookworm-security main\n"
    )
    assert registry_access.render_apt_sources(targets).splitlines() == [
        "deb http://d.example/debian/ bookworm main",
        "deb http://d.example/s/ bookworm-security main",
    ]


def test_apt_gets_only_the_proxy():
    dumped = (
        'APT "";\nAcquire::http::Proxy "http://proxy.example:3128";\nAcquire::Languages "none";\nDPkg::Options "x";\n'
    )
    assert registry_access.render_apt_settings(dumped) == 'Acquire::http::Proxy "http://proxy.example:3128";\n'


def test_the_first_bundle_that_exists_is_taken(tmp_path):
    bundle = tmp_path / "ca.crt"
    bundle.touch()
    environment = {"SSL_CERT_FILE": str(tmp_path / "absent"), "PIP_CERT": str(bundle)}
    assert registry_access.find_bundle(environment) == bundle
    assert registry_access.find_bundle({}) is None
