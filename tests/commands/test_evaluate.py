"""``evaluate`` says how a bundle does on labelled recordings: text, JSON, files, exit status."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lab
import numpy as np
import phones
import pytest
from bundles import BUNDLE_V1

from cryvision import cli
from cryvision.bundle import Bundle
from cryvision.commands import evaluate as command
from cryvision.inference.clip import classify
from cryvision.outputs import files

Command = Callable[..., Any]


@pytest.fixture
def evaluate(run: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return ``evaluate(*arguments) -> Done``."""
    monkeypatch.setattr(cli, "GROUPS", {"use": (command,)})
    return lambda *arguments: run("evaluate", *arguments)


@pytest.fixture
def annotated(bout_wav: Path, tmp_path: Path) -> Path:
    """A folder with two clips of which the small bundle hears one bout, marked as it is."""
    for subject in ("ada", "ben"):
        clip = tmp_path / "lab" / subject / "bout.wav"
        clip.parent.mkdir(parents=True)
        shutil.copy(bout_wav, clip)
        lab.write_labels(clip, "csv", [(1.0, 2.0)])
    return tmp_path / "lab"


def test_the_text_comes_first(evaluate: Command, annotated: Path) -> None:
    done = evaluate(BUNDLE_V1, annotated, "--subject-pattern", lab.SUBJECT_PATTERN)
    assert done.code == 0
    assert done.out.startswith(f"# tiny on {annotated}\n")
    assert "## Agreement on crying: 2 clips of 2 subjects, 0.1 minutes" in done.out
    assert "| windows: kappa" in done.out
    assert "It was trained on: none." in done.out


def test_json_is_one_object_and_the_files_are_where_they_were_wanted(
    evaluate: Command, annotated: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report"
    done = evaluate(BUNDLE_V1, annotated, "--json", "--out", out)
    assert done.code == 0
    (record,) = done.objects
    assert record["agreement"]["n_clips"] == 2
    assert json.loads((out / "report.json").read_text()) == record
    assert (out / "confusion.png").read_bytes().startswith(b"\x89PNG")
    assert f"wrote {out}" in done.err


def test_clips_that_fail_give_exit_status_3_and_only_failures_1(
    evaluate: Command, annotated: Path
) -> None:
    broken = annotated / "ada" / "bout.wav"
    broken.write_text("this is no sound")
    done = evaluate(BUNDLE_V1, annotated)
    assert done.code == 3
    assert f"- {broken}" in done.out
    assert str(broken) in done.err
    (annotated / "ben" / "bout.wav").write_text("this is no sound")
    done = evaluate(BUNDLE_V1, annotated)
    assert (done.code, done.out) == (1, "")
    assert "nothing could be evaluated" in done.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--subject-pattern", "nobody"), 2, "must have a group"),
        (("--runtime", "torch"), 2, "invalid choice"),
        (("--out", BUNDLE_V1), 1, "only an older report is replaced"),
    ],
)
def test_wrong_usage_is_said_before_any_clip_is_read(
    evaluate: Command, annotated: Path, options: tuple[str, ...], code: int, words: str
) -> None:
    done = evaluate(BUNDLE_V1, annotated, *options)
    assert (done.code, done.out) == (code, "")
    assert words in done.err
    assert "clips to classify" not in done.err


