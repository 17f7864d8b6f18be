"""Schemas of tenants run in a separate process, within limits, and do not affect the answers of others."""

import asyncio
import signal
from pathlib import Path

import pytest
import structlog

from tunewright_contracts.output_schema import find_schema_problem
from tunewright_contracts.serving_plan import OutputContract
from tunewright_server.output_contract.checker import MAX_ANSWER_BYTES, ProcessChecker, check_answer
from tunewright_server.output_contract.worker import CheckOutcome

PASS, BREACH, UNCHECKED = CheckOutcome.PASS, CheckOutcome.BREACH, CheckOutcome.UNCHECKED
SCHEMA = {"type": "object", "required": ["queue"], "properties": {"queue": {"enum": ["billing", "technical"]}}}


def make_exponential_schema(levels: int = 40) -> dict:
    """Return a small schema whose validation doubles at each level."""
    definitions = {str(n): {"allOf": [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/0", "$defs": {**definitions, str(levels): {"minLength": 0, "pattern": "a"}}}


@pytest.fixture
async def checker():
    checker = ProcessChecker()
    yield checker
    await checker.close()


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ('{"queue":"billing"}', PASS),
        (' {"queue": "technical", "x": "é"} \n', PASS),
        ('{"queue":"other"}', BREACH),
        ('["billing"]', BREACH),
        ("Your ticket goes to billing.", BREACH),
        ('{"queue":"billing"', BREACH),
        ("", BREACH),
        ("{}" * (MAX_ANSWER_BYTES // 2 + 1), UNCHECKED),
        ("é" * (MAX_ANSWER_BYTES // 2 + 1), UNCHECKED),
    ],
)
async def test_answers(checker, text, outcome):
    assert await check_answer(checker, OutputContract(json_schema=SCHEMA), [text], None) == outcome


async def test_one_bad_choice_is_a_breach(checker):
    texts = ['{"queue":"billing"}', "prose"]
    assert await check_answer(checker, OutputContract(json_schema=SCHEMA), texts, None) == BREACH


@pytest.mark.parametrize(
    ("tokens", "texts", "outcome"),
    [(10, ["x"], PASS), (11, ["x"], BREACH), (20, ["x", "y"], PASS), (None, ["x"], UNCHECKED), (5, None, UNCHECKED)],
)
async def test_token_limit(checker, tokens, texts, outcome):
    assert await check_answer(checker, OutputContract(max_tokens=10), texts, tokens) == outcome


@pytest.mark.parametrize(
    ("tokens", "texts", "outcome"),
    [
        (5, [None], UNCHECKED),
        (21, [None, "{}"], BREACH),
        (5, [None, '{"queue":"billing"}'], UNCHECKED),
        (5, [None, "prose"], BREACH),
    ],
)
async def test_of_a_choice_that_the_client_cut_only_the_length_is_checked(checker, tokens, texts, outcome):
    contract = OutputContract(json_schema=SCHEMA, max_tokens=10)
    assert await check_answer(checker, contract, texts, tokens) == outcome


async def test_a_slow_schema_gives_unchecked_answers_then_is_disabled_and_does_not_affect_others(checker):
    slow = make_exponential_schema()
    assert find_schema_problem(slow) is None
    outcomes = [await checker.check(slow, '"a"') for _ in range(5)]
    assert outcomes == [UNCHECKED] * 5
    assert checker._lost
    assert await checker.check(SCHEMA, '{"queue":"billing"}') == PASS


async def test_the_kernel_stops_a_check_that_takes_too_much_processor_time(checker):
    slow = make_exponential_schema()
    schema = {"properties": {"slow": {"$ref": "#/$defs/0"}}, "$defs": slow["$defs"]}
    assert (
        await checker.check(schema, "{}") == PASS
    )  # the schema is compiled: from now on, the limit of one answer applies
    process = checker._process
    assert await checker.check(schema, '{"slow":"a"}') == UNCHECKED
    assert process.returncode == -signal.SIGVTALRM
    assert await checker.check(schema, "{}") == PASS


async def test_waiting_checks_of_one_tenant_do_not_fill_the_queue_for_others(checker):
    waiting = [asyncio.create_task(checker.check(SCHEMA, '{"queue":"billing"}')) for _ in range(300)]
    await asyncio.sleep(0)
    assert await checker.check({"type": "object"}, "{}") == PASS
    outcomes = await asyncio.gather(*waiting)
    assert 0 < outcomes.count(PASS) < 256
    assert outcomes.count(PASS) + outcomes.count(UNCHECKED) == 300
    assert await checker.check(SCHEMA, '{"queue":"billing"}') == PASS, "the queue has room again"


async def test_a_lost_worker_is_started_again(checker):
    assert await checker.check(SCHEMA, '{"queue":"billing"}') == PASS
    checker._process.kill()
    await checker._process.wait()
    assert await checker.check(SCHEMA, '{"queue":"no"}') == BREACH


@pytest.mark.parametrize(
    "schema", [{"type": "nonsense"}, {"pattern": "(?=a)"}, {"pattern": "(a"}, {"$ref": "#nowhere"}]
)
async def test_an_invalid_schema_gives_unchecked_answers_and_is_logged_once(checker, schema):
    with structlog.testing.capture_logs() as logs:
        assert await checker.check(schema, '"a"') == UNCHECKED
        assert await checker.check(schema, '"a"') == UNCHECKED
    assert [entry["event"] for entry in logs] == ["output_contract_not_run"]
    assert logs[0]["problem"]


async def test_a_pattern_with_catastrophic_backtracking_runs_in_linear_time(checker):
    assert await checker.check({"pattern": "^(a+)+$"}, '"' + "a" * 5000 + 'b"') == BREACH


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://example.org/schema.json"},
        {"properties": {"a": {"items": [{"$ref": "file:///etc/passwd"}]}}},
        {"$dynamicRef": "other.json#x"},
        {"description": "x" * 20_000},
    ],
)
async def test_schemas_that_are_never_run(checker, schema):
    assert find_schema_problem(schema) is not None
    assert await checker.check(schema, "{}") == UNCHECKED
    assert checker._process is None


def test_depth():
    def nest(depth):
        return {"not": nest(depth - 1)} if depth > 1 else {}

    assert find_schema_problem(nest(20)) is None
    assert "deeper" in find_schema_problem(nest(21))


async def test_the_worker_sees_no_credentials(checker, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-value")
    await checker.check(SCHEMA, "{}")
    environment = read_environment(checker._process.pid)
    assert b"secret-value" not in environment
    assert b"PATH=" in environment


def read_environment(process: int) -> bytes:
    return Path(f"/proc/{process}/environ").read_bytes()
