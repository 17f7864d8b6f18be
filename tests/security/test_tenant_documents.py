"""A tenant changes a document in a bucket, or a pod reports one: its reader refuses it, or it is harmless.

Nothing else may happen: an exception that the reader does not document would end a process that others use, and a
number or a text without bounds would make the API server refuse the status that contains it.
"""

import contextlib
import dataclasses
import datetime as dt
import json
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.crds.status import check_status
from support.examples import examples
from support.hostile import documents, list_single_changes, list_unsafe
from support.worlds.rollout_world import make_server
from tunewright_contracts.adapter_manifest import AdapterManifest, compute_adapter_digest
from tunewright_contracts.document import ContractError, Document
from tunewright_contracts.evaluation_report import EvaluationReport
from tunewright_contracts.phase_result import PhaseResult, read_termination_message
from tunewright_contracts.pool_load import PodLoad
from tunewright_contracts.progress import Progress
from tunewright_contracts.serving_plan import AccessState, PodState, SignedPlan
from tunewright_contracts.storage_uri import StorageURI
from tunewright_contracts.stored_answers import StoredAnswers
from tunewright_contracts.values import MAX_COUNT
from tunewright_evaluator.records import parse_records
from tunewright_operator.api.kinds import BASE_MODEL, FINE_TUNE_JOB, MODEL_SERVER
from tunewright_operator.domain.evidence.counters import encode_buckets
from tunewright_operator.domain.finetune.status import (
    build_adapter_status,
    build_dataset_status,
    build_progress_status,
    build_scores,
)
from tunewright_operator.domain.reasons.base_model import BaseModelReason
from tunewright_operator.domain.reasons.common import condition_reason
from tunewright_operator.domain.serving.access import build_access_list
from tunewright_operator.domain.serving.plan import build_plan
from tunewright_operator.domain.serving.plan import report_pod as report_pod_state
from tunewright_operator.domain.serving.pods import MAX_REPORTED_GENERATION
from tunewright_operator.domain.serving.replica import view_pod
from tunewright_operator.domain.serving.status import report_pod
from tunewright_storage.adapter import read_manifest, summarise
from tunewright_storage.adapter_config import read_adapter_config
from tunewright_storage.adapter_reasons import AdapterError
from tunewright_storage.base_model import digest_base_model
from tunewright_storage.errors import StorageError
from tunewright_storage.safetensors_file import SafetensorsError, read_tensors
from tunewright_trainer.dataset.storage import DatasetManifest
from tunewright_trainer.train.checkpoints import CompleteMark
from tunewright_trainer.train.result import RunRecord

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
DIGEST = "sha256:" + "a" * 64
URI = "s3://bucket/team/x"
DATASET = {
    "digest": DIGEST,
    "uri": URI,
    "train": 10,
    "validation": 1,
    "evaluation": 1,
    "tokens": 100,
    "firstProblems": ["a.jsonl:1: not JSON"],
    "problemsUri": URI,
    "ignoredKeys": {"id": 3},
    "notes": ["A note."],
    "stopTokenIds": [2],
}
ADAPTER = {
    "uri": URI,
    "digest": DIGEST,
    "rank": 8,
    "bytes": 1000,
    "baseModelDigest": DIGEST,
    "evaluationDatasetUri": URI,
    "stopTokenIds": [2, 7],
}
SCORE = {"type": "ExactMatch", "base": 0.1, "tuned": 0.9, "samples": 20}
RESULT = {
    "schemaVersion": 1,
    "outcome": "Succeeded",
    "reason": "Published",
    "message": "The adapter was published.",
    "dataset": DATASET,
    "adapter": ADAPTER,
    "baseModel": {"digest": DIGEST, "revision": "main", "bytes": 5, "files": 3, "linearModules": ["q_proj"]},
    "scores": [SCORE],
    "progressStep": 7,
}
REPORT = {
    "schemaVersion": 1,
    "verdict": "Pass",
    "reason": "Compared",
    "message": "Better.",
    "candidate": "support--0123456789ab",
    "incumbent": "support--ba9876543210",
    "metrics": [{"type": "ExactMatch", "candidate": 0.9, "samples": 20, "verdict": "Pass", "message": "Better."}],
    "samples": 20,
    "seconds": 1.5,
    "reportUri": URI,
    "engine": DIGEST,
    "arms": [
        {
            "target": "support--0123456789ab",
            "asked": 20,
            "reused": 3,
            "note": "A note.",
            "stored": {"target": "support--0123456789ab", "key": DIGEST, "digest": DIGEST, "answers": 20},
        }
    ],
}
PROGRESS = {
    "schemaVersion": 1,
    "phase": "Training",
    "attempt": 1,
    "step": 5,
    "totalSteps": 10,
    "trainLoss": 0.5,
    "validationLoss": 0.6,
    "tokensPerSecond": 10.0,
    "estimatedFinish": "2026-01-01T00:00:00Z",
    "checkpointStep": 4,
    "resumedFromStep": 2,
    "evaluated": 3,
    "toEvaluate": 9,
    "peakMemoryMebibytes": 100,
    "updatedAt": "2026-01-01T00:00:00Z",
}
STATE = {
    "schemaVersion": 1,
    "podUid": "u",
    "bootId": "b",
    "planGeneration": 3,
    "planHash": DIGEST,
    "planStatus": "Applied",
    "planMessage": "A message.",
    "settled": True,
    "access": {"generation": 3, "hash": DIGEST, "status": "Applied", "message": "A message."},
    "adapters": [
        {"name": "a--0123456789ab", "digest": DIGEST, "phase": "Loaded"},
        {
            "name": "b--0123456789ab",
            "digest": DIGEST,
            "phase": "Failed",
            "reason": "RankTooHigh",
            "message": "Too high.",
            "inFlight": 2,
        },
    ],
    "counters": [
        {
            "alias": "a",
            "revision": "a--0123456789ab",
            "answers": 3,
            "bad": {"Latency": 1},
            "answersByBucket": [1] * 64,
            "badByBucket": {"Latency": [0] * 64},
            "latencyMilliseconds": [1] * 49,
        }
    ],
    "peakMemoryMebibytes": 100,
}
FILES = {"adapter_model.safetensors": DIGEST, "adapter_config.json": DIGEST}
MANIFEST = {
    "schemaVersion": 1,
    "digest": compute_adapter_digest(FILES),
    "files": [{"path": path, "sha256": digest, "size": 10} for path, digest in FILES.items()],
    "baseModel": {"name": "tiny", "repository": "org/tiny", "revision": "main", "digest": DIGEST},
    "rank": 8,
    "datasetDigest": DIGEST,
    "evaluationDatasetUri": URI,
    "training": {"epochs": 3},
    "packages": {"torch": "2.9"},
    "scores": [SCORE],
    "stopTokenIds": [2],
    "job": {"namespace": "n", "name": "j", "uid": "u"},
    "parentDigest": DIGEST,
    "createdAt": "2026-01-01T00:00:00Z",
}
CONFIG = {
    "peft_type": "LORA",
    "r": 8,
    "lora_alpha": 16,
    "target_modules": ["q_proj"],
    "rank_pattern": {"q_proj": 4},
    "alpha_pattern": {"q_proj": 8},
    "bias": "none",
    "init_lora_weights": True,
}
HEADER = {
    "__metadata__": {"format": "pt"},
    "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
    "b": {"dtype": "F16", "shape": [2, 1], "data_offsets": [8, 12]},
}
RECORD = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
TWO_FILES = [{"path": f"{name}.jsonl", "sha256": DIGEST, "size": 1} for name in ("train", "evaluation")]


