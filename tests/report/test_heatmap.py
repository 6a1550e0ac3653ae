"""Heat maps say where an algorithm breaks down."""

from __future__ import annotations

import math

import pandas as pd

from runner.report.__main__ import main
from runner.report.collect import find_runs
from runner.report.heatmap import accuracy_maps, breakdown_table
from runner.report.tables import group_runs

# Final accuracies by algorithm, number of states and asymmetry.
ACCURACY = {
    "analog_sgd": {10: (0.10, 0.11, 0.09), 1000: (0.90, 0.80, 0.30)},
    "resl": {10: (0.80, 0.78, 0.75), 1000: (0.70, 0.72, 0.11)},
}
UP_DOWN = (0, 0.1, 0.4)


def make_grid(make_run, skip: int = 0) -> None:
    made = 0
    for algorithm, by_states in ACCURACY.items():
        for states, values in by_states.items():
            for up_down, value in zip(UP_DOWN, values, strict=True):
                made += 1
                if made > skip:
                    make_run(
                        [0.1, value - 0.01, value],
                        f"algorithm={algorithm}",
                        f"device.n_states={states}",
                        f"device.up_down={up_down}",
                        images={"test": 1000},
                    )


def test_a_map_for_each_algorithm(make_run, tmp_path):
    make_grid(make_run)
    maps = accuracy_maps(group_runs(find_runs([tmp_path / "runs"])))
    assert maps is not None
    assert (maps.row_key, maps.column_key) == ("device.n_states", "device.up_down")
    assert [panel.title for panel in maps.panels] == ["analog_sgd", "resl"]
    for panel in maps.panels:
        assert (panel.rows, panel.columns) == (("10", "1000"), ("0", "0.1", "0.4"))
        expected = [[100 * v for v in row] for row in ACCURACY[panel.title].values()]
        assert panel.accuracy.tolist() == expected
        assert panel.limit == 100 * (0.1 + 5 * math.sqrt(0.1 * 0.9 / 1000))
    # At chance, or nearer to chance than to the best of the panel.
    assert maps.panels[0].broken.tolist() == [[True] * 3, [False, False, True]]
    assert maps.panels[1].broken.tolist() == [[False] * 3, [False, False, True]]


def test_the_table_and_the_page(make_run, tmp_path, capsys):
    make_grid(make_run)
    make_run([0.1, 0.2, 0.85], "device.n_states=10", "device.up_down=0", "run.seed=2")
    assert main([str(tmp_path / "runs")]) == 0
    capsys.readouterr()
    report = tmp_path / "runs" / "report"
    frame = pd.read_csv(report / "tables" / "robustness.csv", dtype=str)
    assert frame.values.tolist() == [
        ["analog_sgd", "10", "-", "0, 0.1, 0.4"],
        ["analog_sgd", "1000", "0, 0.1", "0.4"],
        ["resl", "10", "0, 0.1, 0.4", "-"],
        ["resl", "1000", "0, 0.1", "0.4"],
    ]
    assert (report / "figures" / "robustness.png").stat().st_size > 5_000
    assert "Robustness" in (report / "report.html").read_text()


def test_no_map_where_there_is_no_grid(make_run, six_runs, tmp_path):
    assert accuracy_maps(group_runs(find_runs([six_runs]))) is None
    assert breakdown_table(group_runs(find_runs([six_runs]))).empty
    make_grid(make_run, skip=6)
    assert accuracy_maps(group_runs(find_runs([six_runs]))) is None  # most cells are empty
