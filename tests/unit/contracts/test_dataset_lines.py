"""Lines of a dataset: nothing in them is lost silently."""

from __future__ import annotations

import re

import pytest

from tunewright_contracts.dataset_lines import InvalidRecordError, decode_line


def test_a_line_is_one_json_object():
    assert decode_line('{"a": "é"}'.encode()) == {"a": "é"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            '{"messages": [], "messages": []}',
            'not usable JSON: an object has the key "messages" twice; keep one of them',
        ),
        ('{"messages": [{"role": "user", "content": "a", "content": "b"}]}', 'an object has the key "content" twice'),
        ('{"a": 1, "b": {"c": {"d": 1, "d": 1}}}', 'an object has the key "d" twice'),
        ('{"weight": NaN}', "not JSON: NaN is not a JSON value; write null or a number"),
        ('{"a": [Infinity]}', "not JSON: Infinity is not a JSON value"),
        ('{"a": {"b": -Infinity}}', "not JSON: -Infinity is not a JSON value"),
    ],
)
def test_a_value_that_would_be_lost_or_is_no_json_is_refused(line, reason):
    with pytest.raises(InvalidRecordError, match=re.escape(reason)):
        decode_line(line.encode())
