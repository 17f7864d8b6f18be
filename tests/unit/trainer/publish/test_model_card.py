"""The model card describes an adapter for readers: scores, data, settings."""

import pytest

from tunewright_contracts.content_file import ContentFile
from tunewright_trainer.publish.manifest import build_manifest
from tunewright_trainer.publish.model_card import render_model_card

DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def render(provenance):
    files = (ContentFile(path="adapter_config.json", sha256=DIGEST, size=1),)
    manifest = build_manifest(DIGEST, files, provenance)
    return lambda **changes: render_model_card(manifest.updated(**changes), provenance.dataset)


def test_card_shows_scores_and_data(render):
    card = render()
    assert "| ExactMatch | 0.100 | 0.900 | 2 |" in card
    assert "9 training, 1 validation and 2 held-out records" in card
    assert "| targetModules | q_proj, k_proj," in card


def test_it_begins_with_the_metadata_for_the_hub(render):
    lines = render().splitlines()
    assert lines[:5] == ["---", "library_name: peft", "base_model: tiny", "tags: [lora, tunewright]", "---"]
    assert lines[5] == "# support/tickets"
    assert "at revision" not in render()


def test_the_repository_and_revision_of_a_hub_model(render):
    manifest_base = {"name": "tiny", "repository": "org/tiny", "revision": "c0ffee", "digest": DIGEST}
    card = render(base_model=manifest_base)
    assert "base_model: org/tiny\n" in card
    assert "for **tiny** at revision `c0ffee`." in card


def test_a_score_without_a_base_model_and_no_scores(render):
    assert "| Contains | – | 0.500 | 4 |" in render(scores=({"type": "Contains", "tuned": 0.5, "samples": 4},))
    assert "Not scored" in render(scores=())


def test_packages_are_listed(render):
    assert render(packages={"torch": "2.13.0", "peft": "0.21.2"}).endswith("Packages: torch 2.13.0, peft 0.21.2.\n")
