"""Every reason that a condition of the operator can carry, with its meaning and its remedy: reasons are API.

`docs/reference/conditions.md` is rendered from this package and from the enums of the reasons that pods report, which
are in the pods' own packages. To add a reason, add it to the enum of its kind. If a user has nothing to do, its remedy
begins with "No action needed".
"""

from __future__ import annotations

import re

from tunewright_contracts.reasons import Reason

_REASON = re.compile(r"^[A-Za-z][A-Za-z0-9_]{0,62}$")


class CommonReason(Reason):
    """Reasons of more than one kind."""

    BASE_MODEL_NOT_FOUND = (
        "BaseModelNotFound",
        "No BaseModel has this name.",
        "Use a name that `kubectl get basemodels` lists, or ask the platform team to add the model.",
    )
    BASE_MODEL_NOT_ALLOWED = (
        "BaseModelNotAllowed",
        "The BaseModel does not allow this namespace (`spec.allowedNamespaces`).",
        "Ask the platform team to allow the namespace, or use another base model.",
    )
    BASE_MODEL_NOT_READY = (
        "BaseModelNotReady",
        "The BaseModel's revision and digest are not known yet.",
        "No action needed while the model is being inspected; otherwise see the BaseModel's Ready condition.",
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
        "The Secret does not have the label `tunewright.dev/use: allowed`.",
        "If pods of this namespace may use the Secret, run `kubectl label secret <name> tunewright.dev/use=allowed`.",
    )
    SERVICE_ACCOUNT_NOT_FOUND = (
        "ServiceAccountNotFound",
        "The ServiceAccount of `spec.storage.serviceAccountName` does not exist.",
        "Create it with a role for the bucket, as in docs/how-to/workload-identity.md.",
    )
    SERVICE_ACCOUNT_NOT_ALLOWED = (
        "ServiceAccountNotAllowed",
        "The ServiceAccount does not have the label `tunewright.dev/use: allowed`.",
        (
            "If pods of this namespace may run as it, "
            "run `kubectl label serviceaccount <name> tunewright.dev/use=allowed`."
        ),
    )
    SCHEDULING_NOT_ALLOWED = (
        "SchedulingNotAllowed",
        (
            "`spec.scheduling` or `spec.resources` has a priority class, runtime class, toleration, node label or "
            "extended resource that the chart's values `allowedScheduling` do not list."
        ),
        "Remove it, or ask the platform team to add it to the chart's value `allowedScheduling`.",
    )
    INVALID_URI = (
        "InvalidURI",
        "An `s3://` address is ambiguous or names no bucket.",
        "Write it as `s3://bucket/prefix` without `..`, empty segments, escapes or wildcards.",
    )
    JOB_REFUSED = (
        "JobRefused",
        "The API server refused to create or change an object: a quota, an admission policy or missing rights.",
        "Change the quota, the policy or the rights that caused this.",
    )
    JOB_NOT_EXPIRED = (
        "JobNotExpired",
        (
            "Only in an Event: a Job has ended, its result is in the status, and the API server refuses to set its "
            "`ttlSecondsAfterFinished`, so that it stays until the resource is deleted."
        ),
        (
            "If finished Jobs must not stay, delete them, or allow the operator to patch "
            "`spec.ttlSecondsAfterFinished` of its Jobs and restart it."
        ),
    )
    NAME_TAKEN = (
        "NameTaken",
        "An object with the required name exists and has another owner.",
        "Delete that object, or create this resource again under another name.",
    )
    INVALID_SCHEMA = (
        "InvalidSchema",
        "The schema of a metric in `spec.evaluation.metrics` is not a JSON Schema, or is one that is not supported.",
        "Correct the schema.",
    )
    UNREADABLE_RESOURCE = (
        "UnreadableResource",
        (
            "The operator cannot read the resource, because the installed CRD is older or newer than the operator. "
            "What the resource serves stays as it is."
        ),
        "Install the CRDs of the operator's version (`crds.enabled=true`), or correct the field in the message.",
    )
    INTERNAL_ERROR = (
        "InternalError",
        "Unexpected operator error; retried with exponential backoff.",
        "Report this message, together with the operator's log of that time.",
    )
    QUEUED = (
        "Queued",
        (
            "The Job is suspended by another controller, such as Kueue: it waits for quota of its queue. "
            "The operator does not change `spec.suspend` of a Job."
        ),
        (
            "No action needed: it starts when the queue has room. If it waits too long, raise the queue's quota, or "
            "exclude Jobs without the label `kueue.x-k8s.io/queue-name` in that controller's configuration."
        ),
    )
    POD_REFUSED = (
        "PodRefused",
        (
            "The API server refuses to create the pod of a Job: a quota, a limit range or an admission policy; "
            "the message is from the API server."
        ),
        "Change what the message names, or ask for other resources. The pod is created again automatically.",
    )
    SIDECAR_RUNNING = (
        "SidecarRunning",
        (
            "The work of a Job's pod is done, but containers that a service mesh or a policy added still run, "
            "so that the Job does not end."
        ),
        (
            "Exclude pods with the label `tunewright.dev/managed-by: tunewright` from the injection, or inject native "
            "sidecars (init containers with `restartPolicy: Always`)."
        ),
    )
    POD_PENDING = (
        "PodPending",
        "The pod does not run yet; the message is from the scheduler or the kubelet.",
        "If the pod stays pending, free or add capacity, or correct the image name that the message shows.",
    )


def condition_reason(word: str, fallback: Reason) -> str:
    """Return the reason that a pod reported if it is a valid condition reason, otherwise the fallback."""
    return word if _REASON.match(word) else fallback.value
