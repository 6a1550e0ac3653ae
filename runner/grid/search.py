"""Hydra's sweeper for a search with Optuna: a study that is kept beside the runs, and goes on.

hydra-optuna-sweeper (1.3) wants optuna 2, starts its trials anew with every command and forgets
those that were under way; hence this one. Every trial's suggestions depend on the seed, the
trial's number and the results before it alone, and a run folder on its configuration: a search
that was killed ends with the trials and the bits of an undisturbed one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from runner.config.errors import ConfigError
from runner.grid.ledger import JobRecord, Ledger
from runner.grid.refused import Refused

JOURNAL = "search.journal"
"""File of the studies, in ``sweep.dir``."""

_GOOD = ("finished", "skipped")
_OPEN = (None, "interrupted", "running", "requeued")


class OptunaSweeper(Sweeper):
    """Maximises what the jobs return, their best ``val/accuracy``.

    Args:
        n_trials: that the study shall have in the end, failed ones included.
        n_jobs: trials at once.
        n_startup_trials: drawn at random.
        seed: of the sampler.
        study: name.
        params: the preset space.
    """

    def __init__(
        self,
        n_trials: int,
        n_jobs: int,
        n_startup_trials: int,
        seed: int,
        study: str,
        params: DictConfig,
    ) -> None:
        self._n_trials = n_trials
        self._n_jobs = n_jobs
        self._n_startup = n_startup_trials
        self._seed = seed
        self._name = study
        self._params = {str(k): v for k, v in params.items()}
        self._next = 0

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what `sweep` needs."""
        self.config = config
        self.hydra_context = hydra_context
        self._launcher = Plugins.instance().instantiate_launcher(
            config=config, hydra_context=hydra_context, task_function=task_function
        )
        self._ledger = Ledger(Path(str(config.hydra.sweep.dir)))

    def sweep(self, arguments: list[str]) -> None:
        """Run trials until the study has as many as it shall have, or the grid is stopped.

        Args:
            arguments: overrides of the command line.

        Raises:
            Refused: another command is at this search.
        """
        fixed, space = self._space(arguments)
        folder = self._ledger.folder.parent.parent
        lock = _lock(folder / f".{self._name}.lock")
        try:
            study = open_study(folder, self._name)
            self._search(study, fixed, space)
            _describe(study, folder / f"{self._name}.yaml")
        finally:
            os.close(lock)

    def _search(
        self, study: optuna.Study, fixed: Sequence[str], space: Mapping[str, BaseDistribution]
    ) -> None:
        set_aside: set[int] = set()
        while not self._ledger.stopping():
            trials = self._batch(study, space, set_aside)
            if not trials:
                return
            jobs = [[*fixed, *(f"{k}={_text(v)}" for k, v in t.params.items())] for t in trials]
            first, self._next = self._next, self._next + len(jobs)
            answers = self._launcher.launch(jobs, initial_job_idx=first)
            records = self._ledger.read()
            for i, (trial, answer) in enumerate(zip(trials, answers, strict=True)):
                record = records.get(first + i)
                if record is None or record.state in _OPEN:
                    set_aside.add(trial.number)  # another command goes on with it
                    continue
                trial.set_user_attr("run_dir", record.run_dir)
                _tell(study, trial, record, answer.return_value)

    def _batch(
        self, study: optuna.Study, space: Mapping[str, BaseDistribution], set_aside: set[int]
    ) -> list[Trial]:
        """The trials to run now: those that an earlier command left, or else new ones."""
        trials = study.get_trials(deepcopy=False)
        left = [t for t in trials if t.state == TrialState.RUNNING and t.number not in set_aside][
            : self._n_jobs
        ]
        if left:
            return [self._suggest(study, space, t) for t in left]
        room = self._n_trials - len(trials)
        return [self._suggest(study, space) for _ in range(min(room, self._n_jobs))]

    def _suggest(
        self,
        study: optuna.Study,
        space: Mapping[str, BaseDistribution],
        left: FrozenTrial | None = None,
    ) -> Trial:
        number = len(study.get_trials(deepcopy=False)) if left is None else left.number
        # A fresh sampler each time: what it drew for other trials must not matter, since after a
        # kill it would be forgotten.
        digest = hashlib.sha256(f"{self._seed} {number}".encode()).digest()
        study.sampler = optuna.samplers.TPESampler(
            seed=int.from_bytes(digest[:4], "little"), n_startup_trials=self._n_startup
        )
        # An earlier command may have ended between two suggestions; those that are there stay.
        trial = study.ask() if left is None else Trial(study, left._trial_id)
        for name, distribution in space.items():
            if isinstance(distribution, CategoricalDistribution):
                trial.suggest_categorical(name, distribution.choices)
            elif isinstance(distribution, IntDistribution):
                trial.suggest_int(
                    name,
                    distribution.low,
                    distribution.high,
                    step=distribution.step,
                    log=distribution.log,
                )
            elif isinstance(distribution, FloatDistribution):
                trial.suggest_float(
                    name,
                    distribution.low,
                    distribution.high,
                    step=distribution.step,
                    log=distribution.log,
                )
        return trial

    def _space(self, arguments: list[str]) -> tuple[list[str], dict[str, BaseDistribution]]:
        """The overrides that every trial has, and the distributions of the others."""
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        typed = parser.parse_overrides(arguments)
        named = {item.key_or_group for item in typed}
        preset = [f"{key}={value}" for key, value in self._params.items() if key not in named]
        fixed, space = [], {}
        # The last one of a key counts, as in Hydra's own sweeper.
        every = {i.get_key_element(): i for i in [*parser.parse_overrides(preset), *typed]}
        for item in every.values():
            if item.is_sweep_override():
                space[item.get_key_element()] = distribution_of(item)
            else:
                fixed.append(item.input_line or "")
        return fixed, space


