"""Learning curves can be watched in TensorBoard while the branches are fitted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryvision.errors import CryvisionError
from cryvision.training.branches import Rows, head_branch
from cryvision.training.tensorboard import CurveLog

FLOAT32 = 1e-6


def read(run: Path) -> dict[str, list[float]]:
    """What TensorBoard finds in a run: scalars by name, in the order of their steps."""
    import tensorflow as tf

    found: dict[str, list[float]] = {}
    for path in sorted(run.iterdir()):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                curve = found.setdefault(value.tag, [])
                assert event.step == len(curve)
                curve.append(float(tf.make_ndarray(value.tensor)))
    return found


def test_each_fit_is_a_run_named_after_the_line_of_progress(tmp_path: Path) -> None:
    log = CurveLog(tmp_path / "curves")
    said: list[str] = []
    say = log.following(said.append)
    rng = np.random.default_rng(0)
    labels = np.arange(24) % 2
    inputs = rng.normal(labels[:, None], 0.1, (24, 3)).astype(np.float32)
    rows = Rows(inputs, labels, np.ones(24), np.array([f"s{i // 2}" for i in range(24)]))
    lines = ["fold 2: branch_face, inner fold 1 of 3", "branch_face"]
    curves = {}
    for line in lines:
        say(line)
        _, curves[line] = head_branch("face", log.write).fit(rows, 2, 0)
    assert said == lines
    assert {path.name for path in (tmp_path / "curves").iterdir()} == {
        "fold-2-branch_face-inner-fold-1-of-3",
        "branch_face",
    }
    found = read(tmp_path / "curves" / "branch_face")
    assert set(found) == {"loss", "val_loss"}
    for name, values in curves["branch_face"].items():
        assert found[name] == pytest.approx(values, abs=FLOAT32)


def test_a_line_of_progress_without_a_fit_is_no_run(tmp_path: Path) -> None:
    CurveLog(tmp_path / "curves").following(lambda line: None)("features of clip 1 of 9")
    assert list((tmp_path / "curves").iterdir()) == []


def test_a_place_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(CryvisionError, match="notes: learning curves go into a folder"):
        CurveLog(tmp_path / "notes")
