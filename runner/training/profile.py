"""Profiles a few mini-batches with torch's profiler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch.profiler import ProfilerActivity, profile, schedule


class StepProfiler:
    """Records `steps` mini-batches after two that are left out, and writes two files.

    Args:
        steps: mini-batches to record; with 0 nothing happens at all.
        folder: gets ``profile.txt``, a table of operators, and ``profile.json``, a trace for
            Chrome or Perfetto.
    """

    def __init__(self, steps: int, folder: Path) -> None:
        self._folder = folder
        self._profile: Any = None
        if steps:
            self._profile = profile(
                activities=[ProfilerActivity.CPU],
                schedule=schedule(wait=1, warmup=1, active=steps, repeat=1),
                on_trace_ready=self._write,
                acc_events=True,
            )
            self._profile.start()

    def __enter__(self) -> StepProfiler:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def step(self) -> None:
        """A mini-batch has ended."""
        if self._profile is not None:
            self._profile.step()

    def stop(self) -> None:
        """Write what there is, if the run ended before all mini-batches were recorded."""
        if self._profile is not None:
            self._profile.stop()
            self._profile = None

    def _write(self, found: Any) -> None:
        table = found.key_averages().table(sort_by="self_cpu_time_total", row_limit=40)
        (self._folder / "profile.txt").write_text(table + "\n")
        found.export_chrome_trace(str(self._folder / "profile.json"))
