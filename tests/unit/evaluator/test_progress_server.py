import http.client
import json

import pytest

from tunewright_contracts.progress import Phase, Progress
from tunewright_evaluator.progress_server import ProgressBoard, ProgressServer


@pytest.fixture
def board():
    return ProgressBoard(attempt=3)


@pytest.fixture
def get(board):
    with ProgressServer(board, 0) as server:

        def ask(path):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            return answer.status, body

        yield ask


def test_serves_the_latest_state(board, get):
    board.update(phase=Phase.TRAINING, step=7, total_steps=10, train_loss=0.5)
    status, body = get("/progress")
    progress = Progress.from_json(body)
    assert status == 200
    assert (progress.phase, progress.attempt, progress.step, progress.train_loss) == (Phase.TRAINING, 3, 7, 0.5)


def test_unset_fields_are_left_out(get):
    assert "trainLoss" not in json.loads(get("/progress")[1])


def test_health_and_unknown_paths(get):
    assert get("/healthz")[0] == 200
    assert get("/metrics")[0] == 404
