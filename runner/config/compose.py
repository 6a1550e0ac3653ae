"""YAML groups and overrides -> checked `Config`, for one run or a whole grid.

Hydra composes; what it lets pass or says at length (unknown keys after ``+``, wrong types,
malformed text) is checked here, before Hydra's own `main` starts and writes anything.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import MissingMandatoryValue

from runner.config.check import config_from_values
from runner.config.device_steps import complete_overrides, device_options, own_steps
from runner.config.errors import NO_VALUE, ConfigError, nearest
from runner.config.extras import (
    SEARCHES,
    check_extra,
    check_extras,
    check_search,
    register_sweeper,
)
from runner.config.folders import conf_dir
from runner.config.hydra_keys import check_plugin_keys, is_plugin_key
from runner.config.keyset import key_paths, sections, unknown_key
from runner.config.measurement import with_measurements
from runner.config.overrides import (
    HYDRA_ERRORS,
    as_typed,
    check_alone,
    check_owner,
    composition_error,
    first_line,
    input_text,
    malformed,
    search_path_override,
    typed_paths,
    values_of,
)
from runner.config.own_parts import default_values, own_parts
from runner.config.paths import check_paths
from runner.config.schema import Config
from runner.config.sweep import all_jobs, check_sweeps, sample_jobs
from runner.config.trackers import check_trackers
from runner.config.values import resolve_run_dir

_PRESETS = ("experiment", "debug", "sweep")
"""Groups of presets: they set keys of other groups, and none may be chosen."""
# What Hydra would do is done, or not done, by the runner.
_NOT_HYDRAS = {
    "hydra.run.dir": ("the run folder is run.dir", "run.dir"),
    "hydra.output_subdir": ("the run folder keeps config.yaml itself", None),
    "hydra.job.chdir": ("a run does not change the working folder", None),
}


def load_config(
    overrides: Sequence[str] = (), config_dir: str | None = None, config_name: str = "config"
) -> Config:
    """Compose one run from ``conf/`` and check it strictly.

    Args:
        overrides: as on the command line, e.g. ``["algorithm=sgd", "run.epochs=3"]``.
        config_dir: one more folder of YAML groups, as with ``--config-dir``.
        config_name: the primary configuration.

    Raises:
        ConfigError: for the first thing that is wrong; nothing has been written.
    """
    return Composer(config_dir, config_name).one(list(overrides))


class Composer:
    """Composes and checks runs from one set of YAML folders.

    Args:
        config_dir: one more folder of YAML groups, or None.
        config_name: the primary configuration.
        overrides: those that say where else to look (``hydra.searchpath``).
    """

    def __init__(
        self,
        config_dir: str | None = None,
        config_name: str = "config",
        overrides: Sequence[str] = (),
    ) -> None:
        version.setbase("1.3")
        for group, parts in own_parts().items():
            for name, part in parts.items():
                ConfigStore.instance().store(group=group, name=name, node=default_values(part))
        search_path = create_config_search_path(str(conf_dir()))
        schema = SearchPathQuery(provider="schema")
        if config_dir is not None:
            folder = Path(config_dir).absolute()
            if not folder.is_dir():
                raise ConfigError("--config-dir", config_dir, "is not a folder")
            search_path.prepend("command-line", f"file://{folder}", anchor=schema)
        for folder in search_path_override(overrides):
            search_path.prepend("hydra.searchpath", folder, anchor=schema)
        register_sweeper()
        self.folders = _folders(search_path)
        for name, node in device_options(self.folders).items():
            ConfigStore.instance().store(group="fast_device", name=name, node=node)
        self._name = config_name
        self._loader = ConfigLoaderImpl(config_search_path=search_path)
        self._parser = OverridesParser.create(config_loader=self._loader)
        self._bases: dict[tuple[str, ...], tuple[DictConfig, DictConfig]] = {}
        self._group_options: dict[str, list[str]] = {}
        # Groups that are files; fast_device has the options of device, under another name.
        groups = [g for g in self._loader.list_groups("") if g != "hydra"]
        self._group_names = (*groups, "fast_device")
        if not self._loader.repository.config_exists(config_name):
            raise ConfigError("--config-name", config_name, "there is no such configuration")

    def one(self, overrides: list[str]) -> Config:
        """The run that `overrides` describe."""
        parsed = self._parse_all(overrides)
        for item in parsed:
            if item.is_sweep_override():
                key, _, value = input_text(item).partition("=")
                raise ConfigError(
                    key, value, "several values need -m (--multirun); quote a value with a comma"
                )
        return self._job(complete_overrides(overrides))

    def hydra(self, overrides: list[str]) -> DictConfig:
        """Hydra's own part of the composition."""
        return self._base(self._parse_all(complete_overrides(overrides)))[1]

    def grid(self, overrides: list[str]) -> tuple[list[Config], bool]:
        """Every job of the grid that `overrides` span, checked; and whether these are all.

        A sweeper other than Hydra's basic one chooses its jobs while it runs. Then each end of
        an interval and each value of a choice is checked, one at a time.
        """
        parsed = self._swept(overrides)
        basic = self._basic(parsed)
        check_sweeps(parsed, basic)
        jobs = all_jobs(parsed) if basic else sample_jobs(parsed)
        configs = []
        folders: dict[str, int] = {}
        for number, job in enumerate(jobs, start=1):
            config = self._job(list(job))
            other = folders.setdefault(config.run.dir, number)
            if other != number:
                raise ConfigError(
                    "run.dir",
                    config.run.dir,
                    f"jobs {other} and {number} of the grid would share this folder",
                )
            configs.append(config)
        sweeper = self._base(parsed)[1].sweeper
        if sweeper.get("_target_") == SEARCHES:
            searched = sum(item.is_sweep_override() for item in parsed)
            for config in configs:
                check_search(sweeper, searched, config.data.val_fraction)
        return configs, basic

    def space(self, overrides: list[str]) -> dict[str, str]:
        """What a search varies: the values that are typed or preset, by key."""
        parsed = self._swept(overrides)
        pairs = (input_text(item).partition("=") for item in parsed if item.is_sweep_override())
        return {key.lstrip("+"): value for key, _, value in pairs}

    def multirun_mode(self, overrides: list[str]) -> bool:
        """Whether `overrides` or the YAML ask for a grid by ``hydra.mode``."""
        if not any("hydra.mode" in text or text.startswith("sweep=") for text in overrides):
            return False
        return self._base(self._parse_all(overrides))[1].mode == RunMode.MULTIRUN

    def _parse_all(self, overrides: Sequence[str]) -> list[Override]:
        parsed = [self._parse(text) for text in overrides]
        for item in parsed:
            self._check_name(item)
        return parsed

    def _parse(self, text: str) -> Override:
        try:
            return self._parser.parse_overrides([text])[0]
        except HYDRA_ERRORS as error:
            raise malformed(text, error) from None

    def _check_name(self, item: Override) -> None:
        """Refuse what names no group, option or key, whatever its value."""
        text, name = input_text(item), item.key_or_group
        typed, _, value = text.partition("=")
        if not name:
            raise ConfigError(text, NO_VALUE, "must be key=value")
        if item.type == OverrideType.DEL:
            raise ConfigError(text, NO_VALUE, "keys and groups can not be deleted, only set")
        if item.package is not None and not name.startswith("hydra"):
            raise ConfigError(typed, value, "a group's package can not be changed")
        if self._group_exists(name):
            self._check_group(item, typed)
            return
        if name in _NOT_HYDRAS:
            message, near = _NOT_HYDRAS[name]
            raise ConfigError(typed, value, message, near and f"{near}={value}")
        if name.startswith(("hydra.", "hydra/")) or name == "hydra":
            return
        if name not in key_paths() and name not in sections():
            message, near = unknown_key(name, self._group_names)
            raise ConfigError(typed, value, message, near)
        if item.type == OverrideType.ADD:
            raise ConfigError(typed, value, "the key exists already; write it without +", text[1:])
        if name.endswith(".name"):
            group = name.rpartition(".")[0]
            raise ConfigError(typed, value, "follows from the chosen group", f"{group}={value}")
        check_alone(item)

    def _check_group(self, item: Override, typed: str) -> None:
        group, options = item.key_or_group, self._options(item.key_or_group)
        ours = group in sections() or group in _PRESETS
        _, _, value = input_text(item).partition("=")
        if ours and item.type != OverrideType.CHANGE:
            raise ConfigError(
                typed, value, "the group exists already; write it without +", f"{group}={value}"
            )
        for choice in values_of(item):
            if choice is None and group in (*_PRESETS, "fast_device"):
                continue
            check_extra(group, choice)
            if not isinstance(choice, str) or choice not in options:
                raise ConfigError(
                    typed,
                    choice,
                    "must be one of " + ", ".join(options),
                    nearest(str(choice), options),
                )

    def _options(self, group: str) -> list[str]:
        if group not in self._group_options:
            self._group_options[group] = sorted(self._loader.get_group_options(group))
        return self._group_options[group]

    def _is_group(self, item: Override) -> bool:
        """Whether Hydra composes with it, rather than sets a value afterwards."""
        name = item.key_or_group
        return name.startswith("hydra") or self._group_exists(name)

    def _group_exists(self, name: str) -> bool:
        return name in self._group_names or ("/" in name and bool(self._options(name)))

    def _base(self, parsed: Sequence[Override]) -> tuple[DictConfig, DictConfig]:
        """The composition of the chosen groups, before any value is set, and Hydra's own part."""
        chosen = tuple(
            input_text(item)
            for item in parsed
            if self._is_group(item) and not item.is_sweep_override()
        )
        plugin_keys = [item for item in parsed if is_plugin_key(item)]
        if chosen not in self._bases:
            if plugin_keys:
                others = [item for item in parsed if not is_plugin_key(item)]
                check_plugin_keys(plugin_keys, self._base(others)[1])
            try:
                base = self._loader.load_configuration(
                    self._name, list(chosen), RunMode.RUN, from_shell=False
                )
            except HYDRA_ERRORS as error:
                if "'hydra/launcher/ray'" in str(error):
                    check_extra("hydra/launcher", "ray")
                raise composition_error(chosen, error) from None
            hydra = base.hydra
            check_extras(hydra.runtime.choices)
            with open_dict(base):
                del base["hydra"]
            OmegaConf.set_struct(base, False)
            self._bases[chosen] = (base, hydra)
        return self._bases[chosen]

    def _job(self, overrides: list[str]) -> Config:
        parsed = self._parse_all(overrides)
        values = copy.deepcopy(self._base(parsed)[0])
        settings = [item for item in parsed if not self._is_group(item)]
        for item in settings:
            check_owner(item, values)
            try:
                OmegaConf.update(values, item.key_or_group, item.value(), merge=True)
            except HYDRA_ERRORS as error:
                key, _, value = input_text(item).partition("=")
                raise ConfigError(key, value, first_line(error)) from None
        try:
            return finish(values, overrides, self.folders)
        except ConfigError as error:
            raise as_typed(error, settings) from None

    def _swept(self, overrides: list[str]) -> list[Override]:
        """What is preset and what is typed; the last one of a key counts, as in Hydra's sweeper."""
        parsed = self._parse_all(complete_overrides(overrides))
        parsed = [*self._sweeper_params(parsed), *parsed]
        return list({item.get_key_element(): item for item in parsed}.values())

    def _basic(self, parsed: Sequence[Override]) -> bool:
        target = self._base(parsed)[1].sweeper.get("_target_", "")
        return target.endswith(".BasicSweeper")

    def _sweeper_params(self, parsed: Sequence[Override]) -> list[Override]:
        """What ``hydra.sweeper.params`` adds to the grid; the command line comes after it."""
        params = self._base(parsed)[1].sweeper.get("params") or {}
        named = {item.key_or_group for item in parsed}
        texts = [f"{key}={value}" for key, value in params.items() if key not in named]
        return self._parse_all(texts)


def finish(values: DictConfig, overrides: Sequence[str], folders: Sequence[Path]) -> Config:
    """A composition, all values set -> checked `Config` with its run folder resolved.

    Args:
        values: the composition.
        overrides: of the run.
        folders: that hold the groups, the first one first.
    """
    for group, step in own_steps(overrides, folders).items():
        values[group].update({"n_states": None, "dw_min": step})
    try:
        plain = OmegaConf.to_container(values, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise ConfigError(str(error.full_key), "???", "needs a value") from None
    except HYDRA_ERRORS as error:
        key = getattr(error, "full_key", None) or "conf"
        raise ConfigError(str(key), NO_VALUE, first_line(error)) from None
    assert isinstance(plain, dict)
    config = config_from_values(plain, typed_paths(overrides))  # type: ignore[arg-type]
    config = resolve_run_dir(with_measurements(config))
    check_paths(config)
    check_trackers(config)
    return config


def _folders(search_path: ConfigSearchPath) -> list[Path]:
    """Folders of a search path, the first one first."""
    paths = [entry.path or "" for entry in search_path.get_path()]
    files = [path.removeprefix("file://") for path in paths]
    return [Path(path) for path in files if path and "://" not in path]
