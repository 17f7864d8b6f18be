"""Reasons of an AdapterDeployment's conditions."""

from __future__ import annotations

from tunewright_contracts.reasons import TRANSIENT, Reason


class AdapterDeploymentReason(Reason):
    """Reasons of an AdapterDeployment's conditions, history entries and Events."""

    ADAPTER_SERVING = (
        "AdapterServing",
        "An adapter answers the alias on every ready replica.",
        "No action needed.",
    )
    NO_ADAPTER_YET = (
        "NoAdapterYet",
        "No adapter has been promoted for the alias: clients get 503.",
        "No action needed while Progressing is True; otherwise follow the message of Progressing.",
    )
    JOB_NOT_FOUND = (
        "JobNotFound",
        "The FineTuneJob of `spec.adapter.fineTuneJobRef` does not exist.",
        "Create the job, or correct the name.",
    )
    JOB_NOT_FINISHED = (
        "JobNotFinished",
        "The FineTuneJob has not succeeded yet.",
        "No action needed: the rollout starts when the job succeeds.",
    )
    JOB_FAILED = ("JobFailed", "The FineTuneJob failed.", "Name a job that succeeded.")
    CREATED_EARLIER = (
        "CreatedEarlier",
        "The FineTuneJob was created before a job that was considered, or before the job of the stable revision.",
        "No action needed: a selector only moves forward. To serve the job, name it in `spec.adapter.fineTuneJobRef`.",
    )
    INSPECTING_ADAPTER = (
        "InspectingAdapter",
        "A Job reads the manifest at `spec.adapter.uri`.",
        "No action needed.",
    )
    ADAPTER_UNREADABLE = (
        "AdapterUnreadable",
        "The manifest at `spec.adapter.uri` could not be read.",
        "Fix what the message names; the manifest is read again every five minutes.",
    )
    SERVER_NOT_FOUND = (
        "ServerNotFound",
        "The ModelServer of `spec.serverRef` does not exist.",
        "Create the server, or correct its name and namespace.",
    )
    SERVER_NOT_READY = (
        "ServerNotReady",
        "The ModelServer has no ready replica that can be read, or the operator has not reconciled it yet.",
        "No action needed while the server starts; otherwise see the ModelServer's Ready condition.",
    )
    SERVER_NOT_ALLOWED = (
        "ServerNotAllowed",
        "The ModelServer does not allow this namespace (`spec.allowedNamespaces`).",
        "Ask the server's owner to allow it, or use another server.",
    )
    INVALID_MODEL_NAME = (
        "InvalidModelName",
        "No AdapterDeployment can have this alias; the message shows why.",
        "Choose another `modelName`, in a new AdapterDeployment.",
    )
    ALIAS_TAKEN = (
        "AliasTaken",
        "Another AdapterDeployment serves this alias on this server.",
        "Choose another `modelName`, in a new AdapterDeployment, or have the other one deleted.",
    )
    CAPACITY_EXCEEDED = (
        "CapacityExceeded",
        "All aliases of the server (`spec.lora.maxAdapters`) are in use.",
        "Ask the server's owner to raise the limit or to delete an AdapterDeployment, or use another server.",
    )
    WAITING_FOR_SLOT = (
        "WaitingForSlot",
        "All adapter slots of the server are in use; the candidate waits for one.",
        (
            "No action needed: the rollout continues when another rollout ends. "
            "To wait less, ask the server's owner to raise `spec.lora.rolloutSlots`."
        ),
    )
    PLAN_TOO_LARGE = (
        "PlanTooLarge",
        "The server's plan would not fit into a ConfigMap.",
        "Shorten `outputContract.jsonSchema`, or use another server.",
    )
    INVALID_OUTPUT_CONTRACT = (
        "InvalidOutputContract",
        "Answers cannot be checked against `outputContract.jsonSchema`; no candidate is loaded or gets requests.",
        "Correct the schema as the message describes.",
    )
    SOURCE_NOT_ALLOWED = (
        "SourceNotAllowed",
        "The server's `adapterSources` do not allow this namespace to serve from that address.",
        "Publish below an allowed prefix, or ask the server's owner to add one.",
    )
    RANK_TOO_HIGH = (
        "RankTooHigh",
        "The adapter's rank is higher than the server's `spec.lora.maxRank`.",
        "Train with a lower rank, or ask the server's owner to raise the limit.",
    )
    BASE_MODEL_MISMATCH = (
        "BaseModelMismatch",
        "The adapter was trained on other weights than the server runs.",
        "Serve it on a server of the base model that it was trained on, or train it again.",
    )
    PREVIOUSLY_ROLLED_BACK = (
        "PreviouslyRolledBack",
        "The last rollout of this digest ended with a rollback or an abort.",
        (
            "Train a better adapter, or try this one again: "
            "`kubectl annotate adep <name> tunewright.dev/retry=<revision>@<request ID>`."
        ),
    )
    NO_EVALUATION_DATASET = (
        "NoEvaluationDataset",
        "Neither the adapter nor the spec names a held-out set.",
        "Set `spec.evaluation.dataset.s3.uri`.",
    )
    PAUSED = (
        "Paused",
        "`spec.paused` is true: the rollout stays at its step, and guardrails are still watched.",
        "Set it to false. A weight can be lowered and manual requests are handled meanwhile.",
    )
    ACCEPTED = ("Accepted", "A new candidate was accepted.", "No action needed.")
    LOADING = ("Loading", "The replicas are loading the candidate.", "No action needed.")
    LOADING_RETRIED = (
        "LoadingRetried",
        "Some replicas could not load the candidate; the message shows why.",
        "No action needed if a later attempt succeeds; otherwise fix what the message names.",
        TRANSIENT,
    )
    ADAPTER_REFUSED = (
        "AdapterRefused",
        "Every ready replica permanently refused to load the adapter; the message has the replicas' reasons.",
        "Fix what the message names and publish the adapter again.",
    )
    ADDRESS_CHANGED = (
        "AddressChanged",
        "The adapter could not be loaded from its old address; the spec names a new address with the same digest.",
        "No action needed: the replicas read it from the new address.",
    )
    EVALUATING = (
        "Evaluating",
        "The held-out set is being sent to the real servers; the candidate has weight 0.",
        "No action needed.",
    )
    EVALUATED = (
        "Evaluated",
        "An evaluation has a verdict; the message shows which answers were asked for and which were reused.",
        "No action needed.",
    )
    EVALUATION_FAILED = (
        "EvaluationFailed",
        "The held-out set proves that the candidate is too bad.",
        (
            "Train a better adapter, or relax `spec.evaluation.metrics`; "
            "the report at `reportURI` in `status.history` has every answer."
        ),
    )
    EVALUATION_ERROR = (
        "EvaluationError",
        "The evaluation could not measure; it runs again every five minutes.",
        "Fix what the message names.",
    )
    SHIFTING = ("Shifting", "Not every ready replica routes by the new weight yet.", "No action needed.")
    STEPS_CHANGED = (
        "StepsChanged",
        "`spec.rollout.steps` changed; the candidate continues at the first step that it has not passed.",
        "No action needed.",
    )
    WEIGHT_CHANGED = (
        "WeightChanged",
        "The weight follows a change of `spec.rollout.steps`; the step begins again with new evidence.",
        "No action needed.",
    )
    WEIGHT_SET = ("WeightSet", "Every ready replica routes by the new weight.", "No action needed.")
    OBSERVING = (
        "Observing",
        "Live metrics of the candidate and the incumbent are being compared.",
        "No action needed.",
    )
    EXPOSURE_EXCEEDED = (
        "ExposureExceeded",
        "The candidate answers more of the requests than its weight allows, beyond chance; the rollout waits.",
        (
            "Find out which clients send so many requests: they retry failed ones, or use one key for many sessions; "
            "see `spec.rollout.stickyBy`."
        ),
    )
    DOMINANT_KEY = (
        "DominantKey",
        "One group of session keys has most of the requests of a revision, so that the evidence is about one client.",
        "Let clients send a different session key for each session; see `spec.rollout.stickyBy`.",
    )
    GUARDRAIL_FAILED = (
        "GuardrailFailed",
        "Live evidence shows that the candidate breaks a guardrail.",
        "Train a better adapter, or relax `spec.analysis.metrics` if they are too strict.",
    )
    INCONCLUSIVE = (
        "Inconclusive",
        "The evidence is not enough for Pass or Fail; `onInconclusive` is Pause.",
        "`kubectl annotate adep <name> tunewright.dev/promote=<revision>@<request ID>`, or `.../abort=...`.",
    )
    INCONCLUSIVE_ROLLED_BACK = (
        "InconclusiveRolledBack",
        "The evidence is not enough for Pass or Fail; `onInconclusive` is Rollback.",
        (
            "Lower the requirements, or provide a larger held-out set or more traffic; "
            "then `kubectl annotate adep <name> tunewright.dev/retry=<revision>@<request ID>`."
        ),
    )
    STEP_PASSED = ("StepPassed", "A step's verdict is Pass.", "No action needed.")
    STEP_PROMOTED = (
        "StepPromoted",
        "A step was passed by a manual request (promote) or by `onInconclusive: Promote`.",
        "No action needed.",
    )
    AWAITING_PROMOTION = (
        "AwaitingPromotion",
        "A pause step waits for a manual request.",
        "`kubectl annotate adep <name> tunewright.dev/promote=<revision>@<request ID>`, or `.../abort=...`.",
    )
    PAUSING = (
        "Pausing",
        "A pause step waits until its time is over.",
        "No action needed: the rollout continues when the time is over.",
    )
    BAKING = ("Baking", "The candidate answers all requests and is still watched.", "No action needed.")
    PROMOTED = (
        "Promoted",
        "The candidate's bake ended, and the candidate is now the stable revision.",
        "No action needed: the rollout is done.",
    )
    ABORT_REQUESTED = (
        "AbortRequested",
        "A manual request aborted the rollout.",
        "No action needed: the candidate's requests move back automatically.",
    )
    ROLLBACK_REQUESTED = (
        "RollbackRequested",
        "A manual request asked for an earlier revision.",
        "No action needed: the earlier revision is the next candidate.",
    )
    RETRY_REQUESTED = ("RetryRequested", "A manual request asked for another try.", "No action needed.")
    REQUEST_IGNORED = (
        "RequestIgnored",
        "A manual request does not apply now; the condition Progressing explains why.",
        "Correct the annotation as the message describes, or leave it: it does nothing.",
    )
    REQUEST_KEPT = (
        "RequestKept",
        "A promote request arrived before a step waited for it; the next step that waits for one takes it.",
        "No action needed. To take the request back, remove the annotation.",
    )
    SUPERSEDED = (
        "Superseded",
        "Another adapter was requested before the candidate was promoted.",
        "No action needed: the other adapter is the next candidate.",
    )
    WITHDRAWING = (
        "Withdrawing",
        "The candidate's requests move back; after that, the candidate is recorded as ended.",
        "No action needed.",
    )
    CANDIDATE_HEALTHY = (
        "CandidateHealthy",
        "There is no evidence against the candidate, or the last one was promoted.",
        "No action needed.",
    )
    NO_CANDIDATE = (
        "NoCandidate",
        "No candidate is being rolled out.",
        "No action needed: another adapter in the spec, or a newer job of the selector, becomes the candidate.",
    )
