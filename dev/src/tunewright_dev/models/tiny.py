"""Make a tiny random Llama with a chat template, for end-to-end jobs that must be fast and whose answers do not matter.

The same code as for a real model uses it: Unsloth trains it, and vLLM serves it (its CPU attention needs heads of 32 or
more). It has the tokenizer and chat template of the demo model, so that both have the same token IDs; most of its 6 MB
are the embeddings.

It needs torch and transformers, as in the trainer's environment::

    python -m tunewright_dev.models.tiny OUT --tokenizer FOLDER
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tunewright_dev.models.folder import publish_folder

SEED = 0
HIDDEN_SIZE, HEADS, LAYERS, CONTEXT_LENGTH = 64, 2, 2, 2048


def make(out: Path, tokenizer_folder: Path) -> None:
    """Write the model to the folder ``out``, with the same bytes each time; an existing ``out`` is replaced.

    Args:
        out: folder to write.
        tokenizer_folder: a Hugging Face folder with a tokenizer and a chat template, such as the demo model's.
    """
    # Heavy: the import takes seconds.
    import torch  # noqa: PLC0415
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM  # noqa: PLC0415

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN_SIZE,
        intermediate_size=2 * HIDDEN_SIZE,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=1,
        head_dim=HIDDEN_SIZE // HEADS,
        max_position_embeddings=CONTEXT_LENGTH,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    torch.manual_seed(SEED)
    model = LlamaForCausalLM(config).to(torch.bfloat16)

    def write(folder: Path) -> None:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    publish_folder(out, write)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tunewright_dev.models.tiny", description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder to write; replaced when it exists")
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of the model whose tokenizer to take")
    arguments = parser.parse_args(argv)
    if not (arguments.tokenizer / "tokenizer.json").is_file():
        print(
            f"tiny_model: no tokenizer.json in {arguments.tokenizer}: make the demo model there first "
            "with `python -m tunewright_dev.models.smollm2`",
            file=sys.stderr,
        )
        return 1
    make(arguments.out, arguments.tokenizer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
