"""Reasons of an AdapterDeployment's conditions."""

from __future__ import annotations

from tunewright_contracts.reasons import TRANSIENT, Reason


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
        (
            "Nothing: it goes on when another rollout ends. "
            "To wait less, have `spec.lora.rolloutSlots` of the server raised."
        ),
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
        TRANSIENT,
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
        (
            "Train a better adapter, or relax `spec.evaluation.metrics`; "
            "the report at `reportURI` in `status.history` holds every answer."
        ),
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
        (
            "Ask for less, or give a larger held-out set or more traffic; "
            "then `kubectl annotate adep <name> tunewright.dev/retry=<revision>@<anything>`."
        ),
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
