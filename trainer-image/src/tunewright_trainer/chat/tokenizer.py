"""The base model's tokenizer and chat template, read from its files without transformers."""

from __future__ import annotations

import bisect
import dataclasses
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol, Self

from tunewright_trainer.chat.conversation import Conversation
from tunewright_trainer.chat.special_tokens import SpecialTokens, cut_at_stop, read_special_tokens
from tunewright_trainer.chat.template import ChatTemplate, RenderedConversation, mask_tokens
from tunewright_trainer.errors import Reason, TrainerError

IGNORED_LABEL = -100
"""The label of a token that does not count in the loss (torch's cross entropy ignores it)."""


class Encoder(Protocol):
    """Text → token ids with their (start, end) characters; ``tokenizers.Tokenizer`` has the same method."""

    def encode(self, sequence: str, *, add_special_tokens: bool) -> Any:
        """Return an object with ``ids`` and ``offsets``."""
        ...

    def decode(self, ids: list[int], *, skip_special_tokens: bool = True) -> str:
        """Return the text of token ids."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Example:
    """A tokenized conversation:
    ``labels`` equal ``input_ids`` in the assistant's turns and are `IGNORED_LABEL` elsewhere.
    """

    input_ids: list[int]
    labels: list[int]


@dataclasses.dataclass(frozen=True, slots=True)
class EncodedConversation:
    """A rendered conversation with its tokens; ``offsets`` are their (start, end) characters."""

    rendered: RenderedConversation
    ids: list[int]
    offsets: list[tuple[int, int]]

    def find_token(self, character: int) -> int:
        """Return the index of the first token that begins at a character or after it."""
        return bisect.bisect_left(self.offsets, (character,))

    def read_text(self, token: int) -> str:
        """Return the characters of a token."""
        start, end = self.offsets[token]
        return self.rendered.text[start:end]


class ConversationTokenizer:
    """Tokenize conversations in the form that the model reads."""

    def __init__(self, encoder: Encoder, template: ChatTemplate, special_tokens: SpecialTokens | None = None) -> None:
        self._encoder = encoder
        self.template = template
        self.special_tokens = special_tokens or SpecialTokens()

    @classmethod
    def from_folder(cls, folder: Path, chat_template: str = "") -> Self:
        """Read ``tokenizer.json``, the chat template and the special tokens of a model's folder.

        Args:
            folder: contains the base model's files.
            chat_template: the template in the BaseModel, which takes precedence over the folder's.

        Raises:
            TrainerError: there is no usable tokenizer or template.
        """
        import tokenizers  # noqa: PLC0415 - only in the image and in tests

        path = folder / "tokenizer.json"
        if not path.is_file():
            raise TrainerError(
                Reason.NO_TOKENIZER,
                "the base model has no tokenizer.json; save it with `AutoTokenizer.from_pretrained(...)"
                ".save_pretrained(folder)` and create a new BaseModel",
            )
        try:
            encoder = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise TrainerError(
                Reason.NO_TOKENIZER, f"the base model's tokenizer.json cannot be read: {error}; save it again"
            ) from error
        encoder.no_padding()
        encoder.no_truncation()
        # The post-processor adds special tokens, which are not needed here. It may also trim spaces from the offsets
        # (GPT-NeoX): tokens that are only spaces would then look empty and not count in the loss.
        encoder.post_processor = None
        names = _read_token_names(folder)
        config = _read_json(folder / "config.json")
        text_config = config.get("text_config")
        configurations = [_read_json(folder / "generation_config.json"), config]
        configurations += [text_config] if isinstance(text_config, dict) else []
        return cls(
            encoder,
            ChatTemplate(chat_template or _read_template(folder), names),
            read_special_tokens(encoder, configurations, names.get("eos_token", "")),
        )

    def encode(self, conversation: Conversation) -> EncodedConversation:
        """Return the tokens of a whole conversation.

        Raises:
            ChatTemplateError: the template rejects it, or the assistant's turns cannot be located.
        """
        rendered = self.template.locate_answers(conversation)
        encoding = self._encoder.encode(rendered.text, add_special_tokens=False)
        return EncodedConversation(rendered, encoding.ids, encoding.offsets)

    def encode_text(self, text: str) -> list[int]:
        """Return the tokens of a text that is already rendered."""
        return list(self._encoder.encode(text, add_special_tokens=False).ids)

    def encode_example(self, conversation: Conversation) -> Example:
        """Return a training example with the loss on the assistant's tokens only.

        Raises:
            ChatTemplateError: the template rejects it.
        """
        encoded = self.encode(conversation)
        mask = mask_tokens(encoded.offsets, encoded.rendered.spans)
        labels = [token if inside else IGNORED_LABEL for token, inside in zip(encoded.ids, mask, strict=True)]
        return Example(list(encoded.ids), labels)

    def encode_prompt(self, conversation: Conversation) -> list[int]:
        """Return the tokens of a prompt, which the model continues with its answer.

        Raises:
            ChatTemplateError: the template rejects it.
        """
        return self.encode_text(self.template.render(conversation, add_generation_prompt=True))

    def decode(self, tokens: list[int], stop: Collection[int] = ()) -> str:
        """Return the text of an answer up to its first stop token, without special tokens (end of turn, padding)."""
        return self._encoder.decode(cut_at_stop(tokens, stop), skip_special_tokens=True)


def _read_template(folder: Path) -> str:
    """Return the tokenizer's template, from its file (transformers ≥ 4.52) or from tokenizer_config.json."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise TrainerError(
                Reason.INVALID_CHAT_TEMPLATE,
                f"the base model's {path.name} is not UTF-8: {error}; save it again, or set training.chatTemplate of "
                "the BaseModel",
            ) from error
    template = _read_json(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(template, list):
        # A list has named templates; the one for chats without tools is called "default".
        named = [item for item in template if isinstance(item, dict)]
        template = next((item.get("template") for item in named if item.get("name") == "default"), None)
    if isinstance(template, str) and template:
        return template
    raise TrainerError(
        Reason.INVALID_CHAT_TEMPLATE,
        "the base model's tokenizer has no chat template; set training.chatTemplate of the BaseModel",
    )


def _read_token_names(folder: Path) -> dict[str, str]:
    """Return bos_token, eos_token and so on, under the names that templates use."""
    tokens: dict[str, str] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        for key, value in _read_json(folder / name).items():
            text = value.get("content") if isinstance(value, dict) else value
            if key.endswith("_token") and isinstance(text, str):
                tokens[key] = text
    return tokens


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TrainerError(
            Reason.NO_TOKENIZER, f"the base model's {path.name} is not JSON: {error}; save the tokenizer again"
        ) from error
    return data if isinstance(data, dict) else {}
