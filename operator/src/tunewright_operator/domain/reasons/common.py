"""Every reason that a condition can carry, each beside what it means and what to do: reasons are API.

`docs/reference/conditions.md` is rendered from this module and from the enums of what pods report, which stand in their
own packages. Add a reason to its kind's enum; where nobody must act, its remedy begins with "Nothing".
"""

from __future__ import annotations

import re

from tunewright_contracts.reasons import Reason

_REASON = re.compile(r"^[A-Za-z][A-Za-z0-9_]{0,62}$")


class CommonReason(Reason):
    """Reasons of more than one kind."""

    BASE_MODEL_NOT_FOUND = (
        "BaseModelNotFound",
        "No BaseModel of that name exists.",
        "Name one that `kubectl get basemodels` lists, or ask the platform team for it.",
    )
    BASE_MODEL_NOT_ALLOWED = (
        "BaseModelNotAllowed",
        "The BaseModel does not admit this namespace (`spec.allowedNamespaces`).",
        "Ask the platform team to admit the namespace, or use another base model.",
    )
    BASE_MODEL_NOT_READY = (
        "BaseModelNotReady",
        "The BaseModel's revision and digest are not known yet.",
        "Nothing while it is being inspected; else see the BaseModel's own Ready condition.",
    )
    SECRET_NOT_FOUND = (
        "SecretNotFound",
        "The Secret of `spec.storage.secretRef` does not exist.",
        (
            "Create it with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, as in docs/how-to/bring-your-own-cluster.md, "
            "step 3 (Give a team a namespace)."
        ),
    )
    SECRET_NOT_ALLOWED = (
        "SecretNotAllowed",
        "The Secret does not carry the label `tunewright.dev/use: allowed`.",
        "`kubectl label secret <name> tunewright.dev/use=allowed`, if jobs of this namespace may use it.",
    )
    INVALID_URI = (
        "InvalidURI",
        "An `s3://` address could mean two things or names no bucket.",
        "Write it as `s3://bucket/prefix` without `..`, empty segments, escapes or wildcards.",
    )
    JOB_REFUSED = (
        "JobRefused",
        (
            "The API server refused to create or change an object of the resource: "
            "quota, admission policy or missing rights."
        ),
        "The message is the server's own; raise the quota or change the policy that it names.",
    )
    NAME_TAKEN = (
        "NameTaken",
        "An object of the needed name exists and belongs to another.",
        "Delete it, or create this resource anew under another name.",
    )
    INVALID_SCHEMA = (
        "InvalidSchema",
        "The schema of a metric in `spec.evaluation.metrics` is no JSON Schema, or one that is never run.",
        "Correct it as the message says.",
    )
    UNREADABLE_RESOURCE = (
        "UnreadableResource",
        "The resource does not fit the operator's version: its CRD is newer or older. What it serves stays as it is.",
        "Install the CRDs of the operator's version (`crds.enabled=true`), or correct the field in the message.",
    )
    INTERNAL_ERROR = (
        "InternalError",
        "The operator failed in a way that it has no word for; it tries again by itself, ever more slowly.",
        "Report the message, with the operator's log of that time.",
    )
    POD_PENDING = (
        "PodPending",
        "The pod does not run yet; the message is what the scheduler or the kubelet says.",
        "If it stays: free or add capacity, or mend the image name that the message gives.",
    )


def condition_reason(word: str, fallback: Reason) -> str:
    """Return a pod's word for what happened when it is a valid condition reason, else the fallback."""
    return word if _REASON.match(word) else fallback.value