def test_what_is_not_there_is_one_line(evaluate: Command, annotated: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    for arguments in ((nowhere, annotated), (BUNDLE_V1, nowhere)):
        done = evaluate(*arguments)
        assert (done.code, done.out) == (1, "")
        (line,) = done.err.splitlines()
        assert str(nowhere) in line


def test_default_is_the_bundle_that_ships(
    evaluate: Command, annotated: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    load = Bundle.load
    asked: list[Any] = []

    def loaded(cls: type[Bundle], path: Any = None) -> Bundle:
        asked.append(path)
        return load(BUNDLE_V1)

    monkeypatch.setattr(Bundle, "load", classmethod(loaded))
    monkeypatch.chdir(tmp_path)
    assert evaluate("default", annotated).code == 0
    (tmp_path / "default").mkdir()
    assert evaluate("default", annotated).code == 0
    assert asked == [None, "default"]


def test_names_cannot_steer_the_terminal(
    evaluate: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = phones.knowing_bundle(monkeypatch, name="ring\a")
    monkeypatch.setattr(Bundle, "load", classmethod(lambda cls, path=None: bundle))
    corpus = phones.write_corpus(tmp_path / "corpus", n_phones=1)
    odd = corpus / "\x1b[31mred" / phones.clip_name(0, 9, "hungry")
    lab.write_wav(odd, np.zeros(1600, np.float32))
    done = evaluate("any", corpus)
    assert done.code == 0
    assert "x1b[31mred (1 clip)" in done.out
    assert all(char.isprintable() for char in done.out.replace("\n", ""))


def test_a_stop_is_exit_status_130_and_leaves_no_files(
    evaluate: Command, annotated: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def stopped(*given: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cryvision.evaluation.evaluate.StreamClassifier", stopped)
    done = evaluate(BUNDLE_V1, annotated, "--out", tmp_path / "report")
    assert (done.code, done.out) == (130, "")
    assert not (tmp_path / "report").exists()


def test_labels_are_told_before_any_clip_is_classified(
    evaluate: Command, annotated: Path, bout_wav: Path
) -> None:
    shutil.copy(bout_wav, annotated / "ben" / "more.wav")
    text = "1\t2\tBaby cry\n2.5\t2.8\tcry\n5\t6\tcry\n2.9\t4\tcry\n"
    (annotated / "ben" / "more.txt").write_text(text)
    done = evaluate(BUNDLE_V1, annotated, "--json")
    lines = [line.removeprefix("cryvision: ") for line in done.err.splitlines()]
    assert lines[:2] == [
        "labels that count as crying: cry (5)",
        "labels that do not count as crying: Baby cry (1)",
    ]
    assert "--cry-label 'Baby cry' would count it" in lines[2]
    assert lines[3] == "3 clips to classify"
    (record,) = done.objects
    assert any("'Baby cry' (once)" in warning for warning in record["warnings"])
    # Behind the end, nobody can hear anything.
    assert record["agreement"]["annotated_seconds"] == pytest.approx(2 + 0.3 + 0.1)
    assert sum("labels must lie inside the clip" in line for line in record["problems"]) == 2
    done = evaluate(BUNDLE_V1, annotated, "--json", "--cry-label", "baby cry")
    assert done.objects[0]["agreement"]["annotated_seconds"] == pytest.approx(3 + 0.3 + 0.1)


@pytest.fixture
def sorted_clips(bout_wav: Path, tone_wav: Path, tmp_path: Path) -> Path:
    """Clips in folders ``cry`` and ``no cry``; one of the latter has a bout all the same."""
    folder = tmp_path / "sorted"
    silence = np.random.default_rng(0).normal(0, 0.02, 3 * lab.RATE_HZ).astype(np.float32)
    for subject in ("ada", "ben", "cleo"):
        (folder / "cry").mkdir(parents=True, exist_ok=True)
        shutil.copy(bout_wav, folder / "cry" / f"{subject}-1.wav")
        lab.write_wav(folder / "no cry" / f"{subject}-2.wav", silence)
    shutil.copy(bout_wav, folder / "no cry" / "cleo-3.wav")
    return folder


def test_clips_too_quiet_to_be_scored_are_told_from_those_without_sound(
    evaluate: Command, sorted_clips: Path
) -> None:
    lab.write_wav(sorted_clips / "cry" / "cleo-4.wav", np.zeros(3 * lab.RATE_HZ))
    done = evaluate(BUNDLE_V1, sorted_clips, "--subject-pattern", r"/(\w+)-")
    assert done.code == 0
    assert "Crying or not, by clip: 7 of 3 subjects" in done.out
    assert "Of 1 more clip no sound was scored." in done.out


@pytest.mark.parametrize("renamed", ["no cry", "not_crying", "laugh"])
def test_folders_of_crying_and_none_measure_the_detector(
    evaluate: Command, sorted_clips: Path, renamed: str
) -> None:
    (sorted_clips / "no cry").rename(sorted_clips / renamed)
    pattern = ("--subject-pattern", r"/(\w+)-")
    done = evaluate(BUNDLE_V1, sorted_clips, *pattern, "--json")
    assert done.code == 0
    assert "cryvision: classes of clips that count as crying: cry (3)" in done.err
    assert f"cryvision: classes of clips that do not count as crying: {renamed} (4)" in done.err
    (record,) = done.objects
    found = record["detection"]
    assert (found["n"], found["n_subjects"], found["n_unheard"]) == (7, 3, 0)
    assert found["confusion"]["counts"] == [[3, 1], [0, 3]]
    assert found["figures"]["sensitivity"]["value"] == 1
    assert found["figures"]["specificity"]["value"] == 0.75
    low, high = found["figures"]["specificity"]["interval"]
    assert low < 0.75 < high
    assert record["subjects"] == {"n": 3, "known_from": "pattern"}


def test_the_shipped_bundle_is_measured_on_folders_too(
    evaluate: Command, sorted_clips: Path, tmp_path: Path
) -> None:
    done = evaluate("default", sorted_clips, "--out", tmp_path / "report")
    assert done.code == 0
    assert "## Crying or not, by clip: " in done.out
    assert "| crying is detected where there is some" in done.out
    assert (tmp_path / "report" / "confusion.png").exists()


@pytest.mark.parametrize("bundle", [BUNDLE_V1, "default"])
def test_labels_that_cannot_be_used_are_told_where_there_is_nothing_else(
    evaluate: Command, annotated: Path, bundle: str | Path
) -> None:
    (annotated / "notes.txt").write_text("about the recordings\n")
    (annotated / "ada" / "bout.csv").unlink()  # a clip without labels is no reason
    labels = annotated / "ben" / "bout.csv"
    labels.write_text("start_s,end_s\n2,1\n")
    done = evaluate(bundle, annotated)
    (line,) = done.err.splitlines()
    assert (done.code, done.out) == (1, "")
    assert f"{labels}: line 2: the end must not be before the start; got 2 to 1" in line
    labels.unlink()
    files.write(classify(labels.with_suffix(".wav"), BUNDLE_V1), labels.parent, ["eaf", "textgrid"])
    done = evaluate(bundle, annotated)
    (line,) = done.err.splitlines()
    assert "a clip must have one file of labels; got bout.TextGrid, bout.eaf" in line


def test_corrections_made_in_elan_are_measured(evaluate: Command, annotated: Path) -> None:
    for labels in annotated.rglob("*.csv"):
        labels.unlink()
    for subject in ("ada", "ben"):
        clip = annotated / subject / "bout.wav"
        files.write(classify(clip, BUNDLE_V1), clip.parent, ["eaf"])
    (record,) = evaluate(BUNDLE_V1, annotated, "--json").objects
    assert record["agreement"]["figures"]["event_f1"]["value"] == 1
    path = annotated / "ada" / "bout.eaf"
    value = path.read_text().partition('TIME_VALUE="')[2].partition('"')[0]
    path.write_text(path.read_text().replace(f'TIME_VALUE="{value}"', 'TIME_VALUE="100"'))
    (record,) = evaluate(BUNDLE_V1, annotated, "--json").objects
    assert record["agreement"]["figures"]["event_f1"]["value"] == pytest.approx(0.5)
