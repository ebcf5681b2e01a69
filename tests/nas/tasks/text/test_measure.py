"""Which cells of a search on text are trained for a comparison, and when the search stood for them."""

import json
from pathlib import Path
from typing import Any

from nas.running import runs
from nas.tasks.task import Comparison, Experiment
from nas.tasks.text import measure
from nas.tasks.text.network import Settings

COMPARISON = Comparison(Experiment(Settings(), task="ptb"), ("advantage",))


def folder(path: Path, result: dict[str, Any]) -> Path:
    records = [{"step": n, "seconds": float(n), "architecture": f"cell {n}"} for n in (1, 2, 3, 4)]
    (path / runs.METRICS).write_text("".join(json.dumps(record) + "\n" for record in records))
    (path / runs.RESULT).write_text(json.dumps({"seed": 7, "architecture": "cell 4", **result}))
    return path


def test_by_half_of_the_equal_time_by_all_of_it_and_at_the_end(tmp_path: Path) -> None:
    moments = measure._stood_for(COMPARISON, folder(tmp_path, {}), 2.5)
    assert moments == [(1.0, ("cell 1", 7)), (2.0, ("cell 2", 7)), (4.0, ("cell 4", 7))]


def test_what_is_the_same_moment_is_trained_once(tmp_path: Path) -> None:
    assert measure._stood_for(COMPARISON, folder(tmp_path, {}), 9.0) == [(4.0, ("cell 4", 7))]


def test_after_a_ranking_what_it_chose(tmp_path: Path) -> None:
    ranked = folder(tmp_path, {"architecture": "cell 9", "seconds": 6.0, "ranking": []})
    assert measure._stood_for(COMPARISON, ranked, 2.5)[-2:] == [(4.0, ("cell 4", 7)), (6.0, ("cell 9", 7))]
