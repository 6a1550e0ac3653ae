"""The controller keeps the history and moves all tiles together."""

from __future__ import annotations

from runner.training.plateau import Aggressive, EveryN
from runner.training.warm_start import WarmStart


class Staged:
    """The part of a tile that the controller sees; real tiles are in test_job."""

    def __init__(self, n: int) -> None:
        self._stages = [*range(n - 1, 0, -1), None]
        self.switches = 0

    @property
    def stage(self):
        return self._stages[self.switches]

    def advance(self):
        self.switches += 1
        return self.stage


def test_all_tiles_go_to_the_same_stage():
    tiles = [Staged(4), Staged(4)]
    warm = WarmStart(tiles, EveryN(1))
    seen = []
    for _ in range(5):
        seen.append((warm.stage, warm.switches))
        warm.end_of_epoch(1.0)
    assert seen == [(3, 0), (2, 1), (1, 2), (None, 3), (None, 3)]
    assert [tile.stage for tile in tiles] == [None, None]


def test_history_is_cleared_at_a_switch():
    warm = WarmStart([Staged(6)], Aggressive(0.0))
    # The rise from 1 to 2 switches; 3 is then the first loss of the new stage, not a rise.
    assert [warm.end_of_epoch(loss) for loss in (1.0, 2.0, 3.0, 4.0)] == [False, True, False, True]


def test_history_survives_a_round_trip():
    a, b = WarmStart([Staged(6)], EveryN(3)), WarmStart([Staged(6)], EveryN(3))
    a.end_of_epoch(1.0)
    a.end_of_epoch(2.0)
    b.set_state(a.state())
    assert b.end_of_epoch(3.0)


def test_without_tiles_nothing_happens():
    warm = WarmStart([], EveryN(1))
    assert not warm.end_of_epoch(1.0)
    assert (warm.stage, warm.switches) == (None, 0)
