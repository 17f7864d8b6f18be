"""Each invalid FineTuneJob gets a message with the problem, its place and the remedy, and never a GPU Job.

All jobs are applied at once and checked one by one: each needs a pod, and the machine is small.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.harness.base_models import build_base_model
from e2e.harness.bucket import Bucket
from e2e.harness.jobs import build_dataset, build_job, build_records
from e2e.harness.kubectl import Body, Kubectl, condition, unwrap
from tunewright_dev import tenants
from tunewright_dev.kubectl import Kubectl as DevKubectl

pytestmark = pytest.mark.e2e

NAMESPACE = "bad-jobs"
GOOD = build_records(40)


def record(*messages: tuple[str, str]) -> str:
    return json.dumps({"messages": [{"role": role, "content": content} for role, content in messages]}) + "\n"


@dataclasses.dataclass(frozen=True)
class Case:
    """One mistake: the data or the spec that has it, and texts that the user's message must contain."""

    name: str
    reason: str
    says: tuple[str, ...]
    data: str | bytes | None = GOOD
    spec: dict[str, Any] = dataclasses.field(default_factory=dict)
    s3: bool = False
    """Store the data in the bucket, because a ConfigMap cannot hold it."""

    def __str__(self) -> str:
        return self.name


def dataset(**fields: Any) -> dict[str, Any]:
    return {"dataset": {"sources": [{"name": "records", "configMap": {"name": "data"}}], **fields}}


def secret(name: str) -> dict[str, Any]:
    return {"storage": {"secretRef": {"name": name}}}


STRICT = dataset(onInvalidRecord="Fail")
ELSEWHERE = {"from": "Selector", "selector": {"matchLabels": {"team": "elsewhere"}}}
NO_END = (
    "{% for m in messages %}{{ m.role }}:\n{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:\n{% endif %}"
)
CASES = [
    Case(
        "unknown-base-model",
        "BaseModelNotFound",
        ("no-such-model", "kubectl get basemodels"),
        spec={"baseModelRef": {"name": "no-such-model"}},
    ),
    Case(
        "base-model-not-allowed",
        "BaseModelNotAllowed",
        ("elsewhere-only", NAMESPACE),
        spec={"baseModelRef": {"name": "elsewhere-only"}},
    ),
    Case("no-config-map", "ConfigMapNotFound", ("ConfigMap",), data=None),
    Case("no-object", "DatasetNotFound", ("s3://tunewright/datasets/none.jsonl",), data=None, s3=True),
    Case("empty", "DatasetEmpty", ("data.jsonl",), data="\n"),
    Case(
        "not-utf-8",
        "InvalidRecords",
        ("not-utf-8.jsonl:41", "UTF-8"),
        data=GOOD.encode() + b"\xff\xfe\n",
        s3=True,
        spec=STRICT,
    ),
    Case("bad-json", "InvalidRecords", ("data.jsonl:41", "JSON"), data=GOOD + '{"messages": [\n', spec=STRICT),
    Case(
        "wrong-role",
        "InvalidRecords",
        ("data.jsonl:41", "robot"),
        data=GOOD + record(("robot", "hi"), ("assistant", "a")),
        spec=STRICT,
    ),
    Case(
        "no-assistant",
        "InvalidRecords",
        ("data.jsonl:41", "assistant"),
        data=GOOD + record(("user", "hi")),
        spec=STRICT,
    ),
    Case(
        "over-long",
        "InvalidRecords",
        ("data.jsonl:41", "token"),
        data=GOOD + record(("user", "word " * 9000), ("assistant", "a")),
        spec=STRICT,
    ),
    Case("too-many-bad", "InvalidRecords", ("maxInvalidPercent", "Correct or remove them"), data=GOOD + "{\n" * 10),
    Case("too-few", "TooFewRecords", ("record",), data=build_records(2)),
    Case("all-duplicates", "TooFewRecords", ("duplicate",), data=build_records(1) * 50),
    Case("wrong-credentials", "AccessDenied", ("AWS_SECRET_ACCESS_KEY",), spec=secret("wrong-credentials")),
    Case(
        "no-bucket",
        "NoSuchBucket",
        ("s3://no-such-bucket", "create the bucket"),
        spec={"output": {"uri": "s3://no-such-bucket/adapters"}, **secret("admin")},
    ),
    Case("unknown-authority", "UnknownAuthority", ("ca.crt",), spec=secret("no-authority")),
    Case("not-writable", "AccessDenied", ("s3://tunewright/adapters/bad-jobs", "write"), spec=secret("read-only")),
    Case(
        "no-schema",
        "InvalidSchema",
        ("spec.evaluation.metrics[0].schema", "at .type"),
        spec={"evaluation": {"metrics": [{"type": "JSONSchema", "schema": {"type": 7}}]}},
    ),
    Case(
        "template-without-end",
        "InvalidChatTemplate",
        ("records/data.jsonl:1", "does not stop generation", "BaseModel no-end"),
        spec={"baseModelRef": {"name": "no-end"}},
    ),
    Case("no-secret", "SecretNotFound", ("nothing",), spec=secret("nothing")),
    Case("unlabelled-secret", "SecretNotAllowed", ("tunewright.dev/use=allowed",), spec=secret("unlabelled")),
]


