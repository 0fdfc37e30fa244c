"""A report says what was measured, beside what nobody needs to listen for, whole or not at all."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryvision.datasets.labelled import Dataset, LabelledClip
from cryvision.errors import CryvisionError
from cryvision.evaluation import figures
from cryvision.evaluation import metrics as evaluation
from cryvision.evaluation.report import check_folder, reliability_bins, write_report
from cryvision.evaluation.skill import OutOfFoldPredictions

LABELS = ("hungry", "tired")
FILES = {"report.json", "report.md", "confusion.png", "reliability.png", "learning_curves.png"}
CURVES = {
    "ensemble": {"loss": [0.9, 0.8, 0.7], "val_loss": [0.9, 0.7, 0.8]},
    "branch_mfcc": {
        "autoencoder loss": [1.0, 0.5],
        "classifier loss": [0.7, 0.6],
        "classifier val_loss": [0.7, 0.65],
    },
}


def measured(
    unit: str, rows: int = 1, seed: int = 0, labels: tuple[str, ...] = LABELS
) -> OutOfFoldPredictions:
    """Six babies with three clips each, three babies a fold; ``rows`` samples a clip."""
    rng = np.random.default_rng(seed)
    n_classes = len(labels)
    truth = np.repeat(np.tile([0, 0, 1], 6), rows)
    stated = rng.dirichlet(np.full(n_classes, 2.0), len(truth))
    subjects = np.repeat([f"baby {number}" for number in range(6)], 3 * rows)
    prior = np.zeros((len(truth), n_classes))
    prior[:, :2] = [2 / 3, 1 / 3]
    return OutOfFoldPredictions(unit, truth, stated, prior, subjects, np.repeat([0, 1], 9 * rows))


def entry(
    found: OutOfFoldPredictions, labels: tuple[str, ...] = LABELS, subjects: str = "pattern"
) -> Any:
    """A skill entry as training makes it, its figures made up."""
    return {
        "part": "ensemble",
        "modalities": ["sound"],
        "unit": found.unit,
        "protocol": "grouped 2-fold",
        "subjects": subjects,
        "figures": {
            "balanced_accuracy": {"value": 0.53, "interval": [0.41, 0.64]},
            "accuracy": {"value": 0.611, "interval": [0.502, np.float64(0.7)]},
            "log_loss": {"value": 0.71},
        },
        "chance": 1 / len(labels),
        "prior": {**dict.fromkeys(labels, 1 / len(labels)), "log_loss": 0.637},
    }


@pytest.fixture(autouse=True)
def _no_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than all the rest; few tests look at a picture."""
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr(figures, "write_png", lambda figure, path: path.write_bytes(b"drawn"))


@pytest.fixture
def pictures() -> None:
    """Ask for pictures that are drawn."""


def both_sides(**counts: int) -> dict[str, int]:
    return {"subjects": 0, "same_files": 0, "duplicates": 0, "near_duplicates": 0, **counts}


