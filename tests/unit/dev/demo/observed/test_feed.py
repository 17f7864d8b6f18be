"""Documents and lines are read from kubectl's output."""

from __future__ import annotations

import io
import json

from tunewright_dev.demo.observed import feed


def test_documents_are_read_from_a_stream_in_any_layout():
    documents = [{"type": "ADDED", "object": {"a": {"b": "}\n{"}}}, {"type": "MODIFIED", "object": {}}]
    compact = "".join(json.dumps(document) + "\n" for document in documents)
    indented = "".join(json.dumps(document, indent=4) + "\n" for document in documents)
    assert list(feed.read_documents(io.StringIO(compact))) == documents
    assert list(feed.read_documents(io.StringIO(indented))) == documents
    assert list(feed.read_documents(io.StringIO(indented[:-3]))) == documents[:1]


def test_lines_without_an_object_are_left_out():
    assert list(feed.read_lines(io.StringIO('Traceback\n{"number": 1}\n17\n'))) == [{"number": 1}]
