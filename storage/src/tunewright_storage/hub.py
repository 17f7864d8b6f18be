"""Models on the Hugging Face Hub."""

from __future__ import annotations

import errno
from pathlib import Path

from tunewright_contracts.locations import HuggingFaceSource
from tunewright_storage.errors import StorageError, StorageReason


def download(source: HuggingFaceSource, folder: Path, patterns: tuple[str, ...]) -> str:
    """Download the files of a repository that match a pattern, and return the commit of the revision.

    Raises:
        StorageError: the Hub did not return the files.
        OSError: the folder's disk is full.
    """
    try:
        import huggingface_hub  # noqa: PLC0415 - only Hub models need it
        from huggingface_hub import errors  # noqa: PLC0415
    except ImportError as error:
        raise StorageError(StorageReason.OTHER, "this image lacks huggingface_hub, which Hub models need") from error
    where = f"huggingface.co/{source.repository}@{source.revision}"
    try:
        info = huggingface_hub.HfApi().model_info(source.repository, revision=source.revision)
        huggingface_hub.snapshot_download(
            source.repository, revision=info.sha, local_dir=folder, allow_patterns=list(patterns)
        )
    except errors.GatedRepoError as error:
        raise StorageError(
            StorageReason.ACCESS_DENIED,
            f"{where} is gated: accept its licence and put HF_TOKEN into the storage secret",
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise StorageError(StorageReason.NOT_FOUND, f"{where} does not exist, or HF_TOKEN cannot read it") from error
    # huggingface_hub also raises errors of its HTTP library: httpx in version 1, httpx2 in version 2.
    except (errors.HTTPError, OSError, RuntimeError) as error:
        if _is_disk_full(error):
            raise OSError(errno.ENOSPC, "no space left for the base model", str(folder)) from error
        if isinstance(error, RuntimeError):
            # hf_xet, which fetches large files, raises this type for all unexpected errors.
            raise StorageError(StorageReason.OTHER, f"cannot read {where}: {error}") from error
        raise StorageError(
            StorageReason.UNREACHABLE,
            f"cannot read {where}: {str(error) or type(error).__name__}; check the network and HF_ENDPOINT",
        ) from error
    return str(info.sha)


def _is_disk_full(error: Exception) -> bool:
    """Return whether a download filled the disk; hf_xet, written in Rust, reports that only in its message."""
    full = (errno.ENOSPC, errno.EDQUOT)
    in_message = any(f"(os error {number})" in str(error) for number in full)
    return in_message or (isinstance(error, OSError) and error.errno in full)
