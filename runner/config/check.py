"""From plain values to a checked `Config`: types, ranges, unknown keys."""

from __future__ import annotations

import dataclasses
import math
import re
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any

from runner.config.consistency import check_consistency
from runner.config.errors import NO_VALUE, ConfigError, nearest, show
from runner.config.keys import KeySpec, number_text, spec_of
from runner.config.keyset import (
    choices_of,
    field_types,
    key_paths,
    options_of,
    split_optional,
    unknown_key,
)
from runner.config.schema import Config

# YAML 1.1 reads 1e-4, a number to everyone else, as text.
_EXPONENT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+")
_TRUE = {"yes", "on", "1", "y", "t"}
_FALSE = {"no", "off", "0", "n", "f"}

_MANY = 6
"""More options than this are not named in a message."""

_Typed = Callable[[str], bool]


def config_from_values(values: Mapping[str, Any], typed: Collection[str] = ()) -> Config:
    """Build a `Config` from nested plain values and check all of it.

    Args:
        values: every key, nested by section.
        typed: groups and dotted paths given on the command line. An experiment may set a key of
            an option that the command line then replaced (``experiment=... algorithm=sgd``); such
            a key is dropped. Any other key that the chosen option does not have is an error.

    Raises:
        ConfigError: naming the first wrong key.
    """
    config = _dataclass(Config, values, "", frozenset(typed))
    check_consistency(config)
    return config


def _dataclass(cls: type, values: Any, prefix: str, typed: frozenset[str]) -> Any:
    where = prefix.rstrip(".")
    if not isinstance(values, Mapping):
        raise ConfigError(where, values, f"must be a section of keys, e.g. {where}: {{...}}")
    hints = field_types(cls)
    for name in values:
        if name not in hints:
            _refuse_unknown(f"{prefix}{name}", values, typed)
    found = {}
    for field in dataclasses.fields(cls):
        path = prefix + field.name
        if field.name not in values:
            raise ConfigError(path, NO_VALUE, "missing key")
        annotation, optional = split_optional(hints[field.name])
        value = values[field.name]
        classes = options_of(annotation)
        if classes and not (optional and value is None):
            found[field.name] = _dataclass(_option(classes, value, path), value, path + ".", typed)
        elif classes:
            found[field.name] = None
        else:
            found[field.name] = check_value(path, value, annotation, optional, spec_of(field))
    return cls(**found)


def _option(classes: dict[str, type], value: Any, path: str) -> type:
    if "" in classes:
        return classes[""]
    name = value.get("name") if isinstance(value, Mapping) else value
    if not isinstance(name, str) or name not in classes:
        near = nearest(str(name), classes)
        raise ConfigError(path, name, "must be one of " + ", ".join(sorted(classes)), near)
    return classes[name]


def _refuse_unknown(path: str, values: Mapping[str, Any], typed: frozenset[str]) -> None:
    owners = [
        o for p, os in key_paths().items() if p == path or p.startswith(path + ".") for o in os
    ]
    value = values[path.rpartition(".")[2]]
    if not owners:
        message, near = unknown_key(path)
        raise ConfigError(path, value, message, near)
    replaced = path.partition(".")[0] in typed
    written = any(t == path or t.startswith(path + ".") for t in typed)
    if written or not replaced:
        raise foreign_key(path, value, str(values.get("name")))


def foreign_key(path: str, value: Any, chosen: str) -> ConfigError:
    """The error for a key of another option of the same group."""
    group = path.split(".")[0]
    owners = sorted(
        {o for p, os in key_paths().items() if p == path or p.startswith(path + ".") for o in os}
    )
    if chosen == "None":
        return ConfigError(path, value, f"needs a {group}", f"{group}={owners[0]}")
    if len(owners) > _MANY:
        return ConfigError(path, value, f"{group}={chosen} has no such key")
    return ConfigError(
        path, value, f"is a key of {group}={'|'.join(owners)}, not of {group}={chosen}"
    )


