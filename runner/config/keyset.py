"""The tree of keys that the dataclasses span: lookup by dotted path, and near misses."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union

from runner.config.errors import nearest
from runner.config.keys import KeySpec, spec_of
from runner.config.own_parts import own_parts
from runner.config.schema import Config


@dataclass(frozen=True)
class Key:
    """One key that holds a value.

    Args:
        path: dotted path, e.g. ``algorithm.gamma``.
        type: its annotation, resolved.
        spec: range and meaning.
        default: value in the dataclass.
        option: for a key of a group with several dataclasses the option it belongs to, else "".
    """

    path: str
    type: Any
    spec: KeySpec
    default: Any
    option: str


@functools.cache
def field_types(cls: type) -> dict[str, Any]:
    """Resolved annotations of a dataclass's fields."""
    hints = typing.get_type_hints(cls)
    if cls is Config:
        for group, parts in own_parts().items():
            for part in parts.values():
                hints[group] = hints[group] | part
        for part in own_parts()["device"].values():
            hints["fast_device"] = hints["fast_device"] | part
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def split_optional(annotation: Any) -> tuple[Any, bool]:
    """``X | None`` -> ``(X, True)``; anything else -> ``(annotation, False)``."""
    if typing.get_origin(annotation) in (Union, types.UnionType):
        rest = [arg for arg in typing.get_args(annotation) if arg is not type(None)]
        if len(rest) < len(typing.get_args(annotation)):
            return functools.reduce(lambda a, b: a | b, rest), True
    return annotation, False


def options_of(annotation: Any) -> dict[str, type]:
    """Dataclasses behind an annotation, by the `name` that chooses them.

    A dataclass alone comes back under "". Anything else gives an empty dict.
    """
    if dataclasses.is_dataclass(annotation):
        return {"": typing.cast(type, annotation)}
    if typing.get_origin(annotation) in (Union, types.UnionType):
        found = {}
        for cls in typing.get_args(annotation):
            if not dataclasses.is_dataclass(cls):
                return {}
            for name in typing.get_args(field_types(typing.cast(type, cls))["name"]):
                found[name] = cls
        return found
    return {}


def choices_of(annotation: Any, spec: KeySpec) -> tuple[str, ...]:
    """The only texts allowed for a key, from its `Literal` or its `KeySpec`; empty = free."""
    if typing.get_origin(annotation) is Literal:
        return typing.get_args(annotation)
    return spec.choices


def _walk(
    cls: type, prefix: str, option: str, instance: Any, parent: KeySpec | None
) -> Iterator[Key]:
    for field in dataclasses.fields(cls):
        annotation = field_types(cls)[field.name]
        path, spec = prefix + field.name, spec_of(field)
        default = getattr(instance, field.name)
        classes = options_of(split_optional(annotation)[0])
        if not classes:
            if parent is not None:
                doc = f"{parent.doc} {spec.doc}"
                spec = dataclasses.replace(spec, doc=doc, common=parent.common)
            yield Key(path, annotation, spec, default, option)
            continue
        for name, sub in classes.items():
            inner = default if type(default) is sub else sub()
            about = spec if prefix else None  # the doc of a section does not belong to its keys
            yield from _walk(sub, path + ".", name or option, inner, about)


@functools.cache
def all_keys() -> tuple[Key, ...]:
    """Every key of every option, in the order of the dataclasses."""
    return tuple(_walk(Config, "", "", Config(), None))


@functools.cache
def key_paths() -> dict[str, tuple[str, ...]]:
    """Dotted path -> options that have this key; ``("",)`` where the group has one dataclass."""
    found: dict[str, tuple[str, ...]] = {}
    for item in all_keys():
        found[item.path] = (*found.get(item.path, ()), item.option)
    return found


@functools.cache
def sections() -> frozenset[str]:
    """Dotted paths that hold keys, e.g. ``algorithm`` and ``algorithm.transfer_every``."""
    paths = set()
    for path in key_paths():
        parts = path.split(".")[:-1]
        paths.update(".".join(parts[: i + 1]) for i in range(len(parts)))
    return frozenset(paths)


def key_named(path: str) -> Key | None:
    """The key with this dotted path; None if there is none, or options differ about it."""
    found = [key for key in all_keys() if key.path == path]
    same = len({(key.type, key.spec) for key in found}) == 1
    return found[0] if same else None


def unknown_key(path: str, groups: tuple[str, ...] = ()) -> tuple[str, str | None]:
    """What to tell about a key that does not exist: the message and the nearest valid name."""
    head, _, last = path.rpartition(".")
    known = [p for p in key_paths() if not p.endswith(".name")]
    if path in key_paths() or path in sections():
        raise ValueError(f"{path} exists")
    inside = {p.rpartition(".")[2]: p for p in known if p.rpartition(".")[0] == head}
    anywhere = {p.rpartition(".")[2]: p for p in reversed(known)}
    if head in sections():
        best = inside.get(nearest(last, inside, 0.7) or "") or anywhere.get(last)
        if best:
            return "unknown key", best
        below = {p[len(head) + 1 :].split(".")[0] for p in known if p.startswith(head + ".")}
        return f"unknown key; {head} has " + ", ".join(sorted(below)), None
    best = (
        anywhere.get(last)
        or nearest(path, [*groups, *sections()], 0.7)
        or nearest(path, known, 0.75)
        or anywhere.get(nearest(last, anywhere, 0.75) or "")
    )
    return ("unknown key", best) if best else ("unknown key; see --help", None)
