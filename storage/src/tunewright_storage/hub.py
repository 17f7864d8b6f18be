"""Models on the Hugging Face Hub."""

from __future__ import annotations

import errno
import os
import urllib.parse
from pathlib import Path
from typing import Any

from tunewright_contracts.locations import HuggingFaceSource
from tunewright_storage.credentials import clean_environment
from tunewright_storage.disk_space import is_disk_full
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.tls_errors import describe_tls, judge_tls

_DEFAULT_HOST = "huggingface.co"
_TRANSIENT_STATUSES = frozenset({404, 408, 425})
"""The Hub marks its own 404 with an error code, for which huggingface_hub has a type. Any other is a proxy's."""
_NETWORK_ADVICE = "check the network and HF_ENDPOINT"
_ADVICE = {StorageReason.INVALID_URI: "correct the repository or the revision"}
_FOREIGN = "the answer is not the Hub's: a proxy or a captive portal may have answered in its place"


def download(source: HuggingFaceSource, folder: Path, patterns: tuple[str, ...]) -> str:
    """Download the files of a repository that match a pattern, and return the commit of the revision.

    Raises:
        StorageError: the Hub did not return the files.
        OSError: the folder's disk is full.
    """
    clean_environment()
    where = f"{_find_host()}/{source.repository}@{source.revision}"
    try:
        import huggingface_hub  # noqa: PLC0415 - only Hub models need it
    except ImportError as error:
        raise StorageError(StorageReason.OTHER, "this image lacks huggingface_hub, which Hub models need") from error
    try:
        info = huggingface_hub.HfApi().model_info(source.repository, revision=source.revision)
        huggingface_hub.snapshot_download(
            source.repository, revision=info.sha, local_dir=folder, allow_patterns=list(patterns)
        )
    except Exception as error:
        # huggingface_hub also raises errors of its HTTP library (httpx in version 1, httpx2 in version 2), of its JSON
        # parser, and of hf_xet.
        if is_disk_full(error):
            raise OSError(errno.ENOSPC, "no space left for the base model", str(folder)) from error
        raise _explain(error, where) from error
    return str(info.sha)


def _find_host() -> str:
    """Return the Hub's host name.

    Raises:
        StorageError: HF_ENDPOINT is not a URL.
    """
    endpoint = os.environ.get("HF_ENDPOINT", "")
    if not endpoint:
        return _DEFAULT_HOST
    try:
        parts = urllib.parse.urlsplit(endpoint)
        host = parts.hostname or ""
    except ValueError:
        host = ""
    if not host or parts.scheme not in {"http", "https"}:
        raise StorageError(
            StorageReason.INVALID_URI,
            f"HF_ENDPOINT {endpoint!r} in the storage secret is not a URL; write it as https://huggingface.co",
        )
    return host


def _explain(error: Exception, where: str) -> StorageError:
    """Return the error that stands for a failure of huggingface_hub. Pure."""
    response = _find_response(error)
    if response is not None and not _is_foreign(response):
        return _explain_answer(error, response.status_code, where)
    if response is not None:
        reason, detail = StorageReason.UNREACHABLE, f"HTTP {response.status_code}, and {_FOREIGN}"
    else:
        reason, detail = _judge_failure(error)
    problem = f"cannot read {where}: {detail}"
    if reason is StorageReason.OTHER:
        return StorageError(reason, problem)
    return StorageError(reason, f"{problem}; {_ADVICE.get(reason, _NETWORK_ADVICE)}")


def _judge_failure(error: Exception) -> tuple[StorageReason, str]:
    """Return the reason of a failure without an answer of the Hub, and a description. Pure."""
    from huggingface_hub import errors  # noqa: PLC0415 - as above

    text = str(error) or type(error).__name__
    tls = describe_tls(text)
    if tls:
        return judge_tls(text), tls
    if isinstance(error, errors.HFValidationError):
        return StorageReason.INVALID_URI, text
    if isinstance(error, (errors.HTTPError, OSError)):
        return StorageReason.UNREACHABLE, text
    if isinstance(error, (ValueError, TypeError, LookupError, AttributeError)):
        # The answer has status 200 and is not the JSON that huggingface_hub parses.
        return StorageReason.UNREACHABLE, _FOREIGN
    # hf_xet, which fetches large files, raises RuntimeError for all unexpected errors.
    return StorageReason.OTHER, text


def _explain_answer(error: Exception, status: int, where: str) -> StorageError:
    """Return the error that stands for an answer of the Hub. Pure."""
    from huggingface_hub import errors  # noqa: PLC0415 - as above

    message = f"cannot read {where}: HTTP {status}"
    if isinstance(error, errors.GatedRepoError):
        reason = StorageReason.ACCESS_DENIED
        message = f"{where} is gated: accept its licence and put HF_TOKEN into the storage secret"
    elif isinstance(error, errors.DisabledRepoError):
        reason = StorageReason.ACCESS_DENIED
        message = f"{where} is disabled on the Hub; use another model"
    elif isinstance(
        error, (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.RemoteEntryNotFoundError)
    ):
        reason = StorageReason.NOT_FOUND
        message = f"{where} does not exist, or HF_TOKEN cannot read it"
    elif status in {401, 403}:
        reason = StorageReason.ACCESS_DENIED
        message += "; put HF_TOKEN of an account that can read the model into the storage secret"
    elif status == 429:
        reason = StorageReason.UNREACHABLE
        message += ": the Hub limits the rate of requests; HF_TOKEN in the storage secret raises the limit"
    elif status in _TRANSIENT_STATUSES or not 400 <= status < 500:
        reason = StorageReason.UNREACHABLE
        message += f"; {_NETWORK_ADVICE}"
    else:
        reason = StorageReason.REJECTED
        message += f": {error}; correct the repository or the revision"
    return StorageError(reason, message)


def _find_response(error: BaseException) -> Any:
    """Return the answer that an error or one of its causes is about; None if there was none."""
    current: BaseException | None = error
    while current is not None:
        response: Any = getattr(current, "response", None)
        if response is not None:
            return response
        current = current.__cause__
    return None


def _is_foreign(response: Any) -> bool:
    """Return whether a web page that neither the Hub nor its CDN has marked is the answer."""
    page = response.headers.get("content-type", "").startswith("text/html")
    return page and not any(response.headers.get(name) for name in ("x-request-id", "x-error-code", "x-amz-cf-id"))
