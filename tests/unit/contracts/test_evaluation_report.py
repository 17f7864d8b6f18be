"""The summary of an evaluation for users."""

from tunewright_contracts.evaluation_report import MetricResult


def test_summary_shows_every_score_of_a_metric():
    result = MetricResult(type="ExactMatch", candidate=0.25, base=0.1, samples=8, verdict="Fail", message="below 0.9")
    assert result.describe() == "ExactMatch (candidate 0.250, base 0.100): Fail, below 0.9"
    compared = result.model_copy(update={"incumbent": 0.875})
    assert "candidate 0.250, incumbent 0.875, base 0.100" in compared.describe()
