"""Compare optimizer steps of the trainer with plain TRL and PEFT on a GPU: speed, memory and loss.

Both train an adapter of the same shape on the same token rows with the same global batch. Each runs in a separate
process, since importing Unsloth patches the libraries that the other uses. The model has the shape of a 1B Llama and
random weights: speed and memory do not depend on the values.
"""

import json
import subprocess
import sys

import pytest

STEPS, BATCH, MICRO_BATCH, LENGTH, VOCABULARY = 12, 8, 4, 1024, 32_000

MAKE_MODEL = """
import sys, torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
torch.manual_seed(0)
config = LlamaConfig(vocab_size={vocabulary}, hidden_size=2048, intermediate_size=8192, num_hidden_layers=16,
                     num_attention_heads=32, num_key_value_heads=8, max_position_embeddings=4096, pad_token_id=0,
                     bos_token_id=1, eos_token_id=2)
LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(sys.argv[1])
tokenizer = Tokenizer(models.WordLevel({{"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3}}, unk_token="<unk>"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>",
                        unk_token="<unk>").save_pretrained(sys.argv[1])
"""

ROWS = """
import json, pathlib, random, sys, time
STEPS, BATCH, MICRO_BATCH, LENGTH, VOCABULARY = {steps}, {batch}, {micro_batch}, {length}, {vocabulary}
folder, work = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
random.seed(0)
rows = [[random.randrange(4, VOCABULARY) for _ in range(LENGTH)] for _ in range(STEPS * BATCH)]
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

def report(seconds, history):
    import torch
    losses = [line["loss"] for line in history if "loss" in line]
    print(json.dumps({{"tokensPerSecond": STEPS * BATCH * LENGTH / seconds,
                       "peakMiB": torch.cuda.max_memory_allocated() >> 20,
                       "firstLoss": losses[0], "lastLoss": losses[-1]}}))
"""

OURS = """
from tunewright_trainer.train import fit as fitting
from tunewright_evaluator.progress_server import ProgressBoard
from tunewright_trainer.process.stopping import Stopper
from tunewright_trainer.chat.tokenizer import Example
from tunewright_trainer.config import TrainingConfig

class NoCheckpoints:
    latest_step = None
    def save(self, step, folder, *, last=False): return True
    def finish(self): pass

digest = "sha256:" + "0" * 64
config = TrainingConfig(
    base_model="random-1b", base_model_digest=digest, dataset_digest=digest, quantization="{quantization}", rank=16,
    alpha=16, dropout=0.0, target_modules=tuple(TARGETS), total_steps=STEPS, epochs=1, batch_size=BATCH,
    micro_batch_size=MICRO_BATCH, gradient_accumulation_steps=BATCH // MICRO_BATCH, learning_rate=1e-3, warmup_steps=1,
    max_sequence_length=LENGTH, checkpoint_steps=STEPS, seed=1)
started = time.monotonic()
result = fitting.fit(config, folder, [Example(row, row) for row in rows], [], resume=None, work=work,
                     checkpoints=NoCheckpoints(), board=ProgressBoard(), stopper=Stopper())
runtime = next(line["train_runtime"] for line in result.metrics if "train_runtime" in line)
report(runtime, result.metrics)
"""

PLAIN = """
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, DataCollatorForSeq2Seq
from trl import SFTConfig, SFTTrainer

nf4 = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                         bnb_4bit_compute_dtype=torch.bfloat16)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, device_map="cuda",
                                             quantization_config=nf4 if "{quantization}" == "NF4" else None)
tokenizer = AutoTokenizer.from_pretrained(folder)
trainer = SFTTrainer(
    model=model, processing_class=tokenizer,
    train_dataset=Dataset.from_list([{{"input_ids": row, "labels": row}} for row in rows]),
    data_collator=DataCollatorForSeq2Seq(tokenizer),
    peft_config=LoraConfig(r=16, lora_alpha=16, target_modules=TARGETS, task_type="CAUSAL_LM"),
    args=SFTConfig(output_dir=str(work), max_steps=STEPS, per_device_train_batch_size=MICRO_BATCH,
                   gradient_accumulation_steps=BATCH // MICRO_BATCH, learning_rate=1e-3, warmup_steps=1, bf16=True,
                   optim="adamw_8bit", weight_decay=0.01, max_length=LENGTH, logging_steps=1, save_strategy="no",
                   seed=1, report_to="none", gradient_checkpointing=True,
                   dataset_kwargs={{"skip_prepare_dataset": True}}))
runtime = trainer.train().metrics["train_runtime"]
report(runtime, trainer.state.log_history)
"""


def run(source, *arguments, quantization="None"):
    values = {"steps": STEPS, "batch": BATCH, "micro_batch": MICRO_BATCH, "length": LENGTH, "vocabulary": VOCABULARY}
    text = source.format(quantization=quantization, **values)
    done = subprocess.run(
        [sys.executable, "-c", text, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    run(MAKE_MODEL, folder)
    return folder


@pytest.mark.parametrize("quantization", ["None", "NF4"])
def test_step_against_plain_trl(model_folder, tmp_path, quantization):
    figures = {
        name: json.loads(run(ROWS + source, model_folder, tmp_path / name, quantization=quantization).splitlines()[-1])
        for name, source in {"tunewright": OURS, "plain": PLAIN}.items()
    }
    print(f"\n{quantization}: {json.dumps(figures, indent=2)}")  # noqa: T201 - the figures are what -s shows
    ours, plain = figures["tunewright"], figures["plain"]
    # On random targets, both begin at the loss of a uniform guess, and both change it.
    assert ours["firstLoss"] == pytest.approx(plain["firstLoss"], rel=0.02)
    assert ours["lastLoss"] < ours["firstLoss"]
    # The advantages for which the trainer uses Unsloth.
    assert ours["peakMiB"] < plain["peakMiB"]
