from __future__ import annotations

import dataclasses

from tunewright_dev.images import artefacts


def test_artefacts_without_a_go_build_are_fetched_in_advance(monkeypatch, paths):
    made = []
    for name, artefact in artefacts.ARTEFACTS.items():
        noted = dataclasses.replace(artefact, make=lambda paths, name=name: made.append(name) or paths.cache)
        monkeypatch.setitem(artefacts.ARTEFACTS, name, noted)
    artefacts.prefetch(paths)
    assert set(made) == set(artefacts.ARTEFACTS) - {"pause", "coredns"}


def test_a_new_generation_makes_another_root_file_system(monkeypatch, paths):
    before = artefacts.ARTEFACTS["debian.tar"].key(paths)
    monkeypatch.setattr(artefacts, "DEBIAN_GENERATION", artefacts.DEBIAN_GENERATION + 1)
    assert artefacts.ARTEFACTS["debian.tar"].key(paths) != before
