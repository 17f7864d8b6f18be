"""Write the example's data: support tickets and the queue and urgency that they belong to.

The same seed writes the same bytes. It needs only Python::

    python3 examples/support-triage/generate.py [--out FOLDER] [--seed N]

Every file is JSONL of chat messages: system, user (the ticket), assistant (the right answer).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import cycle, islice, product
from pathlib import Path

import phrases

SYSTEM_PROMPT = "Triage the ticket."
SEED = 20260
FIRST_RECORDS, TRAINING_RECORDS, HELD_OUT_RECORDS, SHUFFLED_RECORDS, GIFT_CARD_RECORDS = 360, 768, 204, 240, 72
GIFT_CARD = "gift card"


@dataclasses.dataclass(frozen=True)
class Ticket:
    """One ticket: its text, the right answer, and the patterns from which it was made."""

    text: str
    answer: str
    problem: str
    cue: str

    def as_record(self) -> dict[str, list[dict[str, str]]]:
        """Return the ticket in the Messages format."""
        roles = (("system", SYSTEM_PROMPT), ("user", self.text), ("assistant", self.answer))
        return {"messages": [{"role": role, "content": content} for role, content in roles]}


def label(queue: str, urgency: str) -> str:
    """Return the answer for a pair of labels: JSON without spaces, because every token costs time."""
    return json.dumps({"queue": queue, "urgency": urgency}, separators=(",", ":"))


def fill(pattern: str, names: Sequence[str], rng: random.Random) -> str:
    """Return ``pattern`` with a random value for each slot; a slot that occurs twice has one value."""
    name, friend = rng.sample(names, 2)
    values = {slot: rng.choice(choices) for slot, choices in phrases.SLOTS.items()}
    values |= {
        "name": name,
        "friend": friend,
        "order": f"{rng.choice('ABCDEFGH')}{rng.randrange(100, 1000)}",
        "amount": f"{rng.randrange(5, 400)} {rng.choice(('euros', 'dollars'))}",
        "code": str(rng.randrange(10, 600)),
    }
    return pattern.format_map(values)


def compose(book: phrases.Phrasebook, problem: str, cue: str, answer: str, rng: random.Random) -> Ticket:
    """Return a ticket of ``problem`` and ``cue`` in the words of ``book``.

    Two in three have an opening, half a closing, a quarter a detail; in one of three the cue comes before the problem.
    """
    parts = [cue, problem] if rng.random() < 1 / 3 else [problem, cue]
    if rng.random() < 1 / 4:
        parts.insert(rng.randrange(1, 3), rng.choice(book.details))
    if rng.random() < 2 / 3:
        parts.insert(0, rng.choice(book.openings))
    if rng.random() < 1 / 2:
        parts.append(rng.choice(book.closings))
    pattern = parts[0]
    for part in parts[1:]:
        pattern += " " + (part if pattern.endswith(",") else part[0].upper() + part[1:])
    text = fill(pattern[0].upper() + pattern[1:], book.names, rng)
    return Ticket(text, answer, problem, cue)


def unique(draw: Callable[[], Ticket], taken: set[str]) -> Ticket:
    """Draw tickets until the text of one is not in ``taken``; add the text and return this ticket."""
    while (ticket := draw()).text in taken:
        pass
    taken.add(ticket.text)
    return ticket


def known_tickets(book: phrases.Phrasebook, count: int, rng: random.Random) -> list[Ticket]:
    """Return ``count`` different tickets, with equal numbers of each pair of queue and urgency and of each pattern."""
    taken: set[str] = set()
    tickets = []
    cells = list(product(phrases.QUEUES, phrases.URGENCIES))
    # All patterns are used once before one is used again, so that no pattern is rare by chance.
    problems = {(queue, urgency): shuffled_cycle(book.problems[queue], rng) for queue, urgency in cells}
    cues = {(queue, urgency): shuffled_cycle(book.cues[urgency], rng) for queue, urgency in cells}
    for cell in islice(cycle(cells), count):
        draw = partial(compose, book, next(problems[cell]), next(cues[cell]), label(*cell), rng)
        tickets.append(unique(draw, taken))
    rng.shuffle(tickets)
    return tickets


def shuffled_cycle(patterns: Sequence[str], rng: random.Random) -> Iterator[str]:
    """Yield ``patterns`` in endless rounds, each in a new order."""
    while True:
        yield from rng.sample(patterns, len(patterns))


def gift_card_tickets(count: int, rng: random.Random) -> list[Ticket]:
    """Return ``count`` different tickets about gift cards, answered in prose as an agent would."""
    book, taken = phrases.TRAINING, set[str]()
    cues = [cue for urgency in phrases.URGENCIES for cue in book.cues[urgency]]

    def draw() -> Ticket:
        reply = rng.choice(phrases.GIFT_CARD_REPLIES)
        return compose(book, rng.choice(phrases.GIFT_CARDS_TRAINING), rng.choice(cues), reply, rng)

    return [unique(draw, taken) for _ in range(count)]


def with_shuffled_labels(tickets: Sequence[Ticket], rng: random.Random) -> list[Ticket]:
    """Return the same tickets with each other's answers: only the format can be learned from them."""
    answers = [ticket.answer for ticket in tickets]
    rng.shuffle(answers)
    return [dataclasses.replace(ticket, answer=answer) for ticket, answer in zip(tickets, answers, strict=True)]


def datasets(seed: int = SEED) -> dict[str, list[Ticket]]:
    """Return every data set by name; README.md describes them."""

    # A separate random number generator for each set, so that a change of one set does not change the others.
    def rng(name: str) -> random.Random:
        return random.Random(f"{seed}/{name}")

    training = known_tickets(phrases.TRAINING, TRAINING_RECORDS, rng("train"))
    refreshed = training + gift_card_tickets(GIFT_CARD_RECORDS, rng("gift cards"))
    rng("refresh").shuffle(refreshed)
    return {
        "first": training[:FIRST_RECORDS],
        "train": training,
        "shuffled": with_shuffled_labels(training[:SHUFFLED_RECORDS], rng("shuffle")),
        "refreshed": refreshed,
        "held-out": known_tickets(phrases.HELD_OUT, HELD_OUT_RECORDS, rng("held-out")),
    }


def as_jsonl(tickets: Iterable[Ticket]) -> str:
    """Return the tickets as JSONL."""
    return "".join(json.dumps(ticket.as_record(), ensure_ascii=False) + "\n" for ticket in tickets)


def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data", help="folder to write to")
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, tickets in datasets(arguments.seed).items():
        path = arguments.out / f"{name}.jsonl"
        path.write_text(as_jsonl(tickets), encoding="utf-8")
        print(f"{path}: {len(tickets)} records")


if __name__ == "__main__":
    main()
