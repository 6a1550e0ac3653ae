"""Measured pulse responses: read from CSV with the standard library, so that a bad file is told
before anything is loaded.

A file has a header and one row a pulse::

    # comments begin with a hash
    device,pulse,conductance
    1,0,12.31
    1,up,12.40
    1,down,12.33

``pulse`` is the polarity: ``up``, ``+1`` or ``1``; ``down`` or ``-1``; ``0`` stands only in the
first row of a device, for the conductance before its first pulse. ``conductance`` is read after the
pulse, in any unit. ``device`` is any text and may be left out where there is one device.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import math
from dataclasses import dataclass
from pathlib import Path

from runner.config.errors import ConfigError, nearest
from runner.config.schema import Config, FittedConfig

MIN_PULSES = 20
"""Pulses that a device needs at least."""

_MAX_BYTES = 64 * 2**20
_POLARITY = {"up": 1, "+1": 1, "1": 1, "down": -1, "-1": -1, "0": 0}
_COLUMNS = ("pulse", "conductance")


@dataclass(frozen=True)
class Trace:
    """The pulse response of one device.

    Args:
        device: its name in the file; empty where there is no such column.
        pulses: +1 or -1 for each pulse.
        conductance: before the first pulse and after each one: one entry more than `pulses`.
    """

    device: str
    pulses: tuple[int, ...]
    conductance: tuple[float, ...]


def read_pulse_csv(path: Path, key: str = "device.csv") -> tuple[list[Trace], str]:
    """Read a measured pulse response.

    Args:
        path: the file.
        key: that named it, for the messages.

    Returns:
        One trace a device in the order of the file, and the file's SHA-256.

    Raises:
        ConfigError: one line that names the file, the line and what is wrong there.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(key, path, f"is larger than {_MAX_BYTES // 2**20} MiB")
        content = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(key, path, "does not exist") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(key, path, f"can not be read: {reason.lower()}") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(key, path, "is not a text in UTF-8") from None
    try:
        traces = _traces(text)
    except (_BadFile, csv.Error) as error:
        raise ConfigError(key, path, str(error)) from None
    return traces, hashlib.sha256(content).hexdigest()


class _BadFile(Exception):
    """What is wrong with a file."""


def _traces(text: str) -> list[Trace]:
    lines = [
        (number, line)
        for number, line in enumerate(io.StringIO(text), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        raise _BadFile("is empty; needs a header with the columns pulse and conductance")
    rows = csv.reader([line for _, line in lines], strict=True)
    header = [name.strip().lower() for name in next(rows)]
    for name in _COLUMNS:
        if header.count(name) != 1:
            near = nearest(name, header)
            hint = f" (is it {near}?)" if near else ""
            raise _BadFile(f"needs one column {name}; its header has {', '.join(header)}{hint}")
    found: dict[str, tuple[list[int], list[float]]] = {}
    for (number, _), row in zip(lines[1:], rows, strict=False):
        if len(row) != len(header):
            raise _BadFile(f"line {number}: has {len(row)} values, the header {len(header)}")
        named = dict(zip(header, (value.strip() for value in row), strict=True))
        pulses, values = found.setdefault(named.get("device", ""), ([], []))
        polarity = _polarity(named["pulse"], number)
        if polarity == 0 and values:
            raise _BadFile(f"line {number}: pulse 0 stands only in the first row of a device")
        if values:
            pulses.append(polarity)
        values.append(_number(named["conductance"], number))
    traces = [Trace(d, tuple(p), tuple(v)) for d, (p, v) in found.items()]
    if not traces:
        raise _BadFile("has a header and no rows")
    _check(traces)
    return traces


def _polarity(text: str, line: int) -> int:
    word = text.lower()
    if word not in _POLARITY:
        raise _BadFile(f"line {line}: pulse={text or repr('')} must be up, down, 1 or -1")
    return _POLARITY[word]


def _number(text: str, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _BadFile(f"line {line}: conductance={text or repr('')} must be a finite number")
    return value


def _check(traces: list[Trace]) -> None:
    for trace in traces:
        who = f"device {trace.device}: " if trace.device else ""
        if len(trace.pulses) < MIN_PULSES:
            raise _BadFile(f"{who}has {len(trace.pulses)} pulses; needs at least {MIN_PULSES}")
        for polarity, name in ((1, "up"), (-1, "down")):
            if polarity not in trace.pulses:
                raise _BadFile(f"{who}has no {name} pulse; a fit needs both polarities")
        if max(trace.conductance) == min(trace.conductance):
            raise _BadFile(f"{who}the conductance never changes")


def with_measurements(config: Config) -> Config:
    """Check the files of fitted devices and fill in their SHA-256.

    Raises:
        ConfigError: a file is missing or bad, is not the one that ``sha256`` names, or its range
            is empty.
    """
    for group in ("device", "fast_device"):
        device = getattr(config, group)
        if isinstance(device, FittedConfig):
            config = dataclasses.replace(config, **{group: _measured(device, group)})
    return config


def _measured(device: FittedConfig, group: str) -> FittedConfig:
    key = f"{group}.csv"
    if device.csv is None:
        raise ConfigError(key, None, f"{group}=fitted needs a file with a measured pulse response")
    try:
        path = Path(device.csv).expanduser()
    except RuntimeError as error:  # ~nobody
        raise ConfigError(key, device.csv, str(error)) from None
    traces, sha256 = read_pulse_csv(path, key)
    if device.sha256 not in (None, sha256):
        raise ConfigError(f"{group}.sha256", device.sha256, f"{device.csv} has {sha256}")
    low = min(min(trace.conductance) for trace in traces) if device.g_min is None else device.g_min
    high = max(max(trace.conductance) for trace in traces) if device.g_max is None else device.g_max
    if not low < high:
        raise ConfigError(f"{group}.g_max", device.g_max, f"must be above {group}.g_min={low:g}")
    return dataclasses.replace(device, csv=str(path), sha256=sha256)
