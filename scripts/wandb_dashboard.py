"""Make the dashboard of a W&B project: ``python scripts/wandb_dashboard.py --entity TEAM``.

Accuracy by algorithm and states with error bands over seeds, the warm start over time, saturation
and writes of the tiles, and the run table. Without an API key or a network it prints what it would
send, as JSON, and sends nothing; so it does with ``--dry``.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.config.schema import WandbConfig

if TYPE_CHECKING:
    import wandb_workspaces.workspaces as ws

ARM = "arm"
"""Key that the tracker adds to a run's configuration: algorithm, tiles, states, warm start."""

COLUMNS = [
    "config:arm.value",
    "config:algorithm.value.name",
    "config:device.value.n_states",
    "config:run.value.seed",
    "summary:best/val/accuracy",
    "summary:best/test/accuracy",
    "summary:final/test/accuracy",
    "summary:warm_start/stage",
    "summary:run/status",
    "summary:run/epochs",
    "summary:run/wall_time_s",
]
"""Columns of the run table."""


def dashboard(entity: str, project: str, name: str = "warmtile") -> ws.Workspace:
    """The workspace; nothing is sent.

    Args:
        entity: user or team.
        project: project of the runs.
        name: of the saved view.
    """
    with warnings.catch_warnings():
        # The package declares its models in the style of pydantic 1.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="pydantic")
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="wandb_workspaces")
        import wandb_workspaces.workspaces as ws

        sections = _sections()
        return ws.Workspace(
            entity=entity,
            project=project,
            name=name,
            sections=sections,
            settings=ws.WorkspaceSettings(x_axis="epoch", max_runs=100, smoothing_type="none"),
            runset_settings=ws.RunsetSettings(
                groupby=[ws.Config(ARM)],
                order=[ws.Ordering(ws.Summary("final/test/accuracy"), ascending=False)],
                pinned_columns=COLUMNS,
            ),
        )


def _sections() -> list[ws.Section]:
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces.reports.v2.interface import ParallelCoordinatesPlotColumn

    def band(title: str, *metrics: str, **more: Any) -> wr.LinePlot:
        """Mean of the seeds, with their standard deviation as a band."""
        return wr.LinePlot(
            title=title,
            x="epoch",
            y=list(metrics),
            title_x="epoch",
            groupby=wr.Config(ARM),
            groupby_aggfunc="mean",
            groupby_rangefunc="stddev",
            max_runs_to_show=100,
            **more,
        )

    def bars(title: str, metric: str) -> wr.BarPlot:
        return wr.BarPlot(
            title=title,
            metrics=[metric],
            groupby=wr.Config(ARM),
            groupby_aggfunc="mean",
            groupby_rangefunc="stddev",
            max_bars_to_show=50,
        )

    def tiles(title: str, reading: str, **more: Any) -> wr.LinePlot:
        return wr.LinePlot(
            title=title,
            x="epoch",
            metric_regex=rf"^tiles/.+/{reading}$",
            title_x="epoch",
            max_runs_to_show=10,
            **more,
        )

    return [
        ws.Section(
            name="Accuracy by algorithm and states",
            is_open=True,
            pinned=True,
            panels=[
                band("Test accuracy", "test/accuracy", range_y=(0, 1)),
                band("Validation accuracy", "val/accuracy", range_y=(0, 1)),
                band("Training loss", "train/loss"),
                bars("Final test accuracy", "final/test/accuracy"),
                bars("Test accuracy at the best epoch", "best/test/accuracy"),
                wr.ScatterPlot(
                    title="Final test accuracy by states",
                    x=wr.Config("device.n_states"),
                    y=wr.SummaryMetric("final/test/accuracy"),
                    log_x=True,
                ),
            ],
        ),
        ws.Section(
            name="Warm start",
            is_open=True,
            panels=[
                band("Device that the warm start is on (0: the chain)", "warm_start/stage"),
                band("Switches so far", "warm_start/switches"),
            ],
        ),
        ws.Section(
            name="Saturation and writes",
            is_open=True,
            panels=[
                tiles("Share of cross-points at a bound", "share_at_bound", range_y=(0, 1)),
                tiles("Pulses (writes) so far", "pulses", log_y=True),
                tiles("Transfers so far", "transfers", log_y=True),
                tiles("Mean absolute weight", "mean_abs_weight"),
            ],
        ),
        ws.Section(
            name="Runs",
            is_open=True,
            panels=[
                wr.RunComparer(diff_only=True),
                wr.ParallelCoordinatesPlot(
                    title="Settings and result",
                    columns=[
                        ParallelCoordinatesPlotColumn(wr.Config("algorithm.name")),
                        ParallelCoordinatesPlotColumn(wr.Config("device.n_states")),
                        ParallelCoordinatesPlotColumn(wr.Config("run.seed")),
                        ParallelCoordinatesPlotColumn(wr.SummaryMetric("final/test/accuracy")),
                    ],
                ),
            ],
        ),
    ]


def specification(workspace: ws.Workspace) -> dict[str, Any]:
    """What would be sent, as plain values."""
    return json.loads(workspace._to_model().model_dump_json(by_alias=True, exclude_none=True))


def main(argv: Sequence[str] | None = None) -> int:
    """Push the dashboard, or print it.

    Returns:
        exit status: 0 pushed or printed; 2 where the extra is not installed.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Formatter)
    parser.add_argument("--entity", default="", help="user or team (default: that of your key)")
    parser.add_argument("--project", default=WandbConfig().project, help="default: %(default)s")
    parser.add_argument("--name", default="warmtile", help="of the saved view")
    parser.add_argument("--dry", action="store_true", help="print the specification only")
    parser.add_argument("--out", type=Path, help="write the specification to this file")
    args = parser.parse_args(argv)
    try:
        workspace = dashboard(args.entity, args.project, args.name)
    except ModuleNotFoundError as error:
        print(
            f"wandb_dashboard: the package {error.name} is not installed: "
            "pip install 'warmtile[dashboard]'",
            file=sys.stderr,
        )
        return 2
    text = json.dumps(specification(workspace), indent=2)
    if args.out is not None:
        args.out.write_text(text + "\n", encoding="utf-8")
    reason = "--dry" if args.dry else _push(workspace)
    if reason is None:
        print(workspace.url)
        return 0
    print(f"wandb_dashboard: nothing was sent ({reason}); this would be:", file=sys.stderr)
    if args.out is None:
        print(text)
    return 0


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the module's text."""


def _push(workspace: ws.Workspace) -> str | None:
    """Save the view; the reason why not, if it can not be."""
    import wandb

    logging.getLogger("wandb").setLevel(logging.CRITICAL)
    wandb.setup(wandb.Settings(silent=True))
    try:
        if not wandb.login(prompt=False, verify=False):
            return "no API key: set WANDB_API_KEY or run `wandb login`"
        if not workspace.entity:
            workspace.entity = wandb.Api(timeout=20).default_entity or ""
        if not workspace.entity:
            return "this key has no default entity: give --entity"
        workspace.save()
    except Exception as error:  # noqa: BLE001  (whatever the network or the server says)
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return None


if __name__ == "__main__":
    sys.exit(main())