class OneObject:
    """A store in which every object has the same bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, uri, max_bytes=None):
        return self.data


@dataclasses.dataclass(frozen=True)
class Case:
    """A kind of document: a valid one, its reader, which returns what others see of it, and the reader's errors."""

    sample: Any
    read: Callable[[bytes], Any]
    errors: tuple[type[Exception], ...] = (ContractError,)


def contract(kind: type[Document]) -> Callable[[bytes], Any]:
    return lambda data: kind.from_json(data).to_wire()


def termination(kind: type[Document]) -> Callable[[bytes], Any]:
    def read(data: bytes) -> Any:
        found = read_termination_message(kind, data.decode(errors="replace"))
        if found is None:
            raise ContractError("no document")
        return found.to_wire()

    return read


def read_config(data: bytes, folder) -> Any:
    path = folder / "adapter_config.json"
    path.write_bytes(data)
    return dataclasses.asdict(read_adapter_config(path, 64))["rank_pattern"]


def read_header(data: bytes, folder) -> Any:
    path = folder / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(data)) + data + b"\0" * 12)
    return [[item.start, item.end] for item in read_tensors(path).values()]


def read_index(data: bytes, folder) -> Any:
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "model.safetensors.index.json").write_bytes(data)
    return digest_base_model(folder).to_wire()