@pytest.fixture(scope="module")
def clean(platform: Kubectl) -> Iterator[None]:
    """Delete everything that `applied` creates, before and after the tests."""
    platform.delete("namespace", NAMESPACE)
    yield
    platform.delete("namespace", NAMESPACE, None, "--wait=false")
    platform.delete("basemodel", "elsewhere-only", None, "--wait=false")
    platform.delete("basemodel", "no-end", None, "--wait=false")


@pytest.fixture(scope="module")
def applied(clean: None, platform: Kubectl, dev_kubectl: DevKubectl, bucket: Bucket) -> Kubectl:
    """Apply all cases at once in one namespace."""
    tenants.ensure_namespace(dev_kubectl, NAMESPACE, tenant=True)
    tenants.ensure_storage_secret(dev_kubectl, NAMESPACE, "s3", "trainer")
    tenants.ensure_storage_secret(dev_kubectl, NAMESPACE, "read-only", "server")
    # Only an administrator of the store gets NoSuchBucket; others get AccessDenied.
    tenants.ensure_storage_secret(dev_kubectl, NAMESPACE, "admin", "admin")
    good = platform.get("secret", "s3", NAMESPACE)
    assert good is not None
    wrong = {**good["data"], "AWS_SECRET_ACCESS_KEY": "d3Jvbmc="}
    without_authority = {key: value for key, value in good["data"].items() if key != "ca.crt"}
    unlabelled = tenants.build_storage_secret(NAMESPACE, "unlabelled", good["data"])
    del unlabelled["metadata"]["labels"]
    platform.apply(
        tenants.build_storage_secret(NAMESPACE, "wrong-credentials", wrong),
        tenants.build_storage_secret(NAMESPACE, "no-authority", without_authority),
        unlabelled,
        build_base_model("elsewhere-only", allowedNamespaces=ELSEWHERE),
        build_base_model("no-end", training={"chatTemplate": NO_END}),
    )
    for case in CASES:
        platform.apply(*_objects(case, bucket))
    return platform


def _objects(case: Case, bucket: Bucket) -> list[Body]:
    job = build_job(case.name, NAMESPACE, **case.spec)
    source = job["spec"]["dataset"]["sources"][0]
    if case.s3:
        key = f"datasets/bad-jobs/{case.name}.jsonl"
        uri = "s3://tunewright/datasets/none.jsonl" if case.data is None else bucket.put(key, case.data)
        job["spec"]["dataset"]["sources"] = [{"name": source["name"], "s3": {"uri": uri}}]
        return [job]
    job["spec"]["dataset"] = {
        **job["spec"]["dataset"],
        "sources": [{"name": source["name"], "configMap": {"name": case.name}}],
    }
    if case.data is None:
        return [job]
    assert isinstance(case.data, str)
    return [build_dataset(case.name, NAMESPACE, case.data), job]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_mistake_is_explained_and_holds_no_gpu(applied: Kubectl, case: Case) -> None:
    def reported(body: Body) -> bool:
        return case.reason in {item["reason"] for item in body.get("status", {}).get("conditions", ())}

    body = applied.wait_for("ftj", case.name, NAMESPACE, reported, timeout=300)
    messages = [item["message"] for item in body["status"]["conditions"] if item["reason"] == case.reason]
    for text in case.says:
        assert any(text in message for message in messages), messages
    assert condition(body, "Succeeded")["status"] != "True"
    described = applied.run("describe", "ftj", case.name, "-n", NAMESPACE).stdout
    assert unwrap(condition(body, "Succeeded")["message"]) in unwrap(described)
    assert applied.list("jobs", NAMESPACE, f"tunewright.dev/name={case.name},tunewright.dev/role=train") == []


def test_every_bad_record_is_in_the_file_that_the_message_names(applied: Kubectl, bucket: Bucket) -> None:
    def reported(body: Body) -> bool:
        return condition(body, "Succeeded").get("reason") == "InvalidRecords"

    message = condition(applied.wait_for("ftj", "too-many-bad", NAMESPACE, reported, timeout=300), "Succeeded")[
        "message"
    ]
    found = re.search(r"s3://\S+/invalid-records\.jsonl", message)
    assert found, message
    rows = bucket.read_lines(found[0])
    assert [row["line"] for row in rows] == list(range(41, 51))
    assert {row["file"] for row in rows} == {"records/data.jsonl"}
    assert all("JSON" in row["reason"] for row in rows)
