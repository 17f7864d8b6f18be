"""Quantities of the Kubernetes API, such as ``500m`` and ``16Gi``."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_PATTERN: Final = re.compile(r"([+-]?[0-9.]+)([eE][+-]?[0-9]+|[numkKMGTPE]i?|)")
_FACTORS: Final = {
    "": Decimal(1),
    **{prefix: Decimal(1000) ** power for power, prefix in enumerate("num", -3)},
    **{prefix: Decimal(1000) ** power for power, prefix in enumerate("kMGTPE", 1)},
    **{f"{prefix}i": Decimal(1024) ** power for power, prefix in enumerate("KMGTPE", 1)},
}
"""By suffix; see https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/."""


def parse_quantity(text: str) -> Decimal:
    """Return the number that a quantity stands for: ``500m`` → 0.5.

    Raises:
        ValueError: the text is not a quantity.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a quantity, such as 1, 500m or 16Gi")
    digits, suffix = match.groups()
    try:
        if suffix[:1] in ("e", "E") and len(suffix) > 1 and suffix not in _FACTORS:
            return Decimal(digits + suffix)
        return Decimal(digits) * _FACTORS[suffix]
    except (ArithmeticError, KeyError) as error:
        raise ValueError(f"{text!r} is not a quantity, such as 1, 500m or 16Gi") from error
