"""Check on a record's tokens that training teaches what generation, scoring and serving need.

Four conditions hold for each record:

- The prompt's tokens in generation are the first tokens in training. Otherwise, the model is asked what it never saw.
- The learned tokens, decoded as scoring decodes an answer, are the reference answer. Otherwise, a perfect model fails.
- The last learned token stops generation. Otherwise, an answer has no end.
- The rendered text contains the content of every message. Otherwise, the template drops a part of the data.

Tokens are counted in any case, so a record is tokenized once. The prompt is then compared by the tokens' positions, and
only its last tokens are encoded again, because others do not depend on the answer. A sample, and each prompt whose last
tokens differ, is encoded in full.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NoReturn

from tunewright_contracts.values import MAX_STOP_TOKENS
from tunewright_trainer.chat.conversation import ChatMessage, Conversation
from tunewright_trainer.chat.template import (
    AnswersNotFoundError,
    ChatTemplateError,
    ChatTemplateFailedError,
    LearnedTurn,
)
from tunewright_trainer.chat.tokenizer import ConversationTokenizer, EncodedConversation
from tunewright_trainer.prepare.validate import Fault, RecordError

_WINDOW = 6
"""How many of the prompt's last tokens are encoded again."""
_FIRST_IN_FULL, _EACH_IN_FULL = 32, 256
"""The sample of prompts that are encoded in full: the first ones, and then each one in so many."""
_CACHED = 1024
_SHOWN_CHARACTERS = 40
_THINK = re.compile(r"</?think(ing)?>")


