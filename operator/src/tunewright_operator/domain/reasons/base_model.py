"""Reasons of a BaseModel's conditions."""

from __future__ import annotations

from tunewright_contracts.reasons import TRANSIENT, Reason


class BaseModelReason(Reason):
    """Reasons of a BaseModel's conditions."""

    INSPECTED = (
        "Inspected",
        "Revision and digest are known: jobs and servers can use the model.",
        "No action needed.",
    )
    INSPECTING = ("Inspecting", "A Job reads the files and computes their digest.", "No action needed.")
    INSPECTION_RETRYING = (
        "InspectionRetrying",
        "The inspection failed with a transient error and runs again.",
        "No action needed if the next run succeeds; otherwise fix what the message names.",
        TRANSIENT,
    )
    INSPECTION_FAILED = (
        "InspectionFailed",
        "The inspection ended without a result; the message has the pod's last log lines.",
        "Fix the error shown in the last log lines; the inspection runs again automatically.",
    )
    IN_USE = (
        "InUse",
        "The BaseModel is being deleted, and jobs or servers still use it.",
        "Delete the resources that the message names, or wait for the jobs to end.",
    )
