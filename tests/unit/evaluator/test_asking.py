"""Asking an arm: retries, refusals, progress, and a concurrency that leaves the pool to its clients."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from structlog.testing import capture_logs

from support.virtual_time import in_virtual_time
from support.worlds.simulated_pool import Pool, Replica
from tunewright_evaluator.answer_store import Recalled
from tunewright_evaluator.arms import Arm
from tunewright_evaluator.asking import Asking
from tunewright_evaluator.client import AnswerError, ServerClient
from tunewright_evaluator.concurrency import Concurrency
from tunewright_evaluator.progress_server import ProgressBoard
from tunewright_evaluator.reasons import EvaluationReason
from tunewright_evaluator.records import Record

ANSWER = httpx.Response(200, json={"choices": [{"message": {"content": "yes"}}]})
BUSY = httpx.Response(429, text="busy", headers={"Retry-After": "7"})
DOWN = httpx.Response(503, text="loading")


def records(number):
    return tuple(Record(index, ({"role": "user", "content": f"q{index}"},), "a") for index in range(1, number + 1))


async def ask(token, transport, number=1, maximum=64, board=None):
    async with httpx.AsyncClient(base_url="http://server", transport=transport, timeout=None) as http:
        return await ask_client(ServerClient(http, "support", token, 64), number, maximum, board)


async def ask_client(client, number, maximum=64, board=None):
    """Return the answers to a number of records, and when the last one arrived."""
    asking = Asking(client, Concurrency(maximum), board or ProgressBoard(), number)
    answers = await asking.ask_arm(Arm("candidate", "support--1", records(number)))
    return answers, asyncio.get_running_loop().time()


def answer_with(*answers):
    """Return a transport that gives these answers in turn, and the last one again and again."""
    left = list(answers)

    def answer(_request):
        given = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(given, Exception):
            raise given
        return given

    return httpx.MockTransport(answer)


@pytest.mark.parametrize(
    ("failure", "seconds"),
    [
        (DOWN, 3.0),
        (httpx.ConnectError("refused"), 3.0),
        (httpx.ReadTimeout("slow"), 3.0),
        (httpx.Response(401, text="expired"), 3.0),
        (httpx.Response(200, json={"choices": []}), 3.0),
        (BUSY, 14.0),
    ],
)
@in_virtual_time
async def test_a_transient_failure_is_retried_after_a_pause(token, failure, seconds):
    answers, end = await ask(token, answer_with(failure, failure, ANSWER))
    assert (answers, end) == (["yes"], seconds)


@in_virtual_time
async def test_after_five_attempts_the_error_shows_the_last_failure(token):
    with pytest.raises(AnswerError, match=r"support--1 did not answer record 1 \(ReadTimeout: slow\)") as error:
        await ask(token, answer_with(DOWN, DOWN, DOWN, DOWN, httpx.ReadTimeout("slow")))
    assert error.value.reason is EvaluationReason.SERVER_UNAVAILABLE


@in_virtual_time
async def test_a_busy_pool_is_asked_for_half_an_hour(token):
    half_an_hour = [BUSY] * 257
    answers, end = await ask(token, answer_with(*half_an_hour, ANSWER))
    assert (answers, end) == (["yes"], 257 * 7.0)
    with pytest.raises(AnswerError, match=r"did not answer record 1 \(HTTP 429: busy\)") as error:
        await ask(token, answer_with(BUSY))
    assert error.value.reason is EvaluationReason.SERVER_UNAVAILABLE


@in_virtual_time
async def test_a_refused_record_ends_the_arm_at_once(token):
    with pytest.raises(AnswerError) as error:
        await ask(token, answer_with(httpx.Response(400, text="too long")), number=30)
    assert error.value.reason is EvaluationReason.RECORD_REFUSED


@in_virtual_time
async def test_answers_are_in_the_order_of_the_records(token):
    async def answer(request):
        question = request.content.decode().split('"q')[1].split('"')[0]
        await asyncio.sleep(100 - int(question))
        return httpx.Response(200, json={"choices": [{"message": {"content": question}}]})

    answers, _ = await ask(token, httpx.MockTransport(answer), number=50)
    assert answers == [str(number) for number in range(1, 51)]


@in_virtual_time
async def test_board_and_log_show_how_many_are_answered(token):
    board = ProgressBoard()
    with capture_logs() as lines:
        await ask(token, answer_with(ANSWER), number=50, board=board)
    progress = board.snapshot()
    assert (progress.phase, progress.evaluated, progress.to_evaluate) == ("Evaluating", 50, 50)
    assert [line["answered"] for line in lines if line["event"] == "answered"] == [20, 40]


def highest_share(replica):
    """Return the largest share of the free places that requests of evaluations took, above the first request."""
    shares = [
        evaluating / max(replica.capacity - clients, 1) for _, evaluating, clients in replica.highest if evaluating > 1
    ]
    return max(shares, default=0.0)


@in_virtual_time
async def test_an_idle_pool_is_used_up_to_the_share():
    replicas = [Replica("a1", 32, cores=32), Replica("b2", 32, cores=32)]
    answers, end = await ask_client(Pool(*replicas), 800)
    assert len(answers) == 800
    # With the 16 requests at a time that earlier releases sent, it would take 50 s.
    assert end < 35
    for replica in replicas:
        assert 0.4 < highest_share(replica) <= 0.5


@pytest.mark.parametrize("share", [10, 25, 100])
@in_virtual_time
async def test_the_share_is_never_exceeded(share):
    replica = Replica("a1", 40, cores=40, share_percent=share)
    await ask_client(Pool(replica), 400)
    assert highest_share(replica) <= share / 100
    assert max(evaluating for _, evaluating, _ in replica.highest) == 40 * share // 100


@in_virtual_time
async def test_clients_get_their_places_back():
    """Clients arrive at 10 s and leave at 60 s: the evaluation makes room, and uses the pool again afterwards."""
    replica = Replica("a1", 40, cores=40)

    async def play():
        work = asyncio.create_task(ask_client(Pool(replica), 1200))
        await asyncio.sleep(10)
        before = replica.evaluating
        replica.set_clients(36)
        await asyncio.sleep(5)
        during = replica.evaluating
        await asyncio.sleep(45)
        replica.set_clients(0)
        await asyncio.sleep(15)
        after = replica.evaluating
        return before, during, after, await work

    before, during, after, _ = await play()
    assert before > 10
    assert during <= 2, "half of the four places that clients leave free"
    assert after > 10
    busy = [evaluating for time, evaluating, _ in replica.highest if 11 < time < 59]
    assert max(busy) <= 2
    assert len(busy) > 40, "it continues while clients use the pool"


@in_virtual_time
async def test_a_pool_without_free_places_answers_one_question_at_a_time():
    replica = Replica("a1", 8, cores=8)
    replica.set_clients(12)
    answers, _ = await ask_client(Pool(replica), 20)
    assert len(answers) == 20
    assert max(evaluating for _, evaluating, _ in replica.highest) == 1


@in_virtual_time
async def test_few_cores_are_not_flooded_although_places_are_free():
    """A CPU's batch has many places, but answers become slower with each request beyond its cores."""
    replica = Replica("a1", 128, cores=4)
    await ask_client(Pool(replica), 300)
    counts = [evaluating for _, evaluating, _ in replica.highest]
    assert max(counts) <= 16
    assert max(counts[60:]) <= 12
    assert sum(counts[60:]) / len(counts[60:]) >= 3, "most cores are used"


@in_virtual_time
async def test_two_evaluations_share_what_one_may_use():
    replica = Replica("a1", 40, cores=40)
    pool = Pool(replica)

    async def play():
        return await asyncio.gather(*(ask_client(pool, 400) for _ in range(2)))

    first, second = await play()
    assert highest_share(replica) <= 0.5
    assert (len(first[0]), len(second[0])) == (400, 400)


@in_virtual_time
async def test_a_fixed_maximum_holds_for_servers_without_a_load(token):
    flying, most = 0, 0

    async def answer(_request):
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(1)
        flying -= 1
        return ANSWER

    await ask(token, httpx.MockTransport(answer), number=300, maximum=9)
    assert most == 9


@in_virtual_time
async def test_an_arm_whose_answers_are_all_known_sends_nothing(token):
    async def play():
        known = {record.question: "old" for record in records(3)}
        arm = Arm("base", "base-model", records(3), recalled=Recalled(known))
        asking = Asking(ServerClient(httpx.AsyncClient(), "support", token, 64), Concurrency(64), ProgressBoard(), 0)
        return arm.join(await asking.ask_arm(arm))

    with capture_logs() as lines:
        assert await play() == ["old"] * 3
    assert [line["event"] for line in lines] == ["answers_reused"]
