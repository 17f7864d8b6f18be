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


LINEAR = ["down_proj", "embed_tokens", "in_proj_ba", "lm_head", "q_proj"]


def _on_linear_modules(make_spec, modules, **base):
    base = {**make_spec().to_wire()["baseModel"], "linearModules": LINEAR, **base}
    return make_spec(baseModel=base, training={"lora": {"targetModules": modules}})


@pytest.mark.parametrize("module", ["q_proj", "in_proj_ba", "layers.3.mlp.down_proj"])
def test_the_linear_layers_that_the_inspection_found_are_accepted(make_spec, module):
    check_adapter_shape(_on_linear_modules(make_spec, [module]))


@pytest.mark.parametrize("module", ["k_proj", "mlp", "layers.0.self_attn", "A_log", "q_pro"])
def test_a_module_that_is_no_linear_layer_is_refused_with_those_that_are(make_spec, module):
    with pytest.raises(TrainerError, match=rf"has no linear layers '{module}'; choose from: d") as error:
        check_adapter_shape(_on_linear_modules(make_spec, ["q_proj", module]))
    assert error.value.reason is Reason.INVALID_TRAINING
    assert str(error.value).endswith("choose from: down_proj, in_proj_ba, q_proj")


def test_the_default_modules_of_a_base_model_are_looked_up_too(make_spec):
    spec = _on_linear_modules(make_spec, [], targetModules=["c_attn"])
    with pytest.raises(TrainerError, match=r"spec\.training\.targetModules of BaseModel .*no linear layers 'c_attn'"):
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
