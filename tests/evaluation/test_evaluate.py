"""Evaluation says what a bundle does on labelled recordings: every planted error is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lab
import numpy as np
import phones
import pytest
from bundles import BUNDLE_V1
from logged import logged

from cryvision.bundle import Bundle
from cryvision.bundle.saving import own_source, source_name
from cryvision.errors import AnnotationError, CryvisionError
from cryvision.evaluation.detection_metrics import ComparedClip, agreement
from cryvision.evaluation.evaluate import evaluate
from cryvision.evaluation.markdown import evaluation_text
from cryvision.inference.class_stream import ReasonStream
from cryvision.inference.clip import classify

DEMO = Path(__file__).parents[2] / "examples" / "demo.mp4"

N_PHONES = 3
WINDOWS_PER_CLIP = 4
"""Of 3.7 s: windows of 2 s end at 2, 2.5, 3 and 3.5 s."""

STATED = 0.9
"""What the bundle without models states of its answer; see ``phones.TellsPitch``."""

FLOAT32 = 1e-6


@pytest.fixture(scope="module")
def sung(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return phones.write_corpus(tmp_path_factory.mktemp("sung"), N_PHONES)


@pytest.fixture
def corpus(sung: Path, tmp_path: Path) -> Path:
    """A copy that a test may change; clips of three phones, each hungry once and tired once."""
    return Path(shutil.copytree(sung, tmp_path / "corpus"))


@pytest.fixture
def bundle(monkeypatch: pytest.MonkeyPatch) -> Bundle:
    return phones.knowing_bundle(monkeypatch)


@pytest.mark.parametrize("shortest_event_s", [0.3, 10.0])
def test_one_modality_alone_is_measured_where_all_together_are(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shortest_event_s: float
) -> None:
    # The last window ends with the clip, which has no frame behind it; no event stands of 10 s.
    def alone(stream: ReasonStream) -> dict[str, np.ndarray]:
        return {"sound": stream._tables(0, len(stream._ends))["branch_mel"]}

    monkeypatch.setattr(ReasonStream, "ablated", alone)
    for phone, label in enumerate(phones.PITCHES_HZ):
        sound = phones.sing(phone, phones.PITCHES_HZ[label], 3.5)
        lab.write_wav(tmp_path / label / phones.clip_name(phone, 0, label), sound)
    assert bundle.gate is not None
    gate = replace(bundle.gate, min_event_seconds=shortest_event_s)
    record = evaluate(replace(bundle, gate=gate), tmp_path)
    together = {unit: one["n"] for unit, one in record["units"].items() if unit != "event"}
    assert together["window"] > 0
    found = {unit: one["n"] for unit, one in record["modalities"]["sound"].items()}
    assert found == together


def name_of(phone: int, number: int, label: str) -> str:
    return f"{label}/{phones.clip_name(phone, number, label)}"


def test_what_is_right_is_right_by_clip_event_and_window(bundle: Bundle, corpus: Path) -> None:
    record = evaluate(bundle, corpus)
    assert list(record["units"]) == ["clip", "event", "window"]
    for unit, per_clip in (("clip", 1), ("event", 1), ("window", WINDOWS_PER_CLIP)):
        found = record["units"][unit]
        n = N_PHONES * per_clip
        assert found["confusion"] == {
            "labels": ["hungry", "tired"],
            "answers": ["hungry", "tired"],
            "counts": [[n, 0], [0, n]],
        }
        assert found["figures"]["accuracy"] == {"value": 1.0, "interval": [1.0, 1.0]}
        assert found["figures"]["log_loss"]["value"] == pytest.approx(-np.log(STATED), abs=FLOAT32)
        assert found["n_subjects"] == N_PHONES
    assert (record["n_clips"], record["failed"], record["problems"]) == (2 * N_PHONES, [], [])
    assert record["subjects"] == {"n": N_PHONES, "known_from": "pattern"}


def test_frames_say_how_steady_the_label_is_before_and_after_smoothing(
    bundle: Bundle, corpus: Path
) -> None:
    # Low for two seconds and then high: the label changes once, and both halves are frames of it.
    halves = [phones.sing(9, f0_hz, seconds=4.0) for f0_hz in phones.PITCHES_HZ.values()]
    lab.write_wav(corpus / name_of(0, 9, "hungry"), np.concatenate(halves))
    record = evaluate(bundle, corpus)
    frames = record["frames"]
    minutes = frames["n"] / 30 / 60
    for form in ("newest", "smoothed"):
        found = frames[form]["label_changes_per_minute"]["value"]
        assert found == pytest.approx(1 / minutes)
        assert 0.5 < frames[form]["accuracy"]["value"] < 1
    assert record["modalities"] == {}
    text = evaluation_text(record)
    assert "| label changes a minute |" in text
    assert "## By modality" not in text


def test_an_answer_that_is_wrong_is_counted_where_it_belongs(bundle: Bundle, corpus: Path) -> None:
    wrong = corpus / name_of(0, 5, "hungry")
    lab.write_wav(wrong, phones.sing(5, phones.PITCHES_HZ["tired"]))
    record = evaluate(bundle, corpus)
    clip, window = record["units"]["clip"], record["units"]["window"]
    assert clip["confusion"]["counts"] == [[3, 1], [0, 3]]
    assert window["confusion"]["counts"] == [[12, 4], [0, 12]]
    assert clip["figures"]["balanced_accuracy"]["value"] == pytest.approx((3 / 4 + 1) / 2)
    assert clip["per_class"]["hungry"]["recall"] == 0.75
    assert clip["majority"]["accuracy"] == pytest.approx(4 / 7)
    subject = phones.clip_name(0, 5, "hungry")[:36]
    assert record["per_subject"][subject]["clip"] == {
        "n": 3,
        "right": 2,
        "labels": {"hungry": 2, "tired": 1},
    }


def test_a_clip_in_which_nothing_is_heard_is_no_right_answer(bundle: Bundle, corpus: Path) -> None:
    lab.write_wav(corpus / name_of(1, 6, "tired"), np.zeros(3 * lab.RATE_HZ, np.float32))
    record = evaluate(bundle, corpus)
    clip = record["units"]["clip"]
    assert clip["confusion"]["answers"] == ["hungry", "tired", "not sure"]
    assert clip["confusion"]["counts"] == [[3, 0, 0], [0, 3, 1]]
    assert clip["n"] == 6
    assert clip["of_all"] == {"n": 7, "accuracy": pytest.approx(6 / 7)}
    assert "no cry" not in record["given_labels"]
    assert "accuracy is 0.857" in evaluation_text(record)


def test_a_cry_shorter_than_a_window_of_the_reasons_is_answered_from_it_padded(
    bundle: Bundle, corpus: Path
) -> None:
    short = phones.sing(7, phones.PITCHES_HZ["tired"], seconds=1.5)
    lab.write_wav(corpus / name_of(1, 7, "tired"), short)
    units = evaluate(bundle, corpus)["units"]
    assert units["window"]["confusion"]["counts"] == [[12, 0], [0, 13]]
    assert units["clip"]["confusion"]["counts"] == [[3, 0], [0, 4]]


def test_clips_that_fail_are_listed_and_the_rest_goes_on(bundle: Bundle, corpus: Path) -> None:
    broken = corpus / name_of(2, 8, "tired")
    broken.write_text("this is no sound")
    with logged() as lines:
        record = evaluate(bundle, corpus)
    (failure,) = record["failed"]
    assert failure.startswith(str(broken))
    assert failure in lines
    assert record["n_clips"] == 2 * N_PHONES
    assert f"- {failure}" in evaluation_text(record)


def test_a_source_in_which_every_clip_fails_is_an_error(bundle: Bundle, corpus: Path) -> None:
    for path in corpus.rglob("*.wav"):
        path.write_text("this is no sound")
    with pytest.raises(CryvisionError, match=r"nothing could be evaluated: .*hu\.wav: a clip must"):
        evaluate(bundle, corpus)


def test_the_bundles_own_policy_is_reported_beside_the_answers(
    bundle: Bundle, corpus: Path
) -> None:
    assert evaluate(bundle, corpus)["given_labels"] == {"not sure": 6}
    skill = {
        "part": "branch_mel",
        "modalities": ["sound"],
        "unit": "clip",
        "protocol": "grouped 5-fold",
        "subjects": "pattern",
        "figures": {
            "balanced_accuracy": {"value": 0.9, "interval": [0.8, 0.95]},
            "log_loss": {"value": 0.3},
        },
        "chance": 0.5,
        "prior": {"hungry": 0.8, "tired": 0.2, "log_loss": 0.5},
    }
    record = evaluate(replace(bundle, skill=[skill]), corpus)
    assert record["given_labels"] == {"hungry": 3, "tired": 3}
    # What one would say without listening is what the bundle was trained with, not this source.
    prior_log_loss = -(np.log(0.8) + np.log(0.2)) / 2
    assert record["units"]["clip"]["prior"]["log_loss"] == pytest.approx(prior_log_loss)


@pytest.mark.parametrize(
    ("trained_on", "named", "suspected"),
    [
        ("somewhere else", "pattern", False),
        ("/data/of/a/lab/Corpus/", "pattern", True),
        ("CORPUS, commit 553c8f1", "pattern", True),
        ("https://example.org/donateacry-corpus", "donateacry", True),
        ("https://example.org/donateacry-corpus", "pattern", False),
    ],
)
def test_a_source_that_training_may_have_heard_is_warned_of(
    bundle: Bundle, corpus: Path, trained_on: str, named: str, suspected: bool
) -> None:
    if named == "pattern":
        for number, path in enumerate(sorted(corpus.rglob("*.wav"))):
            path.rename(path.with_name(f"baby{number % 3}.wav"))
    sources = [{"name": trained_on, "licence": "", "url": "", "changes": ""}]
    pattern = r"(baby\d)" if named == "pattern" else None
    record = evaluate(replace(bundle, sources=sources), corpus, subject_pattern=pattern)
    warned = [warning for warning in record["warnings"] if repr(trained_on) in warning]
    assert bool(warned) == suspected
    assert record["trained_on"] == [trained_on]


def test_a_manifest_elsewhere_hides_no_clips_that_training_may_have_heard(
    bundle: Bundle, corpus: Path, tmp_path: Path
) -> None:
    rows = [f"{path},{path.parent.name}" for path in sorted(corpus.rglob("*.wav"))[::3]]
    manifest = tmp_path / "elsewhere" / "clips.csv"
    manifest.parent.mkdir()
    manifest.write_text("\n".join(["path,label", *rows]) + "\n")
    for name in ("corpus", "donateacry-corpus, commit 6baf5ac"):
        sources = [{"name": name, "licence": "", "url": "", "changes": ""}]
        record = evaluate(replace(bundle, sources=sources), manifest)
        assert any(repr(name) in warning for warning in record["warnings"])


def test_clips_of_a_manifest_of_training_are_warned_of_and_those_of_another_are_not(
    bundle: Bundle, corpus: Path
) -> None:
    rows = [f"{path},{path.parent.name}" for path in sorted(corpus.rglob("*.wav"))]
    train, test = corpus / "train.csv", corpus / "test.csv"
    for manifest in (train, test):
        manifest.write_text("\n".join(["path,label", *rows]) + "\n")
    trained = replace(bundle, sources=[own_source(source_name(train))])
    suspected = {
        source: any("'corpus/train.csv'" in one for one in evaluate(trained, source)["warnings"])
        for source in (train, test)
    }
    assert suspected == {train: True, test: False}
    for manifest in (train, test):
        manifest.unlink()
    warnings = evaluate(trained, corpus)["warnings"]
    assert any("'corpus/train.csv'" in warning for warning in warnings)


def test_subjects_that_are_one_per_file_are_said_to_be(bundle: Bundle, corpus: Path) -> None:
    for number, path in enumerate(sorted(corpus.rglob("*.wav"))):
        path.rename(path.with_name(f"{number}.wav"))
    record = evaluate(bundle, corpus)
    assert record["subjects"] == {"n": 6, "known_from": "file"}
    assert any("each file counts as one" in warning for warning in record["warnings"])
    assert "each file counts as one" in evaluation_text(record)
    known = evaluate(bundle, corpus, subject_pattern=r"(\d)\.wav")
    assert not any("each file" in warning for warning in known["warnings"])


def test_a_section_of_one_subject_says_why_it_has_no_intervals(
    bundle: Bundle, corpus: Path
) -> None:
    record = evaluate(bundle, corpus)
    record["units"]["window"]["n_subjects"] = 1
    sections = evaluation_text(record).split("\n## ")
    why = "No 95 % intervals: they are over subjects, and there is only one."
    assert f"95 % intervals: bootstrap over {record['subjects']['n']} subjects." in sections[0]
    assert [s.partition(":")[0] for s in sections if why in s] == ["By window"]


def test_stretches_of_one_file_are_judged_each_by_itself(bundle: Bundle, tmp_path: Path) -> None:
    both = [phones.sing(seed, f0_hz) for seed, f0_hz in enumerate(phones.PITCHES_HZ.values())]
    lab.write_wav(tmp_path / "both.wav", np.concatenate(both))
    middle_s = phones.CLIP_SECONDS
    rows = [f"both.wav,hungry,ada,0,{middle_s}", f"both.wav,tired,ada,{middle_s},"]
    manifest = tmp_path / "clips.csv"
    manifest.write_text("\n".join(["path,label,subject,start_s,end_s", *rows]) + "\n")
    record = evaluate(bundle, manifest)
    assert record["units"]["clip"]["confusion"]["counts"] == [[1, 0], [0, 1]]
    assert record["units"]["window"]["confusion"]["counts"] == [[4, 0], [0, 4]]
    assert record["subjects"] == {"n": 1, "known_from": "manifest"}
    assert "'interval'" not in repr(record)  # one subject says nothing of others
    text = evaluation_text(record)
    sections = [section for section in text.split("\n## ") if " of 1 subject\n" in section]
    assert len(sections) >= 2
    why = "No 95 % intervals: they are over subjects, and there is only one."
    assert [section.count(why) for section in sections] == [1] * text.count(why)
    assert "2 clips of 1 subject (known from: manifest)" in text
    assert "## By clip: 2 of 1 subject\n" in text


def test_classes_that_the_bundle_does_not_know_are_left_out_and_named(
    bundle: Bundle, corpus: Path
) -> None:
    (corpus / "tired").rename(corpus / "Tired")
    record = evaluate(bundle, corpus)
    assert record["n_clips"] == N_PHONES
    (problem,) = record["problems"]
    assert problem.endswith("the bundle's, hungry, tired; others are Tired (3 clips)")
    shutil.rmtree(corpus / "hungry")
    with pytest.raises(AnnotationError, match=r"others are Tired \(3 clips\)"):
        evaluate(bundle, corpus)


def test_a_bundle_without_a_detector_is_judged_on_all_of_each_clip(
    bundle: Bundle, corpus: Path
) -> None:
    gateless = replace(bundle, parts=bundle.parts[1:], gate=None)
    record = evaluate(gateless, corpus)
    assert list(record["units"]) == ["clip", "window"]
    assert record["units"]["clip"]["confusion"]["counts"] == [[3, 0], [0, 3]]


def test_the_report_holds_what_is_returned(bundle: Bundle, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    record = evaluate(bundle, corpus, out=out)
    assert {path.name for path in out.iterdir()} == {
        *("report.json", "report.md", "confusion.png", "reliability.png")
    }
    assert json.loads((out / "report.json").read_text()) == record
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert (out / "report.md").read_text() == evaluation_text(record) + "\n"


def test_a_folder_that_is_no_report_is_refused_before_any_work(
    bundle: Bundle, corpus: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.md").write_text("mine")
    with (
        pytest.raises(CryvisionError, match="only an older report is replaced"),
        logged() as lines,
    ):
        evaluate(bundle, corpus, out=tmp_path / "out")
    assert lines == []


# Agreement with people on when a baby cries.


@pytest.fixture
def lab_folder(tmp_path: Path) -> Path:
    """Two babies with a clip each, not annotated yet."""
    for number, subject in enumerate(("ada", "ben")):
        lab.write_wav(tmp_path / "lab" / subject / "clip.wav", lab.crying(number)[0])
    return tmp_path / "lab"


@pytest.fixture
def detector(bundle: Bundle) -> Bundle:
    """The part of the bundle that hears tones, alone."""
    return replace(bundle, parts=bundle.parts[:1], labels=("no cry", "cry"))


Annotate = Callable[[float], None]


@pytest.fixture
def annotate(lab_folder: Path, detector: Bundle) -> Annotate:
    """Return ``annotate(early_s)``: mark what the detector finds, its onsets so much earlier."""

    def mark(early_s: float) -> None:
        for number, clip in enumerate(sorted(lab_folder.glob("*/*.wav"))):
            events = classify(clip, detector).events
            assert len(events) == 2
            bouts = [(event.onset_s - early_s, event.offset_s) for event in events]
            lab.write_labels(clip, ("TextGrid", "txt")[number], bouts)

    return mark


def test_windows_are_calibrated_to_the_share_that_is_crying() -> None:
    # A quarter of each window cries, and the detector says a quarter.
    annotated = np.array([[0.0, 0.125], [0.5, 0.625]])
    clip = ComparedClip("ada", annotated, np.zeros((0, 2)), np.array([0.25, 0.25]), 1.0)
    figures = agreement([clip])["figures"]
    assert figures["window_ece"]["value"] == pytest.approx(0, abs=1e-4)  # samples are whole
    assert figures["window_log_loss"]["value"] == pytest.approx(-np.log(0.75))


def test_the_figure_of_reliability_shows_the_calibration_error_that_is_stated() -> None:
    events = np.array([[0.1, 0.9], [1.2, 1.45], [2.4, 3.3]])
    scores = np.array([0.7, 0.8, 0.4, 0.1, 0.3, 0.9, 0.6])
    record = agreement([ComparedClip("ada", events, events, scores, 3.5)])
    bins = record["windows"]["reliability"]["bins"]
    shown = sum(one["n"] * abs(one["stated"] - one["true"]) for one in bins) / len(scores)
    assert shown == pytest.approx(record["figures"]["window_ece"]["value"])


def test_f1_is_not_defined_where_nobody_has_an_event() -> None:
    none = np.zeros((0, 2))
    record = agreement([ComparedClip("ada", none, none, np.zeros(4), 2.0)])
    assert not {"event_f1", "event_precision", "event_recall"} & set(record["figures"])
    assert record["figures"]["false_alarms_per_hour"]["value"] == 0


def test_figures_of_windows_are_not_defined_where_there_is_nothing_to_find() -> None:
    none = np.zeros((0, 2))
    figures = agreement([ComparedClip("ada", none, none, np.zeros(4), 2.0)])["figures"]
    assert not {"window_f1", "window_balanced_accuracy", "window_kappa"} & set(figures)
    assert figures["window_accuracy"]["value"] == 1


def test_a_baby_that_never_cries_does_not_lower_the_interval_of_a_detector_without_fault() -> None:
    cry, none = np.array([[0.5, 1.5]]), np.zeros((0, 2))
    calm = ComparedClip("ben", none, none, np.zeros(4), 2.0)
    figures = agreement([ComparedClip("ada", cry, cry, np.array([0, 1, 1, 0]), 2.0), calm])[
        "figures"
    ]
    for name in ("event_f1", "window_f1", "window_kappa"):
        assert figures[name] == {"value": 1.0, "interval": [1.0, 1.0]}
    # That one baby's crying was found is no promise for all.
    assert figures["window_balanced_accuracy"] == {"value": 1.0, "interval": [0.5, 1.0]}


def test_the_log_loss_of_the_prior_is_that_of_the_windows_that_were_scored() -> None:
    cry = np.array([[0.0, 1.0]])
    clip = ComparedClip("ada", cry, cry, np.array([0.9, 0.9, 0.1, 0.1, np.nan, np.nan]), 3.0)
    without = agreement([clip])["without_listening"]
    assert without["window_log_loss"] == pytest.approx(np.log(2))


def test_full_agreement_is_one(detector: Bundle, lab_folder: Path, annotate: Annotate) -> None:
    annotate(0.0)
    record = evaluate(detector, lab_folder, subject_pattern=lab.SUBJECT_PATTERN)
    assert "units" not in record
    found = record["agreement"]
    assert found["events"] == {"matched": 4, "annotated": 4, "found": 4}
    for name in ("event_f1", "event_precision", "event_recall", "window_kappa", "window_f1"):
        assert found["figures"][name] == {"value": 1.0, "interval": [1.0, 1.0]}
    assert found["figures"]["iou"]["value"] == pytest.approx(1.0)
    assert found["figures"]["false_alarms_per_hour"]["value"] == 0.0
    assert found["without_listening"]["window_kappa"] == 0.0
    assert found["per_subject"]["ada"]["event_f1"] == 1.0
    assert (found["n_subjects"], found["hours"]) == (2, pytest.approx(8 / 3600))


def test_a_window_is_scored_by_all_its_steps(tmp_path: Path) -> None:
    clip = Path(shutil.copy(DEMO, tmp_path))
    lab.write_labels(clip, "txt", [event.span_s for event in classify(clip).events])
    found = evaluate(None, tmp_path)["agreement"]["figures"]
    assert found["window_auc"]["value"] > 0.99
    assert found["window_ece"]["value"] < 0.05


def test_a_detector_of_whole_windows_is_scored_where_they_end(
    detector: Bundle, lab_folder: Path, annotate: Annotate
) -> None:
    annotate(0.0)
    found = evaluate(detector, lab_folder)["agreement"]["figures"]
    assert found["window_auc"]["value"] > 0.95


def test_onsets_may_be_a_quarter_of_a_second_off_and_no_more(
    detector: Bundle, lab_folder: Path, annotate: Annotate
) -> None:
    annotate(0.24)
    near = evaluate(detector, lab_folder)["agreement"]
    assert near["figures"]["event_f1"]["value"] == 1.0
    annotate(0.26)
    far = evaluate(detector, lab_folder)["agreement"]
    assert far["figures"]["event_f1"]["value"] == 0.0
    late_s = 4 * 0.26
    assert far["annotated_seconds"] == pytest.approx(far["found_seconds"] + late_s)
    iou = far["found_seconds"] / far["annotated_seconds"]
    assert far["figures"]["iou"]["value"] == pytest.approx(iou)


def test_what_nobody_marked_is_a_false_alarm(
    detector: Bundle, lab_folder: Path, annotate: Annotate
) -> None:
    annotate(0.0)
    lab.write_labels(lab_folder / "ben" / "clip.wav", "txt", [(2.5, 3.8)])
    found = evaluate(detector, lab_folder)["agreement"]
    assert found["figures"]["false_alarms_per_hour"]["value"] == pytest.approx(3600 / 8)
    assert found["events"]["annotated"] == 3
    assert found["figures"]["window_kappa"]["value"] < 1


def test_annotations_that_name_no_crying_are_warned_of(
    detector: Bundle, lab_folder: Path, annotate: Annotate
) -> None:
    for clip in lab_folder.glob("*/*.wav"):
        clip.with_suffix(".txt").write_text("0.5\t1.5\tfuss\n2.5\t3.5\tbabble\n")
    record = evaluate(detector, lab_folder)
    assert any("there are babble, fuss" in warning for warning in record["warnings"])


def test_a_detector_alone_needs_annotations(detector: Bundle, lab_folder: Path) -> None:
    with pytest.raises(AnnotationError, match="annotations of when they cry; there are none"):
        evaluate(detector, lab_folder)


def test_a_folder_of_classes_with_annotations_beside_some_clips_is_judged_on_both(
    bundle: Bundle, corpus: Path
) -> None:
    clips = sorted(corpus.rglob("*.wav"))
    for clip in clips[:2]:
        lab.write_labels(clip, "csv", [(phones.CRYING_FROM_S, phones.CLIP_SECONDS)])
    broken = clips[2].with_suffix(".csv")
    broken.write_text("start_s,end_s\nearly,late\n")
    record = evaluate(bundle, corpus)
    assert record["n_clips"] == len(clips)
    assert record["agreement"]["n_clips"] == 2
    assert record["agreement"]["figures"]["event_f1"]["value"] == 1.0
    assert record["subjects"]["known_from"] == "pattern"
    (problem,) = record["problems"]  # none for the clips without annotations
    assert problem.startswith(f"{broken}: line 2")
    text = evaluation_text(record)
    assert "## By clip" in text
    assert "## Agreement on crying" in text


def test_a_saved_bundle_is_judged_by_its_path(make_media: Any, tmp_path: Path) -> None:
    tone = "aevalsrc='0.5*sin(2*PI*440*t)*between(t,1,2)':s=16000:d=3"
    clip = tmp_path / "clip.wav"
    shutil.copy(make_media("bout.wav", "-f", "lavfi", "-i", tone), clip)
    lab.write_labels(clip, "csv", [(1.0, 2.0)])
    record = evaluate(BUNDLE_V1, tmp_path, runtime="onnx")
    assert record["bundle"]["name"] == "tiny"
    assert record["agreement"]["n_clips"] == 1