class TokenCheck:
    """Check the records of one dataset.

    ``taught`` collects the tokens with which they teach to end an answer. ``context_answers`` counts the answers that
    would be learned if the template did not render them in another way when other messages follow.
    """

    def __init__(self, tokenizer: ConversationTokenizer) -> None:
        self._tokenizer = tokenizer
        self._special = tokenizer.special_tokens
        self._control = _match_any(self._special.control.values())
        self._dropped: dict[tuple[str, ...], frozenset[int]] = {}
        self._windows: dict[str, list[int]] = {}
        self._prompts = 0
        self.taught: set[int] = set()
        self.context_answers = 0

    def count_tokens(self, conversation: Conversation, added: int = 0) -> int:
        """Return the number of tokens of a record that meets the conditions.

        Args:
            conversation: the record, with the system prompt.
            added: how many messages at its beginning are not the record's: 1 with `dataset.systemPrompt`.

        Raises:
            RecordError: it does not meet a condition; the message names the message of the record.
        """
        try:
            encoded, ends = self._check(conversation, added)
        except RecordError as error:
            if added and error.fault is Fault.TEMPLATE and self._passes(conversation[added:]):
                reason = str(error)
                named = reason if "dataset.systemPrompt" in reason else f"with dataset.systemPrompt: {reason}"
                raise RecordError(named, Fault.SYSTEM_PROMPT) from error
            raise
        if len(self.taught | ends) > MAX_STOP_TOKENS:
            raise RecordError(
                f"its answers end with the tokens {sorted(ends)}, but the dataset's answers end with {MAX_STOP_TOKENS} "
                "other ones; end all answers with the same token",
                Fault.TEMPLATE,
            )
        self.taught |= ends
        wanted = sum(message.role == "assistant" and message.learned for message in conversation)
        self.context_answers += wanted - len(encoded.rendered.turns)
        return len(encoded.ids)

    def _passes(self, conversation: Conversation) -> bool:
        try:
            self._check(conversation, 0)
        except RecordError:
            return False
        return True

    def _check(self, conversation: Conversation, added: int) -> tuple[EncodedConversation, set[int]]:
        """Return the tokens, and those that end its learned answers."""
        self._check_control_tokens(conversation, added)
        try:
            encoded = self._tokenizer.encode(conversation)
        except AnswersNotFoundError as error:
            self._check_contents(conversation, self._tokenizer.template.render(conversation), added)
            raise RecordError(str(error), Fault.TEMPLATE) from error
        except ChatTemplateFailedError as error:
            raise RecordError(f"the chat template fails on it: {error}", Fault.TEMPLATE) from error
        except ChatTemplateError as error:
            raise RecordError(f"the chat template rejects it: {error}", Fault.TEMPLATE) from error
        self._check_contents(conversation, encoded.rendered.text, added)
        turns = encoded.rendered.turns
        if turns[-1].message != len(conversation) - 1:
            where = _name(conversation, len(conversation) - 1, added)
            raise RecordError(f"{where} cannot be located in the text that the chat template renders", Fault.TEMPLATE)
        ends = {
            self._check_turn(encoded, turn, conversation[turn.message], _name(conversation, turn.message, added))
            for turn in turns
        }
        return encoded, ends

    def _check_control_tokens(self, conversation: Conversation, added: int) -> None:
        """Check that no content has the text of a control token: it would be that token, and not text."""
        if self._control is None:
            return
        for index, message in enumerate(conversation):
            found = self._control.search(message.content)
            if found is not None:
                raise RecordError(
                    f"{_name(conversation, index, added)} contains the control token {found[0]}, which the base model "
                    "does not read as text; remove it"
                )

    def _check_contents(self, conversation: Conversation, text: str, added: int) -> None:
        """Check that the text contains every content, without white space at its ends, which many templates remove.

        The contents are in their order. Only a system message can be anywhere: some templates move it.
        """
        position = 0
        dropped = self._find_dropped(tuple(message.role for message in conversation))
        for index, message in enumerate(conversation):
            content = message.content.strip()
            found = text.find(content, 0 if message.role == "system" else position)
            if found < 0 or index in dropped:
                where = _name(conversation, index, added)
                _fail(message, where, " is not completely in the text that the chat template renders")
            if message.role != "system":
                position = found + len(content)

    def _find_dropped(self, roles: tuple[str, ...]) -> frozenset[int]:
        """Return which messages the template drops from any conversation with these roles.

        Short contents (``a``) are in the rendered text also by chance, so unique contents replace them here.
        """
        if roles not in self._dropped:
            if len(self._dropped) >= _CACHED:
                self._dropped.clear()
            probe = tuple(ChatMessage(role, f"tunewright{index}probe") for index, role in enumerate(roles))
            try:
                text = self._tokenizer.template.render(probe)
            except ChatTemplateError:
                text = "".join(message.content for message in probe)
            missing = (index for index, message in enumerate(probe) if message.content not in text)
            self._dropped[roles] = frozenset(missing)
        return self._dropped[roles]

    def _check_turn(self, encoded: EncodedConversation, turn: LearnedTurn, message: ChatMessage, where: str) -> int:
        """Check the prompt and the tokens of a learned answer; return the token that ends it."""
        first, end = encoded.find_token(turn.start), encoded.find_token(turn.end)
        self._check_prompt(encoded, turn, first, message, where)
        learned = encoded.ids[first:end]
        if not learned:
            _fail(message, where, " has no token that is learned")
        last = learned[-1]
        if not self._special.can_end_an_answer(last):
            raise RecordError(
                f"{where}: the last learned token, {encoded.read_text(end - 1)!r}, does not stop generation; the chat "
                "template must end each answer with a control token, such as eos_token",
                Fault.TEMPLATE,
            )
        answer = self._tokenizer.decode(learned, self._special.stop | {last})
        if answer.strip() != message.content.strip():
            between = encoded.rendered.text[turn.start : encoded.offsets[end - 1][0]]
            is_rendered = between.strip() == message.content.strip()
            what = "the tokenizer cannot represent it" if is_rendered else "the template adds to it or changes it"
            _fail(
                message,
                where,
                f": the learned tokens decode to {_excerpt(answer, message.content)} instead of its content: {what}",
                Fault.RECORD if is_rendered else Fault.TEMPLATE,
            )
        return last

    def _check_prompt(
        self, encoded: EncodedConversation, turn: LearnedTurn, first: int, message: ChatMessage, where: str
    ) -> None:
        """Check that the prompt's tokens are the tokens before ``first``, the answer's first token."""
        text = encoded.rendered.text
        if not text.startswith(turn.opening):
            _fail(
                message,
                where,
                f": the prompt in generation ends with {turn.opening[turn.start :][:_SHOWN_CHARACTERS]!r}, "
                f"where the text in training has {text[turn.start :][:_SHOWN_CHARACTERS]!r}",
            )
        merged = first > 0 and encoded.offsets[first - 1][1] > turn.start
        if not merged and self._begins_with_prompt(encoded, turn, first):
            return
        if message.content[:1].isspace():
            raise RecordError(
                f"{where} begins with white space that forms a token with the end of the prompt; remove the white space"
            )
        if merged:
            raise RecordError(
                f"{where}: the token {encoded.read_text(first - 1)!r} has the end of the prompt and the beginning of "
                "the answer, so it is not learned; in the chat template, end the text before an answer with a control "
                "token or a line break, not with a space",
                Fault.TEMPLATE,
            )
        raise RecordError(
            f"{where}: before an answer, the text {turn.opening[-_SHOWN_CHARACTERS:]!r} has other tokens than in a "
            "prompt for generation; in the chat template, end it with a control token or one line break",
            Fault.TEMPLATE,
        )

    def _begins_with_prompt(self, encoded: EncodedConversation, turn: LearnedTurn, first: int) -> bool:
        """Return whether the prompt alone has the same tokens as at the beginning of the record."""
        self._prompts += 1
        in_full = self._prompts <= _FIRST_IN_FULL or self._prompts % _EACH_IN_FULL == 0
        if not in_full and self._ends_with_prompt(encoded, turn, first):
            return True
        return self._tokenizer.encode_text(turn.opening) == encoded.ids[:first]

    def _ends_with_prompt(self, encoded: EncodedConversation, turn: LearnedTurn, first: int) -> bool:
        """Return whether the prompt's last tokens are the same without what follows.

        The tokenizer splits the text at control tokens, so what is before one does not depend on what is after it. If
        there is none, the encoded part begins in the middle of a text. Then only its second half is compared, because
        the first tokens of such a part can differ.
        """
        begin = max(0, first - _WINDOW)
        backwards = range(first - 1, begin - 1, -1)
        mark = next((index for index in backwards if encoded.ids[index] in self._special.added), None)
        begin = begin if mark is None else mark
        part = encoded.rendered.text[encoded.offsets[begin][0] : turn.start] if first else ""
        if part not in self._windows:
            if len(self._windows) >= _CACHED:
                self._windows.clear()
            self._windows[part] = self._tokenizer.encode_text(part)
        tokens = self._windows[part]
        if mark is not None or begin == 0:
            return tokens == encoded.ids[begin:first]
        compared = _WINDOW // 2
        return tokens[-compared:] == encoded.ids[first - compared : first]


