from __future__ import annotations

import datetime as dt
import json
from collections import Counter

from scale_bench.audit import AuditLog, divide, group_by_verb

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def line(second: int, verb: str, resource: str, subresource: str = "", user: str = "operator") -> str:
    reference = {"resource": resource, "subresource": subresource}
    return json.dumps(
        {
            "requestReceivedTimestamp": f"2026-01-01T00:00:{second:02}.500000Z",
            "verb": verb,
            "user": {"username": user},
            "objectRef": reference,
            "requestURI": "/x",
        }
    )


def test_calls_are_counted_by_user_and_time(tmp_path):
    path = tmp_path / "audit.log"
    log = AuditLog(path)
    assert not log.count("operator", START, START + dt.timedelta(seconds=60))
    lines = [
        line(1, "create", "jobs"),
        line(2, "update", "finetunejobs", "status"),
        line(2, "create", "pods", user="peer"),
        line(9, "create", "jobs"),
    ]
    path.write_text("\n".join(lines) + "\n" + line(3, "create", "jobs")[:20])
    window = START, START + dt.timedelta(seconds=5)
    assert log.count("operator", *window) == {"create jobs": 1, "update finetunejobs/status": 1}
    # The line that was not complete is read when it is.
    path.write_text("\n".join([*lines, line(3, "create", "jobs")]) + "\n")
    assert log.count("operator", *window) == {"create jobs": 2, "update finetunejobs/status": 1}


def test_a_request_without_an_object_is_named_by_its_address(tmp_path):
    path = tmp_path / "audit.log"
    event = json.loads(line(1, "get", "")) | {"objectRef": None, "requestURI": "/version"}
    path.write_text(json.dumps(event) + "\n")
    assert AuditLog(path).count("operator", START, START + dt.timedelta(minutes=1)) == {"get /version": 1}


def test_counts_are_divided_and_grouped():
    calls = Counter({"create jobs": 10, "create events": 5, "get leases": 1})
    assert group_by_verb(calls) == {"create": 15, "get": 1}
    assert divide(calls, 10) == {"create events": 0.5, "create jobs": 1.0, "get leases": 0.1}
