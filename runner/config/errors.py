"""The one kind of error that a wrong configuration raises."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from typing import Any

from runner.errors import UserError

NO_VALUE = object()
"""Stands for the value of a `ConfigError` that is about a key alone."""


class ConfigError(UserError):
    """A key that does not exist, or a value that is not allowed.

    Args:
        key: the key as typed on the command line, or its dotted path.
        value: the value it got; `NO_VALUE` if there is none to show.
        message: what is allowed.
        suggestion: the nearest valid value or name, if there is one.
    """

    def __init__(self, key: str, value: Any, message: str, suggestion: str | None = None) -> None:
        self.key = key
        self.value = value
        self.message = message
        self.suggestion = suggestion
        super().__init__(str(self))

    def __str__(self) -> str:
        head = self.key
        if self.value is not NO_VALUE:
            head = f"{head}={show(self.value)}" if head else show(self.value)
        tail = f" (nearest valid: {self.suggestion})" if self.suggestion is not None else ""
        return one_line(f"{head}: {self.message}{tail}")


def one_line(text: str) -> str:
    """`text` with line breaks and other control characters made visible or blank."""
    words = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)


def show(value: Any) -> str:
    """A value as one types it on the command line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isfinite(value) and value.is_integer() and abs(value) < 1e15:
            return f"{value:.1f}"
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(show(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}:{show(item)}" for name, item in value.items()) + "}"
    text = str(value)
    return text if text else "''"


def nearest(word: str, names: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The name most like `word`, or one that contains it; None if none is alike."""
    lower = {name.lower(): name for name in names}
    word = word.lower()
    found = difflib.get_close_matches(word, list(lower), n=1, cutoff=cutoff)
    if not found and len(word) > 2:
        found = [name for name in lower if word in name]
    return lower[found[0]] if found else None