def _fail(message: ChatMessage, where: str, reason: str, fault: Fault = Fault.TEMPLATE) -> NoReturn:
    """Raise the error of a message; a think block in it is the likely cause, because templates split reasoning off.

    Raises:
        RecordError: always.
    """
    if _THINK.search(message.content):
        raise RecordError(f"{where} has a think block, which the chat template does not render as text; remove it")
    raise RecordError(f"{where}{reason}", fault)


def _name(conversation: Conversation, index: int, added: int) -> str:
    """Return the name of a message, counted from 1 in the record."""
    if index < added:
        return "dataset.systemPrompt"
    return f"message {index + 1 - added} ({conversation[index].role})"


def _excerpt(answer: str, content: str) -> str:
    """Return the part of an answer where it begins to differ from a content."""
    pairs = enumerate(zip(answer, content, strict=False))
    begin = next((index for index, (one, other) in pairs if one != other), min(len(answer), len(content)))
    begin = max(0, begin - _SHOWN_CHARACTERS // 2)
    end = begin + _SHOWN_CHARACTERS
    return f"{'…' if begin else ''}{answer[begin:end]!r}{'…' if end < len(answer) else ''}"


def _match_any(texts: Iterable[str]) -> re.Pattern[str] | None:
    """Return a pattern that finds any of some texts, the longest first; None without texts."""
    ordered = sorted(texts, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, ordered))) if ordered else None
