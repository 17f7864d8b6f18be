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
        "Create it with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, as in docs/how-to/bring-your-own-cluster.md, step 3 (Give a team a namespace).",
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


class BaseModelReason(Reason):
    """Reasons of a BaseModel's conditions."""

    INSPECTED = (
        "Inspected",
        "Revision and digest are known: jobs and servers may use the model.",
        "Nothing: this is as it should be.",
    )
    INSPECTING = ("Inspecting", "A Job reads the files and computes their digest.", "Nothing: it goes on by itself.")
    INSPECTION_RETRYING = (
        "InspectionRetrying",
        "The inspection failed for a passing reason and runs again.",
        "Nothing, if the next run succeeds; else mend what the message names.",
    )
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

    PENDING = ("Pending", "The step has not begun.", "Nothing: it begins when the step before it is done.")
    PREPARING = (
        "Preparing",
        "A Job without accelerator reads, checks and splits the dataset.",
        "Nothing: it goes on by itself.",
    )
    PREPARED = ("Prepared", "The dataset is valid, split and stored.", "Nothing: training follows by itself.")
    QUEUED = (
        "Queued",
        "The train Job waits for its queue's quota (Kueue).",
        "Nothing: it starts when the queue has room. If it stays, raise the queue's quota.",
    )
    STARTING = ("Starting", "The train Job exists; its pod has not begun to train.", "Nothing: it goes on by itself.")
    TRAINING = ("Training", "The adapter is being trained.", "Nothing: it goes on by itself.")
    TRAINED = ("Trained", "Training ended.", "Nothing: evaluation follows by itself.")
    EVALUATING = (
        "Evaluating",
        "The held-out split is scored with the adapter off and on.",
        "Nothing: it goes on by itself.",
    )
    EVALUATED = ("Evaluated", "The held-out split was scored.", "Nothing: publication follows by itself.")
    PUBLISHING = ("Publishing", "The adapter is being written to storage.", "Nothing: it goes on by itself.")
    PUBLISHED = ("Published", "The adapter and its manifest are in storage.", "Nothing: the job is done.")
    SUCCEEDED = (
        "Succeeded",
        "The adapter is published; its address is in `status.adapter`.",
        "Nothing: an AdapterDeployment may serve it.",
    )
    SUSPENDED = ("Suspended", "`spec.suspend` is true.", "Set it to false to continue from the newest checkpoint.")
    RETRYING = (
        "Retrying",
        "An attempt failed for a reason that may pass; the next one starts after a pause.",
        "Nothing, if the next attempt succeeds; else mend what the message names before `spec.retry.maxRestarts` is reached.",
    )
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
    POD_LOST = (
        "PodLost",
        "The pod disappeared before its result was read; the phase runs again.",
        "Nothing: it goes on by itself.",
    )
    PREEMPTED = (
        "Preempted",
        "The cluster took the pod away (preemption, drain); the job resumes. No restart is counted.",
        "Nothing: it goes on by itself.",
    )
    INTERRUPTED = (
        "Interrupted",
        "The pod was told to stop and wrote a checkpoint; the job resumes. No restart is counted.",
        "Nothing: it goes on by itself.",
    )
    RESULT_INCOMPLETE = (
        "ResultIncomplete",
        "The pod reported success without the facts that success needs: trainer image and operator do not fit.",
        "Install operator and trainer image of one release.",
    )


