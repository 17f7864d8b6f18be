"""A held-out set and a server for evaluations, without a bucket or network."""

import json

import httpx

from tunewright_contracts.evaluation_report import EvaluationRequest
from tunewright_contracts.serving_plan import EVALUATE_HEADER

CANDIDATE, INCUMBENT = "support--111111111111", "support--222222222222"
RECORDS = 100


class Store:
    """One held-out set, and the objects that are written."""

    def __init__(self, records=RECORDS):
        rows = [
            {"messages": [{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": f"a{n}"}]}
            for n in range(records)
        ]
        self.text = "".join(json.dumps(row) + "\n" for row in rows)
        self.written = {}

    def read(self, _uri, _max_bytes):
        return self.text.encode()

    def write(self, uri, data):
        self.written[str(uri)] = data


class Server:
    """Answers `a<n>` to `q<n>` for the revisions in `good` and wrongly for others; the first `down` requests fail."""

    def __init__(self, *good, down=0, status=200, body=None):
        self.good, self.down, self.status, self.body = good, down, status, body
        self.asked = []

    def __call__(self, request):
        self.asked.append(request)
        if self.down:
            self.down -= 1
            return httpx.Response(503, text="loading")
        if self.status != 200 or self.body is not None:
            return httpx.Response(self.status, text=self.body or "no")
        question = json.loads(request.content)["messages"][-1]["content"]
        good = request.headers[EVALUATE_HEADER] in self.good
        return httpx.Response(200, json={"choices": [{"message": {"content": f"a{question[1:]}" if good else "?"}}]})


def request_for(**changes):
    wire = {
        "namespace": "support",
        "deployment": "support",
        "alias": "support",
        "serverUrl": "http://server",
        "candidate": CANDIDATE,
        "candidateDigest": "sha256:" + "1" * 64,
        "incumbent": INCUMBENT,
        "datasetUri": "s3://bucket/held-out.jsonl",
        "reportUri": "s3://bucket/report.json",
        "metrics": [{"type": "ExactMatch", "maxRegression": "0.05"}],
    }
    return EvaluationRequest.from_wire({**wire, **changes})