def open_study(folder: Path, name: str) -> optuna.Study:
    """The study of that name in a folder, made where it is missing.

    Args:
        folder: ``sweep.dir``.
        name: of the study.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        # The journal is what survives a kill at any moment; in some versions it is "experimental".
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
    return optuna.create_study(
        storage=storage, study_name=name, direction="maximize", load_if_exists=True
    )


def distribution_of(item: Override) -> BaseDistribution:
    """Optuna's distribution for a value of Hydra's grammar.

    ``interval(a, b)`` is uniform between its ends, ``int(interval(a, b))`` over whole numbers;
    ``tag(log, interval(a, b))`` uniform in the logarithm; ``range(a, b, step)`` has equal steps and
    excludes its end; ``choice(...)`` and a list with commas are unordered.
    """
    value = item.value()
    if isinstance(value, IntervalSweep):
        assert value.start is not None
        assert value.end is not None
        log = "log" in value.tags
        if log and value.start <= 0:
            raise ConfigError(item.key_or_group, value.start, "a logarithm needs ends above 0")
        if isinstance(value.start, int) and isinstance(value.end, int):
            return IntDistribution(value.start, value.end, log=log)
        return FloatDistribution(float(value.start), float(value.end), log=log)
    if isinstance(value, RangeSweep) and not value.shuffle:
        steps = [float(text) for text in item.sweep_string_iterator()]
        if all(step.is_integer() for step in steps) and len(steps) > 1:
            return IntDistribution(int(steps[0]), int(steps[-1]), step=int(steps[1] - steps[0]))
    assert isinstance(value, (ChoiceSweep, RangeSweep))
    return CategoricalDistribution(list(item.sweep_string_iterator()))


def _text(value: Any) -> str:
    """A number or a text as an override's value; texts are as the user's command line had them."""
    return repr(value) if isinstance(value, float) else str(value)


def _tell(study: optuna.Study, trial: Trial, record: JobRecord, value: Any) -> None:
    """A trial that failed or diverged is one without a value; the search goes on."""
    if record.state in _GOOD and isinstance(value, (int, float)):
        study.tell(trial, float(value))
        return
    trial.set_user_attr("message", record.message or record.state)
    study.tell(trial, state=TrialState.FAIL)


def _describe(study: optuna.Study, path: Path) -> None:
    """Write the best trial and all others in words; only a convenience, the journal has it all."""
    trials = study.get_trials(deepcopy=False)
    good = [t for t in trials if t.state == TrialState.COMPLETE]
    content: dict[str, Any] = {"study": study.study_name, "maximised": "val/accuracy"}
    if good:
        content["best"] = _in_words(max(good, key=lambda t: (t.value, -t.number)))
    content["trials"] = [_in_words(t) for t in trials]
    OmegaConf.save(OmegaConf.create(content), path)


def _in_words(trial: FrozenTrial) -> dict[str, Any]:
    words: dict[str, Any] = {"number": trial.number, "state": trial.state.name.lower()}
    if trial.state == TrialState.COMPLETE:
        words["val/accuracy"] = trial.value
    return words | {"params": dict(trial.params)} | trial.user_attrs


def _lock(path: Path) -> int:
    """Keep other commands from the same search; the kernel lets go when this one ends."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise Refused(
            f"sweep.dir={path.parent}: another command is at this search; wait for it or choose "
            "another sweep.dir"
        ) from error
    return lock