def report(
    folder: Path, clips: OutOfFoldPredictions | None = None, **changes: Any
) -> dict[str, Any]:
    """Write a report, and read its JSON."""
    labels = changes.pop("labels", LABELS)
    clips = clips or measured("clip", labels=labels)
    windows = measured("window", rows=4, seed=1, labels=labels)
    subjects = changes.pop("subjects", "pattern")
    facts: dict[str, Any] = {
        "skill": [entry(found, labels, subjects) for found in (clips, windows)],
        "curves": CURVES,
        "data": Dataset((LabelledClip(Path("a.wav"), "hungry", "baby 0", "pattern"),), ()),
        "shared": both_sides(),
    }
    write_report(folder, [clips, windows], labels, **{**facts, **changes})
    content = (folder / "report.json").read_text(encoding="utf-8")
    return json.loads(content, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report as it is without any changes, its pictures drawn."""
    folder = tmp_path_factory.mktemp("usual") / "report"
    report(folder)
    return folder


def test_figures_stand_beside_what_needs_no_listening(usual: Path) -> None:
    record = json.loads((usual / "report.json").read_text(encoding="utf-8"))
    assert {path.name for path in usual.iterdir()} == FILES
    clip = record["units"]["clip"]
    assert clip["figures"]["accuracy"] == {"value": 0.611, "interval": [0.502, 0.7]}
    assert clip["majority"]["accuracy"] == pytest.approx(2 / 3)
    assert (clip["chance"], clip["prior"]["log_loss"]) == (0.5, 0.637)
    assert record["protocol"] == "grouped 2-fold"
    text = (usual / "report.md").read_text(encoding="utf-8")
    by_clip = text.split("## By ")[1]
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in by_clip.splitlines()]
    assert ["balanced accuracy", "0.530", "0.410 to 0.640", "0.500 (chance)"] in rows
    assert ["accuracy", "0.611", "0.502 to 0.700", "0.667 (majority)"] in rows
    assert ["log-loss", "0.710", "", "0.637 (prior)"] in rows


def test_figures_by_class_are_those_of_scikit_learn(tmp_path: Path) -> None:
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    windows = measured("window", rows=4, seed=1)
    predicted = windows.probabilities.argmax(axis=1)
    found = report(tmp_path / "report")["units"]["window"]
    expected = precision_recall_fscore_support(windows.labels, predicted)
    for index, label in enumerate(LABELS):
        by_class = found["per_class"][label]
        ours = [by_class[name] for name in ("precision", "recall", "f1", "support")]
        assert ours == pytest.approx([column[index] for column in expected])
    assert found["confusion"]["counts"] == confusion_matrix(windows.labels, predicted).tolist()


def test_a_class_that_is_never_named_or_never_there_is_reported_with_zeros(tmp_path: Path) -> None:
    labels = ("hungry", "tired", "burping")
    found = report(tmp_path / "report", labels=labels)["units"]["clip"]
    assert found["per_class"]["burping"]["support"] == 0
    assert found["per_class"]["burping"]["recall"] == 0
    assert found["confusion"]["counts"][2] == [0, 0, 0]


def test_subjects_are_counted_and_so_are_those_on_both_sides(tmp_path: Path, usual: Path) -> None:
    clips = measured("clip")
    record = json.loads((usual / "report.json").read_text(encoding="utf-8"))
    assert record["subjects"] == {"n": 6, "known_from": "pattern"}
    assert record["on_both_sides"] == both_sides()
    right = clips.probabilities.argmax(axis=1) == clips.labels
    first = record["per_subject"]["baby 0"]
    assert first["clip"] == {
        "n": 3,
        "right": int(right[:3].sum()),
        "labels": {"hungry": 2, "tired": 1},
    }
    assert first["window"]["n"] == 12
    shared = both_sides(subjects=1, same_files=4, near_duplicates=2)
    warning = "the same clip is on both sides"
    record = report(tmp_path / "b", clips, shared=shared, warning=warning)
    assert record["on_both_sides"] == shared
    text = (tmp_path / "b" / "report.md").read_text()
    assert "No measure of skill" in text
    assert warning in text
    assert "On both sides: 1 subject and, of the test clips, the files of 4" in text
    assert "0 duplicates and 2 near-duplicates" in text


def test_subjects_that_are_guessed_are_said_to_be(tmp_path: Path, usual: Path) -> None:
    report(tmp_path / "guessed", subjects="file")
    texts = [(folder / "report.md").read_text() for folder in (usual, tmp_path / "guessed")]
    assert ["each file counts as one" in text for text in texts] == [False, True]


def test_what_is_odd_about_the_data_is_passed_on(tmp_path: Path) -> None:
    clip = LabelledClip(Path("a.wav"), "hungry", "baby 0", "pattern")
    problems = ("x.wav: a clip must not be empty", "line\nbreak | and bar")
    record = report(tmp_path / "report", data=Dataset((clip,), problems))
    assert record["problems"] == list(problems)
    text = (tmp_path / "report" / "report.md").read_text()
    assert "- x.wav: a clip must not be empty\n- line break \\| and bar\n" in text


@pytest.mark.usefixtures("pictures")
def test_any_names_of_classes_can_be_shown(tmp_path: Path) -> None:
    labels = ("a|b näh", "$x_{\n" + "x" * 200)
    record = report(tmp_path / "report", labels=labels)
    assert record["labels"] == list(labels)
    text = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    tables = [line for line in text.splitlines() if line.startswith("|")]
    widths = {line.replace("\\|", "").count("|") for line in tables}
    assert widths <= {4, 5, 6}  # of three, four or five columns: no name makes one more


def test_a_report_replaces_a_report_and_nothing_else(tmp_path: Path, usual: Path) -> None:
    folder = tmp_path / "report"
    shutil.copytree(usual, folder)
    (folder / "learning_curves.png").unlink()
    report(folder)
    assert {path.name for path in folder.iterdir()} == FILES
    (folder / "thesis.md").write_text("mine")
    with pytest.raises(CryvisionError, match=r"only an older report is replaced.*'thesis.md'"):
        report(folder)
    assert (folder / "thesis.md").read_text() == "mine"
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(CryvisionError, match="a report is a folder"):
        check_folder(file)


def test_a_full_disk_leaves_the_older_report_as_it_was(
    tmp_path: Path, usual: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "report"
    shutil.copytree(usual, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(*given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(figures, "write_png", full)
    with pytest.raises(CryvisionError, match=r"report: cannot be written: No space left"):
        report(folder, measured("clip", seed=5))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.usefixtures("pictures")
def test_the_same_measurement_gives_the_same_report(tmp_path: Path, usual: Path) -> None:
    report(tmp_path / "report")
    for path in usual.iterdir():
        if path.suffix == ".png":
            assert path.read_bytes().startswith(b"\x89PNG")
        assert path.read_bytes() == (tmp_path / "report" / path.name).read_bytes()


def test_reliability_bins_hold_what_was_stated_and_how_often_it_was_so() -> None:
    stated = np.array([0.05, 0.55, 0.58, 0.52, 1.0])
    true = np.array([False, True, False, True, True])
    bins = reliability_bins(stated, true, np.array(["a", "b", "c", "c", "a"]))
    assert [(b["from"], b["n"]) for b in bins] == [(0.0, 1), (0.5, 3), (0.9, 1)]
    middle = bins[1]
    assert (middle["stated"], middle["true"]) == pytest.approx((0.55, 2 / 3))
    assert middle["interval"][0] < 2 / 3 <= middle["interval"][1]
    assert "interval" not in bins[0]  # one subject alone says nothing of others


def test_the_gaps_of_the_bins_make_up_the_calibration_error() -> None:
    rng = np.random.default_rng(0)
    stated = rng.uniform(size=500)
    true = rng.uniform(size=500) < stated**2
    bins = reliability_bins(stated, true, np.arange(500) % 20)
    gaps = sum(b["n"] * abs(b["stated"] - b["true"]) for b in bins) / 500
    assert gaps == pytest.approx(evaluation.expected_calibration_error(true.astype(int), stated))


def test_learning_curves_have_an_axis_a_model_and_mark_the_epoch_that_was_kept() -> None:
    axes = figures.draw_learning_curves(CURVES).axes
    titles = [ax.get_title() for ax in axes]
    assert titles == ["ensemble", "branch_mfcc: autoencoder", "branch_mfcc: classifier"]
    lines = {line.get_label(): line for line in axes[0].lines}
    assert lines["training"].get_ydata().tolist() == [0.9, 0.8, 0.7]
    assert lines["validation"].get_ydata().tolist() == [0.9, 0.7, 0.8]
    assert lines["kept"].get_xdata() == [2, 2]
    assert [line.get_label() for line in axes[1].lines] == ["training"]


def test_confusion_matrices_show_counts_and_the_shares_of_rows() -> None:
    panel = {"labels": LABELS, "answers": (*LABELS[:1], "no cry"), "counts": [[3, 1], [0, 0]]}
    (ax,) = figures.draw_confusion({"by clip": panel}).axes
    assert ax.get_title() == "by clip (n = 4)"
    assert [text.get_text() for text in ax.texts] == ["3\n75%", "1\n25%", "0\n0%", "0\n0%"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["hungry", "no cry"]


@pytest.mark.usefixtures("pictures")
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("label", ["日本 \U0001f37c", "caf\udce9", "x\x1b[31m", "$\\frac{$"])
def test_a_matrix_can_be_drawn_whatever_its_classes_are_called(label: str) -> None:
    panel = {"counts": [[3, 1], [0, 2]], "labels": [label, "b"], "answers": [label, "b"]}
    assert figures.png_bytes(figures.draw_confusion({"by clip": panel}))
