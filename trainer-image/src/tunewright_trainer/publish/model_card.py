"""The model card of an adapter, rendered from ``model_card.md.jinja``."""

from __future__ import annotations

import importlib.resources

import jinja2

from tunewright_contracts.adapter_manifest import AdapterManifest
from tunewright_contracts.phase_result import DatasetSummary

_TEMPLATE_NAME = "model_card.md.jinja"


def render_model_card(manifest: AdapterManifest, dataset: DatasetSummary) -> str:
    """Return the README.md: the adapter, its scores, its data and its training."""
    source = importlib.resources.files(__package__).joinpath(_TEMPLATE_NAME).read_text(encoding="utf-8")
    # Markdown, not HTML: there is nothing to escape.
    environment = jinja2.Environment(  # noqa: S701
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(source).render(manifest=manifest, dataset=dataset)
