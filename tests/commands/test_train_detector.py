"""``train-detector`` writes a bundle that ``classify`` can use, or says in a line why not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import lab
import pytest
from bundles import BUNDLE_V1
from two_parts import two_part_bundle

from cryvision.bundle import Bundle
from cryvision.detector_training import train as detection
from cryvision.errors import CryvisionError


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lab.write_lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture
def train(
    run: Any,
    no_figures: None,
    monkeypatch: pytest.MonkeyPatch,
    recordings: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    """Return ``train(*arguments) -> Done``, on the recordings, with nothing really fitted.

    The two-part toy stands in for the bundle that ships.
    """
    read, base = Bundle.load, two_part_bundle(tmp_path_factory)

    def load(path: Any = None) -> Bundle:
        return base if path is None else read(path)

    monkeypatch.setattr(detection, "SYNTHETIC_PER_FAMILY", 1)
    monkeypatch.setattr(detection, "fit_frame_network", lambda *given: lab.peak_edges())
    monkeypatch.setattr(detection, "altered_copies", lambda sound, rng: [sound])
    monkeypatch.setattr(detection.Bundle, "load", load)
    pattern = ("--subject-pattern", lab.SUBJECT_PATTERN)
    return lambda *arguments: run("train-detector", recordings, *pattern, *arguments)


def log_lines(err: str) -> list[str]:
    """Lines of the log; what TensorFlow writes of itself is not ours."""
    prefix = "cryvision: "
    return [line.removeprefix(prefix) for line in err.splitlines() if line.startswith(prefix)]


def test_the_bundle_is_described_on_stdout_and_the_log_goes_to_stderr(
    train: Any, run: Any, tmp_path: Path
) -> None:
    out = tmp_path / "cries"
    done = train("--out", out, "--folds", "2", "--seed", "4")
    assert done.code == 0
    bundle = Bundle.load(out)
    assert bundle.seed == 4
    assert done.out.startswith(f"bundle cries, sha256 {bundle.sha256[:12]}\n")
    assert "grouped 2-fold, subjects known from file names" in done.out.replace(
        "\n" + 12 * " ", " "
    )
    log = log_lines(done.err)
    assert [line for line in log if line.startswith("reading")][-1].startswith("reading 8 of 8: ")
    *folds, tagger, training, written = log[-5:]
    assert folds == ["fold 1 of 2", "fold 2 of 2"]
    assert tagger.startswith("tagger: kept as it is, for a head of its own needs 50 recordings")
    assert "got 4; veto: keeps 100% of the labelled event time" in tagger
    assert (training, written) == ("training on all recordings", f"wrote {out}")
    assert tagger.split(";")[0] in " ".join(done.out.split())
    clip = lab.write_wav(tmp_path / "new.wav", lab.crying(99)[0])
    seconds = run("classify", "--bundle", out, "--json", clip)
    assert seconds.code == 0
    assert len(seconds.objects[0]["events"]) == 2


def test_what_is_left_out_is_listed_and_the_exit_status_says_so(
    run: Any, train: Any, recordings: Path, tmp_path: Path
) -> None:
    manifest = tmp_path / "manifest.csv"
    rows = [
        f"{clip},{labels},{clip.parent.name}"
        for clip in sorted(recordings.glob("*/*.wav"))
        for labels in clip.parent.glob(f"{clip.stem}.*")
        if labels != clip
    ]
    manifest.write_text("\n".join(["path,labels,subject", *rows, "gone.wav,gone.csv,eve"]) + "\n")
    done = run("train-detector", manifest, "--out", tmp_path / "cries.zip", "--false-alarms", "600")
    assert done.code == 3
    (line,) = [line for line in log_lines(done.err) if line.startswith("left out: ")]
    assert "line 10: gone.wav" in line
    assert Bundle.load(tmp_path / "cries.zip").skill[0]["subjects"] == "manifest"


def test_a_place_that_is_taken_is_refused_at_once_and_left_as_it_was(
    train: Any, tmp_path: Path
) -> None:
    taken = tmp_path / "notes"
    taken.write_text("mine")
    for option in ((), ("--overwrite",)):
        done = train("--out", taken, *option)
        assert (done.code, done.out) == (1, "")
        assert len(log_lines(done.err)) == 1
        assert str(taken) in done.err
    assert taken.read_text() == "mine"


def test_an_older_bundle_is_replaced_only_on_demand(train: Any, tmp_path: Path) -> None:
    out = tmp_path / "cries"
    shutil.copytree(BUNDLE_V1, out)
    done = train("--out", out)
    assert (done.code, log_lines(done.err)) == (1, [f"{out}: exists already; nothing was written"])
    assert Bundle.load(out).name == "tiny"
    assert train("--out", out, "--folds", "2", "--overwrite").code == 0
    assert Bundle.load(out).name == "cries"


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--folds", "1"), 2, "n_folds must be at least 2; got 1"),
        (("--folds", "two"), 2, "invalid int value: 'two'"),
        (("--seed", "-1"), 2, "seed must be"),
        (("--false-alarms", "-2"), 2, "false alarms per hour must be"),
        (("--subject-pattern", "nobody"), 2, "must have a group"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_status_2(
    train: Any, tmp_path: Path, options: tuple[str, ...], code: int, words: str
) -> None:
    done = train("--out", tmp_path / "out", *options)
    assert (done.code, done.out) == (code, "")
    assert words in done.err
    assert "reading" not in done.err
    assert not (tmp_path / "out").exists()


def test_a_source_without_anything_to_train_on_fails(run: Any, tmp_path: Path) -> None:
    done = run("train-detector", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert (done.code, done.out) == (1, "")
    assert log_lines(done.err) == [
        f"the source must be a folder or a manifest; nothing is at {tmp_path / 'nowhere'}"
    ]
    (tmp_path / "empty").mkdir()
    lab.write_wav(tmp_path / "empty" / "clip.wav", lab.crying(0)[0])
    done = run("train-detector", tmp_path / "empty", "--out", tmp_path / "out")
    assert (done.code, done.out) == (1, "")
    problem, error = log_lines(done.err)
    assert problem.startswith("left out: ")
    assert "clip.wav" in problem
    assert error.startswith("no annotated recording could be read")


def test_the_place_of_the_bundle_must_be_named(run: Any, tmp_path: Path) -> None:
    done = run("train-detector", tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "--out" in done.err


def test_labels_are_told_before_training_and_more_may_mean_crying(
    run: Any, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds: list[float] = []

    def enough(read: Any, n_folds: int, seed: int) -> None:
        seconds.append(sum(float((recording.labels == 1).sum()) for recording in read))
        raise CryvisionError("enough was read")

    monkeypatch.setattr(detection, "SYNTHETIC_PER_FAMILY", 1)
    monkeypatch.setattr(detection, "subject_folds", enough)
    monkeypatch.setattr(detection, "altered_copies", lambda sound, rng: [sound])
    copy = Path(shutil.copytree(recordings, tmp_path / "lab"))
    renamed = 0
    for path in copy.rglob("*.txt"):
        text = path.read_text().replace("Cry", "baby cry") + "90\t91\tbaby cry\n"
        renamed += text.count("baby cry")
        path.write_text(text)
    options = (copy, "--out", tmp_path / "out", "--subject-pattern", lab.SUBJECT_PATTERN)
    log = log_lines(run("train-detector", *options).err)
    assert log[0].startswith("labels that count as crying: ")
    assert "baby cry" not in log[0]
    assert f"baby cry ({renamed})" in log[1]
    assert "--cry-label 'baby cry' would count it" in log[2]
    assert any("left out: baby cry from 90.00 to 91.00 s" in line for line in log)
    log = log_lines(run("train-detector", *options, "--cry-label", "baby cry").err)
    assert f"baby cry ({renamed})" in log[0]
    without, counted = seconds
    assert counted > 1.2 * without