def read_adapter(data: bytes) -> Any:
    uri = StorageURI.parse(URI)
    return summarise(read_manifest(OneObject(data), uri), uri).to_wire()


ANSWERS = {
    "schemaVersion": 1,
    "conditions": {"engine": DIGEST, "target": "base-model", "targetDigest": DIGEST, "maxTokens": 8},
    "answers": [{"question": DIGEST, "answer": "yes"}],
}
LOAD = {"pod": "ab12", "capacity": 8, "live": 1, "evaluating": 1, "waiting": 0, "limit": 4}
PREPARED = {"summary": DATASET, "files": TWO_FILES, "inputs": {"a/b.jsonl": "v"}, "inputsDigest": DIGEST}
CASES = {
    "result": Case(RESULT, termination(PhaseResult)),
    "report": Case(REPORT, termination(EvaluationReport)),
    "progress": Case(PROGRESS, contract(Progress)),
    "pod state": Case(STATE, contract(PodState)),
    "pod load": Case(LOAD, contract(PodLoad)),
    "adapter manifest": Case(MANIFEST, read_adapter, (StorageError,)),
    "stored answers": Case(ANSWERS, lambda data: len(StoredAnswers.from_json(data).answers)),
    "dataset manifest": Case(PREPARED, lambda data: DatasetManifest.from_json(data).summary.to_wire()),
    "checkpoint": Case(
        {"step": 1, "fingerprint": DIGEST, "files": {"a": DIGEST}}, lambda data: CompleteMark.from_json(data).step
    ),
    "run record": Case({"inputs": DIGEST, "result": RESULT}, contract(RunRecord)),
    "signed plan": Case({"payload": "e30=", "signature": "AA=="}, lambda data: len(SignedPlan.from_json(data).payload)),
    "held-out records": Case(RECORD, lambda data: len(parse_records(data, "s3://bucket/d"))),
}
FOLDER_CASES = {
    "adapter config": (CONFIG, read_config, (AdapterError,)),
    "safetensors header": (HEADER, read_header, (SafetensorsError,)),
    "safetensors index": ({"weight_map": {"a": "model.safetensors"}}, read_index, (StorageError,)),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("documents")


def list_cases(folder) -> dict[str, Case]:
    bound = {
        name: Case(sample, lambda data, read=read: read(data, folder), errors)
        for name, (sample, read, errors) in FOLDER_CASES.items()
    }
    return {**CASES, **bound}


@pytest.mark.parametrize("name", [*CASES, *FOLDER_CASES])
def test_a_changed_document(folder, name):
    case = list_cases(folder)[name]
    case.read(json.dumps(case.sample).encode())  # The sample itself is valid.

    def attack(data):
        try:
            shown = case.read(data)
        except case.errors as error:
            text = str(error)
            assert len(text) <= 4096, f"a message of {len(text)} characters: {text[:200]}"
            assert not list(list_unsafe(text)), text[:200]
        else:
            assert not list(list_unsafe(shown))

    for data in list_single_changes(case.sample, 120):
        attack(data)
    settings(max_examples=examples(20))(given(documents(case.sample))(attack))()


def describe(reason: str, message: str) -> dict[str, Any]:
    condition = {"type": "Ready", "status": "False", "reason": reason, "message": message}
    return {"conditions": [{**condition, "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}


def check(kind, **status: Any) -> None:
    check_status(kind, status)
    assert not list(list_unsafe(status))


@pytest.mark.parametrize("part", ["dataset", "adapter", "baseModel", "scores", ""])
def test_a_forged_result_reaches_no_status_that_is_refused(part):
    fields = {"outcome": "Failed", "reason": "Reason", "message": "A message."}
    sample = {**fields, part: RESULT[part]} if part else fields
    for data in list_single_changes(sample, 300):
        check_result(read_termination_message(PhaseResult, data.decode()))


def check_result(result: PhaseResult | None) -> None:
    if result is None:
        return
    reason = condition_reason(result.reason, BaseModelReason.INSPECTION_FAILED)
    check(BASE_MODEL, **describe(reason, result.message))
    if result.base_model is not None:
        summary = result.base_model
        check(BASE_MODEL, digest=summary.digest, revision=summary.revision, linearModules=list(summary.linear_modules))
    if result.dataset is not None:
        check(FINE_TUNE_JOB, dataset=build_dataset_status(result.dataset).to_wire())
    if result.adapter is not None:
        check(FINE_TUNE_JOB, adapter=build_adapter_status(result.adapter).to_wire())
    check(FINE_TUNE_JOB, evaluation=[score.to_wire() for score in build_scores(result.scores)])


def test_forged_progress_reaches_no_status_that_is_refused():
    for data in list_single_changes(PROGRESS, 300):
        with contextlib.suppress(ContractError):
            check(FINE_TUNE_JOB, progress=build_progress_status(Progress.from_json(data), NOW).to_wire())


def test_a_forged_pod_state_reaches_no_status_that_is_refused():
    for data in list_single_changes(STATE, 300):
        with contextlib.suppress(ContractError):
            state = PodState.from_json(data)
            pod = report_pod(view_pod("u", "pod-1", ready=True, state=state))
            check(MODEL_SERVER, pods=[pod.to_wire()])
            for counters in state.counters:
                sums = [1000 * sum(counters.requests_by_bucket), 1000 * sum(counters.answers_by_bucket)]
                assert not list(list_unsafe(sums)), "the requests of 1,000 such pods"
                assert len(encode_buckets(counters.answers_by_bucket)) <= 64 * 15


@pytest.mark.parametrize("reported", [MAX_REPORTED_GENERATION, MAX_REPORTED_GENERATION + 1, MAX_COUNT])
def test_a_forged_generation_does_not_use_up_all_generations(reported):
    state = PodState.from_wire({**STATE, "planGeneration": reported})
    first = build_plan(make_server(), [], None, [report_pod_state(state)]).plan
    second = build_plan(make_server(), [], first, [report_pod_state(state)], MAX_REPORTED_GENERATION + 1).plan
    assert first.generation <= second.generation <= MAX_REPORTED_GENERATION + 2


@pytest.mark.parametrize("reported", [MAX_REPORTED_GENERATION, MAX_REPORTED_GENERATION + 1, MAX_COUNT])
def test_a_forged_generation_does_not_use_up_all_generations_of_the_access_list(reported):
    pods = [AccessState(generation=reported)]
    first = build_access_list("uid", [], None, pods, routes=(), labels={}, anonymous=False).access
    second = build_access_list("uid", [], first, pods, routes=(), labels={}, anonymous=True).access
    assert first.generation < second.generation <= MAX_REPORTED_GENERATION + 2


@given(st.binary(max_size=200))
@settings(max_examples=examples(30))
def test_bytes_that_are_no_document(folder, data):
    for case in list_cases(folder).values():
        with contextlib.suppress(*case.errors):
            case.read(data)


@pytest.mark.parametrize("kind", [PhaseResult, EvaluationReport, Progress, PodState, AdapterManifest, StoredAnswers])
def test_a_text_that_is_too_long_is_not_parsed(kind):
    with pytest.raises(ContractError, match="bytes, but at most"):
        kind.from_json(b" " * (kind.max_bytes + 1))
