"""Every reason that a condition can carry, each beside what it means and what to do: reasons are API.

`docs/reference/conditions.md` is rendered from this module. Add a reason to its kind's enum; a reason that an image
reports (prepare, train, inspect) is listed here too, so that the page is whole.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Self

_REASON = re.compile(r"^[A-Za-z][A-Za-z0-9_]{0,62}$")


class Reason(StrEnum):
    """A CamelCase word with its documentation: ``meaning`` and, where a person must act, ``remedy``."""

    meaning: str
    remedy: str

    def __new__(cls, value: str, meaning: str, remedy: str = "") -> Self:
        """Make a member that compares equal to its word."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        member.remedy = remedy
        return member


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
        "Create it with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (see how-to: credentials).",
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
        "The API server refused to create a Job: quota, admission policy or missing rights.",
        "The message is the server's own; raise the quota or change the policy that it names.",
    )
    NAME_TAKEN = (
        "NameTaken",
        "A Job or ConfigMap of the needed name exists and belongs to somebody else.",
        "Delete it, or rename this resource.",
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


class StorageFailure(Reason):
    """Reasons that a pod reports when object storage did not do what was asked."""

    ACCESS_DENIED = (
        "AccessDenied",
        "The credentials may not do this.",
        "Grant the identity the right on the address in the message, or use another Secret.",
    )
    NO_SUCH_BUCKET = ("NoSuchBucket", "The bucket does not exist.", "Create it or correct the address.")
    NOT_FOUND = ("NotFound", "Nothing is stored at the address.", "Correct the address or upload the data.")
    UNREACHABLE = (
        "StorageUnreachable",
        "The endpoint did not answer.",
        "Tried again as `spec.retry` says; check AWS_ENDPOINT_URL_S3 and the network.",
    )
    UNKNOWN_AUTHORITY = (
        "UnknownAuthority",
        "The endpoint's certificate is signed by an unknown authority.",
        "Put the authority's certificate into the Secret as `ca.crt`.",
    )
    NO_CREDENTIALS = (
        "NoCredentials",
        "The Secret holds no usable keys.",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in it.",
    )
    NOT_AN_ADAPTER = ("NotAnAdapter", "The address holds no adapter.", "Name the folder that holds `manifest.json`.")
    NO_MANIFEST = (
        "NoManifest",
        "The folder has no `manifest.json`: it was not published by a finished job.",
        "Name an adapter that a FineTuneJob published.",
    )
    DIGEST_MISMATCH = (
        "DigestMismatch",
        "Stored bytes differ from the digest that was recorded for them.",
        "Somebody changed the files: restore them, or register a new BaseModel or adapter.",
    )
    FORBIDDEN_FILE = (
        "ForbiddenFile",
        "A file is of a kind that is never loaded, such as a pickle.",
        "Publish safetensors only.",
    )
    WRONG_REGION = (
        "WrongRegion",
        "The bucket is in another region than the Secret says.",
        "Set AWS_REGION in the Secret to the bucket's region.",
    )
    TOO_LARGE = (
        "ObjectTooLarge",
        "An object is larger than what is read or stored there.",
        "Make it smaller, or split it.",
    )
    OTHER = ("StorageError", "Storage failed in another way.", "Tried again; the message is the storage's own.")


class BaseModelReason(Reason):
    """Reasons of a BaseModel's conditions."""

    INSPECTED = ("Inspected", "Revision and digest are known: jobs and servers may use the model.")
    INSPECTING = ("Inspecting", "A Job reads the files and computes their digest.")
    INSPECTION_RETRYING = ("InspectionRetrying", "The inspection failed for a passing reason and runs again.")
    INSPECTION_FAILED = (
        "InspectionFailed",
        "The inspection failed without saying why; the message holds the pod's last words.",
        "Mend what they name; the inspection runs again by itself every five minutes.",
    )
    IN_USE = (
        "InUse",
        "The BaseModel is being deleted, and jobs or servers still use it.",
        "Delete the resources that the message names, or wait for the jobs to end.",
    )


class FineTuneJobReason(Reason):
    """Reasons of a FineTuneJob's conditions that the operator finds itself."""

    PENDING = ("Pending", "The step has not begun.")
    PREPARING = ("Preparing", "A Job without accelerator reads, checks and splits the dataset.")
    PREPARED = ("Prepared", "The dataset is valid, split and stored.")
    QUEUED = ("Queued", "The train Job waits for its queue's quota (Kueue).")
    STARTING = ("Starting", "The train Job exists; its pod has not begun to train.")
    TRAINING = ("Training", "The adapter is being trained.")
    TRAINED = ("Trained", "Training ended.")
    EVALUATING = ("Evaluating", "The held-out split is scored with the adapter off and on.")
    EVALUATED = ("Evaluated", "The held-out split was scored.")
    PUBLISHING = ("Publishing", "The adapter is being written to storage.")
    PUBLISHED = ("Published", "The adapter and its manifest are in storage.")
    SUCCEEDED = ("Succeeded", "The adapter is published; its address is in `status.adapter`.")
    SUSPENDED = ("Suspended", "`spec.suspend` is true.", "Set it to false to continue from the newest checkpoint.")
    RETRYING = ("Retrying", "An attempt failed for a reason that may pass; the next one starts after a pause.")
    CONFIG_MAP_NOT_FOUND = (
        "ConfigMapNotFound",
        "A ConfigMap that a dataset source names does not exist in the job's namespace.",
        "Create it, or correct `spec.dataset.sources`.",
    )
    DEADLINE_EXCEEDED = (
        "DeadlineExceeded",
        "Pods of this job ran longer than `spec.activeDeadlineSeconds`.",
        "Raise it to continue from the newest checkpoint.",
    )
    RESTARTS_EXHAUSTED = (
        "RestartsExhausted",
        "An attempt failed and `spec.retry.maxRestarts` allows no other; Succeeded's reason says why it failed.",
        "Mend the cause and raise `spec.retry.maxRestarts` to continue from the newest checkpoint.",
    )
    OUT_OF_MEMORY = (
        "OutOfMemory",
        "The pod or the accelerator ran out of memory.",
        "Raise `resources.limits`, or lower `batchSize`, `maxSequenceLength` or the rank.",
    )
    POD_KILLED = (
        "PodKilled",
        "The container ended without a result; the message holds exit code and last words.",
        "Mend what the last words name.",
    )
    POD_EVICTED = ("PodEvicted", "The kubelet evicted the pod; the message is its own.", "Raise the resource it names.")
    POD_LOST = ("PodLost", "The pod disappeared before its result was read; the phase runs again.")
    PREEMPTED = (
        "Preempted",
        "The cluster took the pod away (preemption, drain); the job resumes. No restart is counted.",
    )
    INTERRUPTED = (
        "Interrupted",
        "The pod was told to stop and wrote a checkpoint; the job resumes. No restart is counted.",
    )
    RESULT_INCOMPLETE = (
        "ResultIncomplete",
        "The pod reported success without the facts that success needs: trainer image and operator do not fit.",
        "Install operator and trainer image of one release.",
    )


class ModelServerReason(Reason):
    """Reasons of a ModelServer's conditions."""

    SERVING = ("Serving", "Enough replicas are ready and serve the plan.")
    STARTING = ("Starting", "Replicas are starting: fetching the base model, loading it, loading the plan's adapters.")
    UPDATING = ("Updating", "Pods of an older template are being replaced, one at a time.")
    CONVERGING = ("Converging", "A new plan is written, and not every ready replica reports it yet.")
    SCALED_TO_ZERO = ("ScaledToZero", "`spec.replicas` is 0: nothing answers.", "Raise `spec.replicas`.")
    NEEDS_SURGE = (
        "NeedsSurge",
        "The pod template changed, and the only replica cannot be replaced without an outage.",
        "Set `updateStrategy.maxSurge` to 1 (a second accelerator for a while), add a replica, or scale to 0 and back.",
    )
    REPLICAS_UNAVAILABLE = (
        "ReplicasUnavailable",
        "Fewer replicas are ready than the pool needs; the message says what the kubelet or the pod says.",
        "Mend what the message names: image, credentials, memory, capacity.",
    )


class AdapterDeploymentReason(Reason):
    """Reasons of an AdapterDeployment's conditions, history entries and Events."""

    ADAPTER_SERVING = ("AdapterServing", "Every ready replica answers the alias by an adapter.")
    NO_ADAPTER_YET = ("NoAdapterYet", "No adapter has been promoted for the alias: clients get 503.")
    JOB_NOT_FOUND = (
        "JobNotFound",
        "The FineTuneJob of `spec.adapter.fineTuneJobRef` does not exist.",
        "Create it, or correct the name.",
    )
    JOB_NOT_FINISHED = ("JobNotFinished", "The FineTuneJob has not succeeded yet.")
    JOB_FAILED = ("JobFailed", "The FineTuneJob failed.", "Name a job that succeeded.")
    INSPECTING_ADAPTER = ("InspectingAdapter", "A Job reads the manifest at `spec.adapter.uri`.")
    ADAPTER_UNREADABLE = (
        "AdapterUnreadable",
        "The manifest at `spec.adapter.uri` could not be read.",
        "Mend what the message names; it is read again every five minutes.",
    )
    SERVER_NOT_FOUND = (
        "ServerNotFound",
        "The ModelServer of `spec.serverRef` does not exist.",
        "Create it, or correct the name and namespace.",
    )
    SERVER_NOT_READY = ("ServerNotReady", "The ModelServer has no ready replica, or was not polled yet.")
    SERVER_NOT_ALLOWED = (
        "ServerNotAllowed",
        "The ModelServer does not admit this namespace (`spec.allowedNamespaces`).",
        "Ask its owner, or use another server.",
    )
    INVALID_MODEL_NAME = ("InvalidModelName", "The alias is one that no deployment may have.", "Choose another name.")
    ALIAS_TAKEN = (
        "AliasTaken",
        "Another AdapterDeployment serves this alias on this server.",
        "Choose another `modelName`, or have the other one deleted or renamed.",
    )
    CAPACITY_EXCEEDED = (
        "CapacityExceeded",
        "All aliases of the server (`spec.lora.maxAdapters`) are taken.",
        "Raise it, free one, or use another server.",
    )
    WAITING_FOR_SLOT = ("WaitingForSlot", "All adapter slots of the server are in use; the candidate waits its turn.")
    PLAN_TOO_LARGE = (
        "PlanTooLarge",
        "The server's plan would not fit into a ConfigMap.",
        "Shorten `outputContract.jsonSchema`, or use another server.",
    )
    INVALID_OUTPUT_CONTRACT = (
        "InvalidOutputContract",
        "`outputContract.jsonSchema` cannot be checked on answers; no candidate is loaded or gets requests.",
        "Change the schema as the message says.",
    )
    SOURCE_NOT_ALLOWED = (
        "SourceNotAllowed",
        "The server's `adapterSources` do not let this namespace serve from that address.",
        "Publish below an allowed prefix, or ask the server's owner to add one.",
    )
    RANK_TOO_HIGH = (
        "RankTooHigh",
        "The adapter's rank is over the server's `spec.lora.maxRank`.",
        "Train with a lower rank, or have the server's raised.",
    )
    BASE_MODEL_MISMATCH = (
        "BaseModelMismatch",
        "The adapter was trained on other weights than the server runs.",
        "Serve it on a server of its own base model, or train it again.",
    )
    PREVIOUSLY_ROLLED_BACK = (
        "PreviouslyRolledBack",
        "The digest was rolled back or aborted when it was a candidate last.",
        "Train a better one, or insist: `kubectl annotate adep <name> tunewright.dev/retry=<revision>@<anything>`.",
    )
    NO_EVALUATION_DATASET = (
        "NoEvaluationDataset",
        "The adapter names no held-out set, and the spec gives none.",
        "Set `spec.evaluation.dataset.s3.uri`.",
    )
    PAUSED = ("Paused", "`spec.paused` is true: guardrails watch, nothing moves forward.", "Set it to false.")
    ACCEPTED = ("Accepted", "A new candidate was accepted.")
    LOADING = ("Loading", "The replicas are loading the candidate.")
    LOADING_RETRIED = ("LoadingRetried", "Some replicas could not load the candidate; the message says why.")
    ADAPTER_REFUSED = (
        "AdapterRefused",
        "Every ready replica refused to load the adapter for good; the message is theirs.",
        "Publish a sound adapter; see the message.",
    )
    EVALUATING = ("Evaluating", "The held-out set is being asked of the real servers, at weight 0.")
    EVALUATION_FAILED = ("EvaluationFailed", "The candidate is proven too bad on the held-out set.")
    EVALUATION_ERROR = (
        "EvaluationError",
        "The evaluation could not measure; it runs again every five minutes.",
        "Mend what the message names.",
    )
    SHIFTING = ("Shifting", "A new weight is on its way to every replica.")
    WEIGHT_SET = ("WeightSet", "Every ready replica routes by the new weight.")
    OBSERVING = ("Observing", "Live metrics of the candidate and the incumbent are being compared.")
    GUARDRAIL_FAILED = ("GuardrailFailed", "Live evidence shows that the candidate breaks a guardrail.")
    INCONCLUSIVE = (
        "Inconclusive",
        "The evidence proves neither; `onInconclusive` is Pause.",
        "`kubectl annotate adep <name> tunewright.dev/promote=<revision>@<anything>`, or `.../abort=...`.",
    )
    INCONCLUSIVE_ROLLED_BACK = ("InconclusiveRolledBack", "The evidence proves neither; `onInconclusive` is Rollback.")
    STEP_PASSED = ("StepPassed", "A step's verdict is Pass.")
    STEP_PROMOTED = ("StepPromoted", "A step was passed by a person's word (promote, or `onInconclusive: Promote`).")
    AWAITING_PROMOTION = (
        "AwaitingPromotion",
        "A pause step waits for a person.",
        "`kubectl annotate adep <name> tunewright.dev/promote=<revision>@<anything>`, or `.../abort=...`.",
    )
    PAUSING = ("Pausing", "A pause step waits for its time to pass.")
    BAKING = ("Baking", "The candidate answers everybody and is still watched.")
    PROMOTED = ("Promoted", "The candidate survived its bake and is the stable revision.")
    ABORT_REQUESTED = ("AbortRequested", "A person asked to abort.")
    ROLLBACK_REQUESTED = ("RollbackRequested", "A person asked to return to an earlier revision.")
    RETRY_REQUESTED = ("RetryRequested", "A person asked to try again.")
    REQUEST_IGNORED = ("RequestIgnored", "An annotation asked for something that does not apply now.")
    SUPERSEDED = ("Superseded", "Another adapter was asked for before the candidate was promoted.")
    WITHDRAWING = ("Withdrawing", "The candidate's requests are moving back before it is recorded as ended.")
    CANDIDATE_HEALTHY = ("CandidateHealthy", "Nothing speaks against the candidate, or the last one was promoted.")
    NO_CANDIDATE = ("NoCandidate", "No candidate is on its way.")


def condition_reason(word: str, fallback: Reason) -> str:
    """Return a pod's word for what happened when it is a valid condition reason, else the fallback."""
    return word if _REASON.match(word) else fallback.value
