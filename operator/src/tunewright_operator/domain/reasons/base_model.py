"""Reasons of a BaseModel's conditions."""

from __future__ import annotations

from tunewright_contracts.reasons import TRANSIENT, Reason


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
        TRANSIENT,
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
