"""Overrides as they are typed: their text and values, and what is wrong with one alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from runner.config.check import check_value, foreign_key
from runner.config.errors import NO_VALUE, ConfigError, one_line
from runner.config.keyset import key_named, key_paths, split_optional

HYDRA_ERRORS = (HydraException, OmegaConfBaseException, YAMLError)


def typed_paths(overrides: Sequence[str]) -> set[str]:
    """Dotted paths of the keys that `overrides` set."""
    return {text.split("=", 1)[0].lstrip("+") for text in overrides}


def input_text(item: Override) -> str:
    """The override as it was typed."""
    return item.input_line or ""


def values_of(item: Override) -> list[Any]:
    """Every value that an override can take."""
    if not item.is_sweep_override():
        return [item.value()]
    if isinstance(item.value(), IntervalSweep):
        return [item.input_line]
    return list(item.sweep_iterator())


def first_line(error: Exception) -> str:
    """What an error of Hydra's says first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__


def search_path_override(overrides: Sequence[str]) -> list[str]:
    """Folders that ``hydra.searchpath`` adds."""
    parser = OverridesParser.create()
    for text in overrides:
        if text.lstrip("+").startswith("hydra.searchpath="):
            try:
                value: Any = parser.parse_override(text).value()
            except HYDRA_ERRORS as error:
                raise malformed(text, error) from None
            return [str(folder) for folder in (value if isinstance(value, list) else [value])]
    return []


def check_alone(item: Override) -> None:
    """Check a value without its neighbours: a mistake is answered before the composition."""
    key = key_named(item.key_or_group)
    if key is None:
        return
    annotation, optional = split_optional(key.type)
    single = not item.is_sweep_override()
    values = values_of(item) if single or isinstance(item.value(), ChoiceSweep) else []
    try:
        for value in values:
            if "${" not in str(value) and value != "???":
                check_value(key.path, value, annotation, optional, key.spec)
    except ConfigError as error:
        raise (as_typed(error, [item]) if single else error) from None


def check_owner(item: Override, values: DictConfig) -> None:
    """Refuse a typed key that only another option of the group has."""
    name = item.key_or_group
    owners = {
        owner
        for path, options in key_paths().items()
        if path == name or path.startswith(name + ".")
        for owner in options
    }
    group = name.partition(".")[0]
    if owners == {""} or "" in owners or name == group:
        return
    chosen = str(OmegaConf.select(values, f"{group}.name"))
    if chosen not in owners:
        key, _, value = input_text(item).partition("=")
        error = foreign_key(name, value, chosen)
        raise ConfigError(key, value, error.message)


def as_typed(error: ConfigError, settings: Sequence[Override]) -> ConfigError:
    """The same error with key and value as they stand on the command line."""
    for item in reversed(settings):
        key, _, value = input_text(item).partition("=")
        if item.key_or_group == error.key:
            return ConfigError(key, value, error.message, error.suggestion)
    return error


def malformed(text: str, error: Exception) -> ConfigError:
    """The error of an override that Hydra's grammar does not take."""
    key, equals, value = text.partition("=")
    if not equals:
        return ConfigError(text or "''", NO_VALUE, "must be key=value")
    if value.startswith("="):
        return ConfigError(key, value, "one = too many", f"{key}={value.lstrip('=')}")
    near = None
    named = key_named(key.lstrip("+"))
    if named and split_optional(named.type)[0] is str and not {"'", '"'} & set(value):
        near = f"'{key}=\"{value}\"'"  # the parser takes such a text only in quotes
    detail = first_line(error)
    message = "can not be read" if "Exception" in detail else f"can not be read: {detail}"
    return ConfigError(key, value, message, near)


def composition_error(chosen: Sequence[str], error: Exception) -> ConfigError:
    """The error of groups that do not compose."""
    typed = " ".join(chosen)
    message = one_line(str(error))[:300]
    return (
        ConfigError(typed, NO_VALUE, message) if typed else ConfigError("conf", NO_VALUE, message)
    )
