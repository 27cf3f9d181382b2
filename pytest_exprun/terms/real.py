"""What counts as a real number, for a trainer's metrics and for the values that are judged."""

from __future__ import annotations

import numbers


def real(value: object) -> float:
    """Return a real number as float, NaN and infinities included; an array of exactly one element counts as its element.

    Raises:
        ValueError: it is none: a bool, str, None, complex; or, as the text then says, a longer array or an integer too large for a float.
    """
    if not isinstance(value, numbers.Real) and hasattr(value, "item"):
        try:
            value = value.item()
        except (ValueError, RuntimeError, TypeError):
            raise ValueError("an array of more than one element: return one real number") from None
    # numpy's scalars are no bool by type but become one by item().
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ValueError  # noqa: TRY004  # one kind of error for all that is none
    try:
        return float(value)
    except OverflowError:
        raise ValueError("an integer too large for a float: allowed is one real number") from None
