"""What the images of the components have in common."""

from __future__ import annotations

import re

import pytest

from tunewright_dev.paths import find_paths

CLONE = find_paths().clone
FILES = sorted(
    path.relative_to(CLONE).as_posix()
    for pattern in ("*/Containerfile", "dev/images/*/Containerfile")
    for path in CLONE.glob(pattern)
    if "/app/" in path.read_text(encoding="utf-8")
)


def read_environment(text: str) -> dict[str, str]:
    """Return the variables of an image's last stage."""
    stage = re.split(r"^FROM .*$", text, flags=re.MULTILINE)[-1]
    pairs = [pair for line in re.findall(r"^ENV (.*)$", stage, flags=re.MULTILINE) for pair in line.split()]
    return dict(pair.split("=", 1) for pair in pairs)


def test_the_images_with_our_code_are_found():
    assert FILES == [
        "dev/images/demo-models/Containerfile",
        "operator/Containerfile",
        "server-image/Containerfile",
        "trainer-image/Containerfile",
    ]


@pytest.mark.parametrize("name", FILES)
def test_no_image_imports_from_the_working_directory_or_asks_the_node_for_credentials(name):
    environment = read_environment((CLONE / name).read_text(encoding="utf-8"))
    assert environment["PYTHONSAFEPATH"] == "1"
    assert environment["PYTHONPATH"] == "/app", "an empty entry would be the working directory"
    assert environment["AWS_EC2_METADATA_DISABLED"] == "true"
