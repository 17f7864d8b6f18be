import pytest

from tunewright_contracts.adapter_manifest import Score
from tunewright_contracts.phase_result import DatasetSummary
from tunewright_trainer.config import resolve_config
from tunewright_trainer.publish.manifest import Provenance


@pytest.fixture
def provenance(make_spec):
    dataset = DatasetSummary(
        digest="sha256:" + "d" * 64, uri="s3://bucket/adapters/datasets/sha256-x", train=9, validation=1, evaluation=2
    )
    spec = make_spec()
    scores = (Score(type="ExactMatch", base=0.1, tuned=0.9, samples=2),)
    return Provenance(spec, resolve_config(spec, dataset), dataset, scores)
