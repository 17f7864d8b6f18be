"""A held-out set and a server for evaluations, without a bucket or network."""

import json

import httpx

from tunewright_contracts.evaluation_report import EvaluationReport, EvaluationRequest
from tunewright_contracts.serving_plan import EVALUATE_HEADER
from tunewright_contracts.storage_uri import StorageURI
from tunewright_contracts.stored_answers import KnownAnswers, answers_uri
from tunewright_storage.errors import StorageError, StorageReason

CANDIDATE, INCUMBENT = "support--111111111111", "support--222222222222"
RECORDS = 100
DATASET = "s3://bucket/held-out.jsonl"
FOLDER = StorageURI("bucket", "evaluations/team-support")


class Store:
    """One held-out set, and the objects that are written; ``broken`` refuses to write addresses that contain it."""

    def __init__(self, records=RECORDS, broken=None):
        rows = [
            {"messages": [{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": f"a{n}"}]}
            for n in range(records)
        ]
        self.text = "".join(json.dumps(row) + "\n" for row in rows)
        self.written = {}
        self.broken = broken

    def read(self, uri, max_bytes):
        if str(uri) == DATASET:
            return self.text.encode()
        if str(uri) not in self.written:
            raise StorageError(StorageReason.NOT_FOUND, f"cannot read {uri}")
        data = self.written[str(uri)]
        if len(data) > max_bytes:
            raise StorageError(StorageReason.TOO_LARGE, f"{uri} has more than {max_bytes} bytes")
        return data

    def write(self, uri, data):
        if self.broken is not None and self.broken in str(uri):
            raise StorageError(StorageReason.ACCESS_DENIED, f"cannot write {uri}")
        self.written[str(uri)] = data


class Server:
    """Answers `a<n>` to `q<n>` for the revisions in `good` and wrongly for others; the first `down` requests fail."""

    def __init__(self, *good, down=0, status=200, body=None, mute=()):
        self.good, self.down, self.status, self.body, self.mute = good, down, status, body, mute
        self.asked = []

    def __call__(self, request):
        self.asked.append(request)
        if self.down:
            self.down -= 1
            return httpx.Response(503, text="loading")
        if request.headers[EVALUATE_HEADER] in self.mute:
            return httpx.Response(503, text="not loaded")
        if self.status != 200 or self.body is not None:
            return httpx.Response(self.status, text=self.body or "no")
        question = json.loads(request.content)["messages"][-1]["content"]
        good = request.headers[EVALUATE_HEADER] in self.good
        return httpx.Response(200, json={"choices": [{"message": {"content": f"a{question[1:]}" if good else "?"}}]})

    def count(self, target):
        """Return how many requests a target got."""
        return sum(request.headers[EVALUATE_HEADER] == target for request in self.asked)


def request_for(**changes):
    wire = {
        "namespace": "support",
        "deployment": "support",
        "alias": "support",
        "serverUrl": "http://server",
        "candidate": CANDIDATE,
        "candidateDigest": "sha256:" + "1" * 64,
        "incumbent": INCUMBENT,
        "incumbentDigest": "sha256:" + "2" * 64,
        "baseModelDigest": "sha256:" + "b" * 64,
        "engine": "sha256:" + "e" * 64,
        "datasetUri": DATASET,
        "reportUri": str(FOLDER.join("report.json")),
        "metrics": [{"type": "ExactMatch", "maxRegression": "0.05"}],
    }
    return EvaluationRequest.from_wire({**wire, **changes})


def known_answers(report: EvaluationReport):
    """Return the records of a report's stored answers, as a status has them and the next request gets them."""
    return [
        KnownAnswers(**arm.stored.model_dump(), uri=str(answers_uri(FOLDER, arm.stored))).to_wire()
        for arm in report.arms
        if arm.stored is not None
    ]
