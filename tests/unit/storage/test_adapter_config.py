"""Only settings pass that vLLM supports and that cannot stop its engine."""

import json
import math

import pytest

import support.worlds.server_world as world
from tunewright_contracts.adapter_manifest import CONFIG_NAME
from tunewright_storage.adapter_config import AdapterConfig, check_rank, read_adapter_config
from tunewright_storage.adapter_reasons import AdapterError, AdapterReason


@pytest.fixture
def path(tmp_path):
    return tmp_path / CONFIG_NAME


def write(path, **config):
    path.write_text(json.dumps(world.make_config(**config)))


def reason_of(path, max_rank=8) -> AdapterReason:
    with pytest.raises(AdapterError, match=world.WHAT_TO_DO) as caught:
        read_adapter_config(path, max_rank)
    assert not caught.value.failure.retryable
    return caught.value.failure.reason


def test_a_good_configuration(path):
    write(path, rank_pattern={"q_proj": 2})
    config = read_adapter_config(path, 8)
    assert config == AdapterConfig(rank=4, rank_pattern={"q_proj": 2}, targets=("q_proj", "v_proj"))


def test_a_regular_expression_names_no_targets(path):
    write(path, target_modules=".*_proj")
    assert read_adapter_config(path, 8).targets is None


@pytest.mark.parametrize(
    ("module", "rank"),
    [
        ("model.layers.0.self_attn.q_proj", 2),
        ("q_proj", 2),
        ("model.layers.0.mlp.gate_proj", 3),
        ("model.layers.1.mlp.gate_proj", 4),
        ("model.layers.0.self_attn.xq_proj", 4),
        ("model.layers.0.self_attn.q_proj.inner", 4),
    ],
)
def test_a_modules_rank_is_that_of_the_first_pattern_that_matches_the_end_of_its_name(module, rank):
    patterns = {"q_proj": 2, "0.mlp.gate_proj": 3, "self_attn.q_proj": 8}
    assert AdapterConfig(4, patterns, None).rank_of(module) == rank


@pytest.mark.parametrize(("rank", "good"), [(0, False), (1, True), (8, True), (9, False), (True, False), ("4", False)])
def test_ranks_that_the_server_accepts(rank, good):
    if good:
        assert check_rank(rank, 8, "the manifest") == rank
        return
    with pytest.raises(AdapterError, match=r"the manifest has rank .*, but this server accepts 1 to 8") as caught:
        check_rank(rank, 8, "the manifest")
    assert caught.value.failure.reason is AdapterReason.RANK_TOO_HIGH


def test_a_configuration_that_is_too_large(path):
    write(path, extra="x" * (256 * 1024))
    assert reason_of(path) is AdapterReason.NOT_AN_ADAPTER


def test_no_configuration(path):
    assert reason_of(path) is AdapterReason.NOT_AN_ADAPTER


@pytest.mark.parametrize("alpha", [math.nan, math.inf, 1e300, 0, -1, True, "8", None, 10**200])
def test_a_scale_that_makes_every_answer_nan(path, alpha):
    write(path, lora_alpha=alpha)
    assert reason_of(path) == AdapterReason.NOT_AN_ADAPTER
    write(path, alpha_pattern={"q_proj": alpha})
    assert reason_of(path) == AdapterReason.NOT_AN_ADAPTER


def test_a_scale_for_one_module_is_accepted(path):
    write(path, alpha_pattern={"q_proj": 32.5})
    assert read_adapter_config(path, 8).rank_pattern == {}


@pytest.mark.parametrize("field", ["rank_pattern", "alpha_pattern"])
@pytest.mark.parametrize(("keys", "good"), [(64, True), (65, False), (5_000, False)])
def test_a_pattern_has_at_most_64_keys(path, field, keys, good):
    write(path, **{field: {f"layers.{number}": 4 for number in range(keys)}})
    if good:
        assert len(read_adapter_config(path, 8).pattern_names) == keys
    else:
        assert reason_of(path) is AdapterReason.UNSUPPORTED_ADAPTER


def test_a_long_regular_expression_is_refused(path):
    write(path, target_modules="a" * 1000)
    assert read_adapter_config(path, 8).targets is None
    write(path, target_modules="a" * 1001)
    assert reason_of(path) is AdapterReason.UNSUPPORTED_ADAPTER


@pytest.mark.parametrize("field", ["rank_pattern", "alpha_pattern"])
def test_a_pattern_that_stops_the_engine(path, field):
    write(path, **{field: {"(a+)+$": 4}})
    assert reason_of(path) == AdapterReason.UNSUPPORTED_ADAPTER


@pytest.mark.parametrize(
    "change",
    [
        {"use_dora": True},
        {"bias": "all"},
        {"modules_to_save": ["lm_head"]},
        {"peft_type": "IA3"},
        {"init_lora_weights": "pissa"},
        {"layer_replication": [[0, 2]]},
    ],
)
def test_settings_that_vllm_does_not_support(path, change):
    write(path, **change)
    assert reason_of(path) == AdapterReason.UNSUPPORTED_ADAPTER


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"peft_type":"LORA","r":"4","lora_alpha":8}', '{"peft_type":"LORA","r":4.5,"lora_alpha":8}'],
)
def test_an_invalid_configuration(path, text):
    path.write_text(text)
    assert reason_of(path) == AdapterReason.NOT_AN_ADAPTER