def check_value(path: str, value: Any, annotation: Any, optional: bool, spec: KeySpec) -> Any:
    """`value` as the type of its key, or a `ConfigError`."""
    if value is None:
        if optional:
            return None
        raise ConfigError(path, value, "must not be null" + _also(spec))
    if typing.get_origin(annotation) is tuple:
        return _list(path, value, annotation, spec)
    choices = choices_of(annotation, spec)
    if choices:
        return _choice(path, value, choices)
    if annotation is bool:
        return _bool(path, value)
    if annotation is int:
        return _int(path, value, spec, optional)
    if annotation is float:
        return _float(path, value, spec, optional)
    return _text(path, value, spec)


def _also(spec: KeySpec) -> str:
    return f"; it {spec.range_text()}" if spec.range_text() else ""


def _choice(path: str, value: Any, choices: tuple[str, ...]) -> str:
    if isinstance(value, str) and value in choices:
        return value
    raise ConfigError(
        path, value, "must be one of " + ", ".join(choices), nearest(show(value), choices)
    )


def _bool(path: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = show(value).lower()
    near = "true" if word in _TRUE else "false" if word in _FALSE else None
    raise ConfigError(
        path, value, "must be true or false", near or nearest(word, ("true", "false"))
    )


def _int(path: str, value: Any, spec: KeySpec, optional: bool) -> int:
    null = " or null" if optional else ""
    if isinstance(value, bool) or not isinstance(value, int):
        near = None
        if isinstance(value, float) and math.isfinite(value):
            near = show(_into_range(round(value), spec, whole=True))
        elif isinstance(value, str) and re.fullmatch(r"[+-]?\d+", value):
            near = show(_into_range(int(value), spec, whole=True))
        raise ConfigError(path, value, f"must be a whole number{null}{_also(spec)}", near)
    return _in_range(path, value, spec, whole=True)


def _float(path: str, value: Any, spec: KeySpec, optional: bool) -> float:
    if isinstance(value, str) and _EXPONENT.fullmatch(value):
        value = float(value)
    null = " or null" if optional else ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError(path, value, f"must be a number{null}{_also(spec)}")
    if not math.isfinite(value) or abs(value) > 1e300:
        raise ConfigError(path, value, f"must be a finite number{null}{_also(spec)}")
    return float(_in_range(path, value, spec, whole=False))


def _in_range(path: str, value: Any, spec: KeySpec, whole: bool) -> Any:
    low = (spec.ge is None or value >= spec.ge) and (spec.gt is None or value > spec.gt)
    high = (spec.le is None or value <= spec.le) and (spec.lt is None or value < spec.lt)
    if low and high:
        return value
    near = _into_range(value, spec, whole)
    raise ConfigError(path, value, spec.range_text(), None if near is None else number_text(near))


def _into_range(value: Any, spec: KeySpec, whole: bool) -> Any:
    """The bound next to `value`; `value` itself if allowed; None next to an open bound."""
    if spec.ge is not None and value < spec.ge:
        return int(spec.ge) if whole else spec.ge
    if spec.le is not None and value > spec.le:
        return int(spec.le) if whole else spec.le
    if (spec.gt is not None and value <= spec.gt) or (spec.lt is not None and value >= spec.lt):
        return None
    return value


def _text(path: str, value: Any, spec: KeySpec) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and not spec.pattern:
        value = show(value)  # a folder called 7
    if not isinstance(value, str):
        raise ConfigError(path, value, "must be a text" + _also(spec))
    if not value:
        raise ConfigError(path, value, "must not be empty" + _also(spec))
    if spec.pattern and not re.fullmatch(spec.pattern, value):
        raise ConfigError(path, value, spec.range_text())
    return value


def _list(path: str, value: Any, annotation: Any, spec: KeySpec) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(path, value, f"must be a list, e.g. {path}=[{show(value)}]")
    entry = typing.get_args(annotation)[0]
    return tuple(_entry(path, value, item, entry, spec) for item in value)


def _entry(path: str, value: Any, item: Any, annotation: Any, spec: KeySpec) -> Any:
    try:
        return check_value(path, item, annotation, False, spec)
    except ConfigError as error:
        near = f"{error.suggestion} for {show(item)}" if error.suggestion else None
        raise ConfigError(
            path, value, f"each entry {error.message}; {show(item)} is wrong", near
        ) from None