class ModelServerReason(Reason):
    """Reasons of a ModelServer's conditions."""

    SERVING = ("Serving", "Enough replicas are ready and serve the plan.", "Nothing: clients may ask.")
    STARTING = (
        "Starting",
        "Replicas are starting: fetching the base model, loading it, loading the plan's adapters.",
        "Nothing: it goes on by itself.",
    )
    UPDATING = (
        "Updating",
        "Pods of an older template are being replaced, one at a time.",
        "Nothing: it goes on by itself.",
    )
    CONVERGING = (
        "Converging",
        "A new plan is written, and not every ready replica reports it yet.",
        "Nothing: it goes on by itself.",
    )
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

    ADAPTER_SERVING = (
        "AdapterServing",
        "Every ready replica answers the alias by an adapter.",
        "Nothing: clients may ask.",
    )
    NO_ADAPTER_YET = (
        "NoAdapterYet",
        "No adapter has been promoted for the alias: clients get 503.",
        "Nothing while Progressing is True; else do what its message says.",
    )
    JOB_NOT_FOUND = (
        "JobNotFound",
        "The FineTuneJob of `spec.adapter.fineTuneJobRef` does not exist.",
        "Create it, or correct the name.",
    )
    JOB_NOT_FINISHED = (
        "JobNotFinished",
        "The FineTuneJob has not succeeded yet.",
        "Nothing: it goes on when the job succeeds.",
    )
    JOB_FAILED = ("JobFailed", "The FineTuneJob failed.", "Name a job that succeeded.")
    INSPECTING_ADAPTER = (
        "InspectingAdapter",
        "A Job reads the manifest at `spec.adapter.uri`.",
        "Nothing: it goes on by itself.",
    )
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
    SERVER_NOT_READY = (
        "ServerNotReady",
        "The ModelServer has no ready replica, or was not polled yet.",
        "Nothing while the server starts; else see the ModelServer's own Ready condition.",
    )
    SERVER_NOT_ALLOWED = (
        "ServerNotAllowed",
        "The ModelServer does not admit this namespace (`spec.allowedNamespaces`).",
        "Ask its owner, or use another server.",
    )
    INVALID_MODEL_NAME = (
        "InvalidModelName",
        "The alias is one that no deployment may have.",
        "Choose another `modelName`, in a new AdapterDeployment.",
    )
    ALIAS_TAKEN = (
        "AliasTaken",
        "Another AdapterDeployment serves this alias on this server.",
        "Choose another `modelName`, in a new AdapterDeployment, or have the other one deleted.",
    )
    CAPACITY_EXCEEDED = (
        "CapacityExceeded",
        "All aliases of the server (`spec.lora.maxAdapters`) are taken.",
        "Have it raised, have an AdapterDeployment of the server deleted, or use another server.",
    )
    WAITING_FOR_SLOT = (
        "WaitingForSlot",
        "All adapter slots of the server are in use; the candidate waits its turn.",
        "Nothing: it goes on when another rollout ends. To wait less, have `spec.lora.rolloutSlots` of the server raised.",
    )
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
    ACCEPTED = ("Accepted", "A new candidate was accepted.", "Nothing: it goes on by itself.")
    LOADING = ("Loading", "The replicas are loading the candidate.", "Nothing: it goes on by itself.")
    LOADING_RETRIED = (
        "LoadingRetried",
        "Some replicas could not load the candidate; the message says why.",
        "Nothing, if a later attempt succeeds; else mend what the message names.",
    )
    ADAPTER_REFUSED = (
        "AdapterRefused",
        "Every ready replica refused to load the adapter for good; the message is theirs.",
        "Mend what the message names and publish the adapter again.",
    )
    ADDRESS_CHANGED = (
        "AddressChanged",
        "The adapter could not be read at its old address; the spec names another one with the same digest.",
        "Nothing: the replicas read it from there.",
    )
    EVALUATING = (
        "Evaluating",
        "The held-out set is being asked of the real servers, at weight 0.",
        "Nothing: it goes on by itself.",
    )
    EVALUATION_FAILED = (
        "EvaluationFailed",
        "The candidate is proven too bad on the held-out set.",
        "Train a better adapter, or relax `spec.evaluation.metrics`; the report at `reportURI` in `status.history` holds every answer.",
    )
    EVALUATION_ERROR = (
        "EvaluationError",
        "The evaluation could not measure; it runs again every five minutes.",
        "Mend what the message names.",
    )
    SHIFTING = ("Shifting", "A new weight is on its way to every replica.", "Nothing: it goes on by itself.")
    WEIGHT_SET = ("WeightSet", "Every ready replica routes by the new weight.", "Nothing: it goes on by itself.")
    OBSERVING = (
        "Observing",
        "Live metrics of the candidate and the incumbent are being compared.",
        "Nothing: it goes on by itself.",
    )
    GUARDRAIL_FAILED = (
        "GuardrailFailed",
        "Live evidence shows that the candidate breaks a guardrail.",
        "Train a better adapter, or relax `spec.analysis.metrics` where they ask too much.",
    )
    INCONCLUSIVE = (
        "Inconclusive",
        "The evidence proves the candidate neither good nor bad; `onInconclusive` is Pause.",
        "`kubectl annotate adep <name> tunewright.dev/promote=<revision>@<anything>`, or `.../abort=...`.",
    )
    INCONCLUSIVE_ROLLED_BACK = (
        "InconclusiveRolledBack",
        "The evidence proves the candidate neither good nor bad; `onInconclusive` is Rollback.",
        "Ask for less, or give a larger held-out set or more traffic; then `kubectl annotate adep <name> tunewright.dev/retry=<revision>@<anything>`.",
    )
    STEP_PASSED = ("StepPassed", "A step's verdict is Pass.", "Nothing: it goes on by itself.")
    STEP_PROMOTED = (
        "StepPromoted",
        "A step was passed by a person's word (promote, or `onInconclusive: Promote`).",
        "Nothing: it goes on by itself.",
    )
    AWAITING_PROMOTION = (
        "AwaitingPromotion",
        "A pause step waits for a person.",
        "`kubectl annotate adep <name> tunewright.dev/promote=<revision>@<anything>`, or `.../abort=...`.",
    )
    PAUSING = ("Pausing", "A pause step waits for its time to pass.", "Nothing: it goes on when the time has passed.")
    BAKING = ("Baking", "The candidate answers everybody and is still watched.", "Nothing: it goes on by itself.")
    PROMOTED = (
        "Promoted",
        "The candidate survived its bake and is the stable revision.",
        "Nothing: the rollout is done.",
    )
    ABORT_REQUESTED = (
        "AbortRequested",
        "A person asked to abort.",
        "Nothing: the candidate's requests move back by themselves.",
    )
    ROLLBACK_REQUESTED = (
        "RollbackRequested",
        "A person asked to return to an earlier revision.",
        "Nothing: the earlier revision is the next candidate.",
    )
    RETRY_REQUESTED = ("RetryRequested", "A person asked to try again.", "Nothing: it goes on by itself.")
    REQUEST_IGNORED = (
        "RequestIgnored",
        "An annotation asked for something that does not apply now.",
        "Correct the annotation as the message says, or leave it: it does nothing.",
    )
    SUPERSEDED = (
        "Superseded",
        "Another adapter was asked for before the candidate was promoted.",
        "Nothing: the other adapter is the next candidate.",
    )
    WITHDRAWING = (
        "Withdrawing",
        "The candidate's requests are moving back before it is recorded as ended.",
        "Nothing: it goes on by itself.",
    )
    CANDIDATE_HEALTHY = (
        "CandidateHealthy",
        "Nothing speaks against the candidate, or the last one was promoted.",
        "Nothing: this is as it should be.",
    )
    NO_CANDIDATE = (
        "NoCandidate",
        "No candidate is on its way.",
        "Nothing: another adapter in the spec, or a newer job that it selects, brings one.",
    )


def condition_reason(word: str, fallback: Reason) -> str:
    """Return a pod's word for what happened when it is a valid condition reason, else the fallback."""
    return word if _REASON.match(word) else fallback.value
