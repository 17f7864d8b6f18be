"""Kopf's settings: what it watches, and that it writes nothing."""

from __future__ import annotations

import kopf

from tunewright_operator.handlers.settings import configure


def test_children_are_filtered_by_the_server():
    settings = kopf.OperatorSettings()
    configure(settings)
    assert settings.watching.label_selectors["", "v1", "pods"] == "tunewright.dev/managed-by=tunewright"
    assert not settings.posting.enabled


def test_kopf_lists_in_pages():
    settings = kopf.OperatorSettings()
    assert hasattr(settings.watching, "chunk_size")
    configure(settings)
    assert settings.watching.chunk_size == 500
