"""How a configuration key is declared: default, allowed range and meaning in one place."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

_SPEC = "warmtile"


@dataclass(frozen=True)
class KeySpec:
    """What is allowed for one key, beside its type.

    Args:
        doc: one or two sentences for the user.
        ge, gt, le, lt: bounds of a number (of each entry, for a list).
        choices: the only values allowed (of each entry, for a list).
        pattern: regular expression that a text must match as a whole.
        pattern_doc: what `pattern` means, in words.
        unit: unit of the number.
        common: True for the keys that ``--help`` lists.
    """

    doc: str
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str | None = None
    pattern_doc: str = ""
    unit: str = ""
    common: bool = False

    def range_text(self) -> str:
        """The allowed values in words, e.g. ``must be at least 2``; empty if all are allowed."""
        if self.choices:
            return "must be one of " + ", ".join(self.choices)
        if self.pattern:
            return "must be " + self.pattern_doc
        low = high = ""
        if self.ge is not None:
            low = f"at least {number_text(self.ge)}"
        elif self.gt is not None:
            low = f"above {number_text(self.gt)}"
        if self.le is not None:
            high = f"at most {number_text(self.le)}"
        elif self.lt is not None:
            high = f"below {number_text(self.lt)}"
        both = " and ".join(part for part in (low, high) if part)
        return f"must be {both}" if both else ""


def number_text(value: float) -> str:
    """A bound as one would type it: 2147483647, 0.001, 1e+09."""
    if float(value).is_integer() and abs(value) < 1e10:
        return str(int(value))
    return repr(float(value))


def key(default: Any, doc: str, **limits: Any) -> Any:
    """Declare one configuration key as a dataclass field.

    Args:
        default: value of a `Config` built without YAML; a callable is called for each instance.
        doc: meaning of the key, shown by ``--help`` and in the key reference.
        limits: the other fields of `KeySpec`.
    """
    spec = KeySpec(doc=doc, **limits)
    if callable(default):
        return dataclasses.field(default_factory=default, metadata={_SPEC: spec})
    return dataclasses.field(default=default, metadata={_SPEC: spec})


def spec_of(field: dataclasses.Field[Any]) -> KeySpec:
    """The `KeySpec` of a field that was declared with `key`."""
    return field.metadata[_SPEC]
