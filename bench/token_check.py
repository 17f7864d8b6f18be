"""Measure the share of the check of tokens in prepare's time: the same records with and without it, alternately.

    .venv/bin/python bench/token_check.py [--tokenizer FOLDER] [--records 500] [--rounds 15]

Prepare's time is the CPU time of reading, checking, deduplicating, splitting and writing records in memory. Without
the check, the records are rendered and tokenized all the same, because their tokens are counted. FOLDER has the
tokenizer of a base model; without it, a small byte-level BPE tokenizer is built, which needs more tokens for the same
text.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.tokenizers import CORPUS, write_tokenizer
from tunewright_contracts.run_spec import DatasetFormat
from tunewright_trainer.chat.conversation import Conversation
from tunewright_trainer.chat.tokenizer import ConversationTokenizer
from tunewright_trainer.dataset.record import InputFile
from tunewright_trainer.dataset.storage import format_record
from tunewright_trainer.prepare.deduplicate import deduplicate
from tunewright_trainer.prepare.records import Measure, read_records
from tunewright_trainer.prepare.split import SplitPercents, split_records
from tunewright_trainer.prepare.token_check import TokenCheck

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PLAIN = (
    "{% for m in messages %}{{ m.role }}:\n{{ m.content }}{% if m.role == 'assistant' %}<|im_end|>{% endif %}\n"
    "{% endfor %}{% if add_generation_prompt %}assistant:\n{% endif %}"
)
WORDS = [*CORPUS[0].split(), *CORPUS[1].split()]
SHAPES = {
    "short answers": (1, 40, 6),
    "long questions": (1, 600, 20),
    "long answers": (1, 40, 300),
    "dialogues": (6, 40, 40),
}
"""Turns of each party, and words of a question and of an answer."""


def write_records(shape: tuple[int, int, int], number: int) -> bytes:
    """Return a file with different records of one shape."""
    turns, question, answer = shape
    source = random.Random(0)
    lines = []
    for index in range(number):
        messages = [{"role": "system", "content": "Answer the customer."}]
        for turn in range(turns):
            messages.append(
                {"role": "user", "content": f"{index} {turn} {' '.join(source.choices(WORDS, k=question))}"}
            )
            messages.append({"role": "assistant", "content": " ".join(source.choices(WORDS, k=answer))})
        lines.append(json.dumps({"messages": messages}))
    return "\n".join(lines).encode()


def prepare(data: bytes, measure: Measure) -> float:
    """Return the seconds of CPU time that it takes to prepare records in memory."""
    started = time.process_time()
    read = read_records([InputFile("a", DatasetFormat.AUTO, "1", lambda: data)], "", measure)
    unique, _ = deduplicate(read.records, "Exact")
    for records in split_records(unique, SplitPercents(5, 10)).splits.values():
        "\n".join(format_record(record.conversation) for record in records)
    seconds = time.process_time() - started
    assert not read.invalid, read.problems[0]
    return seconds


def count_only(tokenizer: ConversationTokenizer) -> Measure:
    """Return the measure of a prepare phase that only counts tokens."""

    def measure(conversation: Conversation, _added: int) -> int:
        return len(tokenizer.encode_text(tokenizer.template.locate_answers(conversation).text))

    return measure


def count_tokens(tokenizer: ConversationTokenizer, data: bytes) -> int:
    """Return the number of tokens of all records."""
    read = read_records([InputFile("a", DatasetFormat.AUTO, "1", lambda: data)], "", count_only(tokenizer))
    return sum(record.tokens for record in read.records)


def main(folder: Path, records: int, rounds: int) -> None:
    """Print a table: milliseconds for each thousand records, and the share of the check."""
    print(f"{'records':<18}{'template':<10}{'tokens':>8}{'without':>10}{'with':>10}{'share':>8}")
    for name, shape in SHAPES.items():
        data = write_records(shape, records)
        for kind, template in (("ChatML", CHATML), ("plain", PLAIN)):
            tokenizer = ConversationTokenizer.from_folder(folder, template)
            options: dict[str, Callable[[], Measure]] = {
                "without": lambda tokenizer=tokenizer: count_only(tokenizer),
                "with": lambda tokenizer=tokenizer: TokenCheck(tokenizer).count_tokens,
            }
            best = dict.fromkeys(options, float("inf"))
            for _ in range(rounds):
                for option, build in options.items():
                    best[option] = min(best[option], prepare(data, build()))
            tokens = count_tokens(tokenizer, data) / records
            without, checked = (best[option] / records * 1e6 for option in ("without", "with"))
            share = (checked - without) / checked
            print(f"{name:<18}{kind:<10}{tokens:>8.0f}{without:>10.1f}{checked:>10.1f}{share:>8.1%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--records", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.tokenizer is None:
            write_tokenizer(Path(scratch))
        main(arguments.tokenizer or Path(scratch), arguments.records, arguments.rounds)
