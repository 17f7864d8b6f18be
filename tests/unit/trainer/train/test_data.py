"""Prepared records become token rows of one width and are never cut."""

import pytest

from tunewright_trainer.chat.tokenizer import IGNORED_LABEL, Example
from tunewright_trainer.errors import Reason, TrainerError
from tunewright_trainer.train.data import PaddingCollator, encode_conversations


def test_padding():
    collator = PaddingCollator(pad_token=9)
    rows = collator.pad([{"input_ids": [1, 2, 3], "labels": [-100, 2, 3]}, {"input_ids": [4], "labels": [4]}])
    assert rows == {
        "input_ids": [[1, 2, 3, 9, 9, 9, 9, 9], [4, 9, 9, 9, 9, 9, 9, 9]],
        "attention_mask": [[1, 1, 1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]],
        "labels": [[-100, 2, 3, -100, -100, -100, -100, -100], [4, -100, -100, -100, -100, -100, -100, -100]],
    }
    assert collator.tokens == 4


def test_encoding_prepared_records(tokenizer, talk):
    examples = encode_conversations([talk(("user", "q"), ("assistant", "a"))], tokenizer, 100)
    assert isinstance(examples[0], Example)
    with pytest.raises(TrainerError, match="prepared record 1 does not fit the base model: it has") as error:
        encode_conversations([talk(("user", "q"), ("assistant", "a"))], tokenizer, 10)
    assert error.value.reason is Reason.DATASET_CHANGED


def test_a_record_that_the_template_refuses_is_named(tokenizer, talk):
    with pytest.raises(
        TrainerError, match="prepared record 2 does not fit the base model: the assistant's turns"
    ) as error:
        encode_conversations([talk(("user", "q"), ("assistant", "a")), talk(("user", "q"))], tokenizer, 100)
    assert error.value.reason is Reason.DATASET_CHANGED


def test_tokens_are_counted_without_padding_over_all_batches():
    collator = PaddingCollator(pad_token=0)
    for length in (3, 8, 9):
        width = len(collator.pad([{"input_ids": [1] * length, "labels": [1] * length}])["input_ids"][0])
        assert width == (8 if length <= 8 else 16)
    assert collator.tokens == 20


def test_records_without_any_label_are_reported_before_the_loss_is_nan(tokenizer, talk):
    records = [talk(("user", "q"), ("assistant", "a"))] * 2
    labelled = tokenizer.encode_example(records[0])
    unlabelled = Example(labelled.input_ids, [IGNORED_LABEL] * len(labelled.input_ids))
    for examples, reason, words in [
        (
            [unlabelled, unlabelled],
            Reason.NOTHING_TO_LEARN,
            "none of the 2 prepared records has a token that is learned",
        ),
        ([labelled, unlabelled], Reason.DATASET_CHANGED, "record 2 does not fit the base model: none of its tokens is"),
    ]:
        left = iter(examples)
        tokenizer.encode_example = lambda _conversation, left=left: next(left)
        with pytest.raises(TrainerError, match=words) as error:
            encode_conversations(records, tokenizer, 100)
        assert error.value.reason is reason


def test_no_validation_records_are_no_error(tokenizer):
    assert encode_conversations([], tokenizer, 100) == []
