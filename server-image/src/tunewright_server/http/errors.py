"""Why a request is refused, in the form of OpenAI's errors (platform.openai.com/docs/guides/error-codes)."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import orjson

_RETRY_AFTER_SECONDS = 5


class RefusalCode(StrEnum):
    """The machine-readable ``error.code``."""

    NOT_FOUND = "not_found"
    MODEL_NOT_FOUND = "model_not_found"
    INVALID_JSON = "invalid_json"
    INVALID_MODEL = "invalid_model"
    INVALID_VALUE = "invalid_value"
    INTEGER_OUT_OF_RANGE = "integer_out_of_range"
    DUPLICATE_MODEL = "duplicate_model"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    UNSUPPORTED_ENCODING = "unsupported_content_encoding"
    UNSUPPORTED_CONTENT = "unsupported_content"
    UNSUPPORTED_PARAMETER = "unsupported_parameter"
    STRUCTURED_OUTPUTS_FORBIDDEN = "structured_outputs_forbidden"
    REQUEST_TIMEOUT = "request_timeout"
    REQUEST_TOO_LARGE = "request_too_large"
    UNAUTHORIZED = "unauthorized"
    INVALID_API_KEY = "invalid_api_key"
    FORBIDDEN = "forbidden"
    ORIGIN_NOT_ALLOWED = "origin_not_allowed"
    ADAPTER_UNAVAILABLE = "adapter_unavailable"
    NOT_STARTED = "not_started"
    EVALUATIONS_LIMITED = "evaluations_limited"


class RefusalError(Exception):
    """A request is refused; the message shows what was wrong and what to do."""

    def __init__(
        self,
        status: int,
        code: RefusalCode,
        message: str,
        *,
        param: str | None = None,
        retry_after: int | None = None,
        more_headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.param = param
        self.retry_after = retry_after
        self._more_headers = more_headers

    def to_body(self) -> bytes:
        """Return the JSON body."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code.value}
        return orjson.dumps({"error": error})

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers other than content type and length."""
        retry = [] if self.retry_after is None else [(b"retry-after", str(self.retry_after).encode())]
        return [*retry, *self._more_headers]


def top_level(path: str) -> str:
    """Return the field of a request that a path such as ``tools[0].type`` is in, at most 200 characters of it."""
    return path.partition(".")[0].partition("[")[0][:200]


def adapter_unavailable(name: str) -> RefusalError:
    """Return the refusal of a request for which no adapter is loaded."""
    return RefusalError(
        503,
        RefusalCode.ADAPTER_UNAVAILABLE,
        f"No adapter of `{name[:200]}` is loaded on this replica; try again",
        param="model",
        retry_after=_RETRY_AFTER_SECONDS,
    )


def evaluations_limited(load: Sequence[tuple[bytes, bytes]]) -> RefusalError:
    """Return the refusal of an evaluation's request that exceeds the evaluations' share of this pod.

    Args:
        load: the header with the pod's load.
    """
    return RefusalError(
        429,
        RefusalCode.EVALUATIONS_LIMITED,
        "This replica has no free place for evaluations now; try again",
        retry_after=1,
        more_headers=load,
    )
