"""Generate the tickets that customers send while adapters change: an endless stream of sessions.

A session is one customer who sends one to four tickets; a rollout keeps a session on one revision. A share of the
tickets is about gift cards, which no held-out ticket mentions. The same seed gives the same tickets. As a program it
prints JSON lines, which any client can send::

    python3 examples/support-triage/traffic.py --sessions 100 [--gift-cards 33] [--seed N]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
from collections.abc import Iterator
from itertools import count, islice

import generate
import phrases

GIFT_CARD_PERCENT = 33
LONGEST_SESSION = 4


@dataclasses.dataclass(frozen=True)
class Request:
    """One ticket as a client sends it: the sticky key, the messages, and whether it is about gift cards."""

    session: str
    messages: tuple[dict[str, str], ...]
    gift_card: bool


def sessions(seed: int = generate.SEED, gift_card_percent: int = GIFT_CARD_PERCENT) -> Iterator[list[Request]]:
    """Yield sessions without end; about ``gift_card_percent`` of their tickets are about gift cards."""
    rng = random.Random(f"{seed}/traffic")
    for number in count(1):
        yield [
            _request(f"customer-{number:05d}", gift_card_percent, rng) for _ in range(rng.randint(1, LONGEST_SESSION))
        ]


def _request(session: str, gift_card_percent: int, rng: random.Random) -> Request:
    """Return one ticket; customers use the words of both phrasebooks."""
    gift_card = rng.randrange(100) < gift_card_percent
    book = rng.choice((phrases.TRAINING, phrases.HELD_OUT))
    problem = rng.choice(phrases.GIFT_CARDS_LIVE if gift_card else book.problems[rng.choice(phrases.QUEUES)])
    cue = rng.choice(book.cues[rng.choice(phrases.URGENCIES)])
    text = generate.compose(book, problem, cue, "", rng).text
    messages = ({"role": "system", "content": generate.SYSTEM_PROMPT}, {"role": "user", "content": text})
    return Request(session, messages, gift_card)


def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=100, help="how many sessions to print")
    parser.add_argument("--gift-cards", type=int, default=GIFT_CARD_PERCENT, help="percent of tickets about gift cards")
    parser.add_argument("--seed", type=int, default=generate.SEED)
    arguments = parser.parse_args(argv)
    for session in islice(sessions(arguments.seed, arguments.gift_cards), arguments.sessions):
        for request in session:
            print(json.dumps(dataclasses.asdict(request), ensure_ascii=False))


if __name__ == "__main__":
    main()
