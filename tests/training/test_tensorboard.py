"""Learning curves can be watched in TensorBoard while the branches are fitted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from logged import logged

from cryvision.errors import CryvisionError
from cryvision.training.branches import Rows, head_branch
from cryvision.training.tensorboard import CurveLog, FitLog

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


def test_each_fit_is_a_run_and_a_line_of_the_log(tmp_path: Path) -> None:
    curve_log = CurveLog(tmp_path / "curves")
    rng = np.random.default_rng(0)
    labels = np.arange(24) % 2
    inputs = rng.normal(labels[:, None], 0.1, (24, 3)).astype(np.float32)
    rows = Rows(inputs, labels, np.ones(24), np.array([f"s{i // 2}" for i in range(24)]))
    branch = head_branch("face", curve_log.write)
    with logged() as lines:
        FitLog(2, curve_log).begin(branch.name, 1, 3)
        branch.fit(rows, 2, 0)
        FitLog(None, curve_log).begin(branch.name)
        _, curves = branch.fit(rows, 2, 0)
    assert lines == ["fold 2: branch_face, inner fold 1 of 3", "branch_face"]
    assert {path.name for path in (tmp_path / "curves").iterdir()} == {
        "fold-2-branch_face-inner-fold-1-of-3",
        "branch_face",
    }
    found = read(tmp_path / "curves" / "branch_face")
    assert set(found) == {"loss", "val_loss"}
    for name, values in curves.items():
        assert found[name] == pytest.approx(values, abs=FLOAT32)


def test_a_fit_without_an_epoch_is_no_run(tmp_path: Path) -> None:
    FitLog(curves=CurveLog(tmp_path / "curves")).begin("branch_face")
    assert list((tmp_path / "curves").iterdir()) == []


def test_a_place_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(CryvisionError, match="notes: learning curves go into a folder"):
        CurveLog(tmp_path / "notes")
