"""An adapter that no server can load is refused before it is trained."""

import pytest

from tunewright_trainer.errors import Reason, TrainerError
from tunewright_trainer.publish.servable import check_adapter_shape

SERVABLE = ["q_proj", "gate_proj", "self_attn.q_proj", "layers.0.mlp.down_proj", "c_attn", "query_key_value", "fc1"]
NOT_SERVABLE = [
    "lm_head",
    "model.lm_head",
    "embed_tokens",
    "model.embed_tokens",
    "word_embeddings",
    "wte",
    "input_layernorm",
    "post_attention_layernorm",
    "norm",
    "q_norm",
    "ln_f",
    "conv1d",
    "all-linear",
    ".*_proj",
    "(q|v)_proj",
    "",
    " q_proj",
    ".q_proj",
]


@pytest.mark.parametrize("module", SERVABLE)
def test_linear_layers_are_accepted(make_spec, module):
    check_adapter_shape(make_spec(training={"lora": {"targetModules": ["v_proj", module]}}))


@pytest.mark.parametrize("module", NOT_SERVABLE)
def test_other_modules_are_refused_by_the_jobs_field(make_spec, module):
    with pytest.raises(TrainerError, match=r"spec\.training\.lora\.targetModules has ") as error:
        check_adapter_shape(make_spec(training={"lora": {"targetModules": ["v_proj", module]}}))
    assert error.value.reason is Reason.INVALID_TRAINING
    assert repr(module) in str(error.value)


def test_the_base_models_own_list_is_named_by_its_field(make_spec):
    base = make_spec().to_wire()["baseModel"]
    spec = make_spec(baseModel={**base, "targetModules": ["q_proj", "lm_head"]})
    with pytest.raises(TrainerError, match=rf"spec\.training\.targetModules of BaseModel {base['name']} has 'lm_head'"):
        check_adapter_shape(spec)


def test_the_defaults_are_accepted(make_spec):
    check_adapter_shape(make_spec())


@pytest.mark.parametrize(("rank", "good"), [(1, True), (3, True), (512, True), (0, False), (-1, False), (513, False)])
def test_ranks_that_vllm_supports(make_spec, rank, good):
    spec = make_spec(training={"lora": {"rank": rank}})
    if good:
        check_adapter_shape(spec)
        return
    with pytest.raises(TrainerError, match=rf"lora\.rank is {rank}.*from 1 to 512") as error:
        check_adapter_shape(spec)
    assert error.value.reason is Reason.INVALID_TRAINING
