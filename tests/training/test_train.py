"""Training on videos and on one's own arrays: what comes out, what is refused, what is kept."""

from __future__ import annotations

import contextlib
import csv
import errno
import functools
import shutil
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from logged import logged
from tolerances import RUNTIME_TOLERANCE
from toy_stack import convert_once, fit_at_once, untrained_ensemble
from toy_videos import (
    SIDE_PX,
    SIGHTS,
    SOUNDS,
    SUBJECT_PATTERN,
    MakeMedia,
    face_config,
    make_clip,
)

from cryvision.bundle import Bundle, saving
from cryvision.config import FaceConfig
from cryvision.datasets.format_confounds import format_warnings
from cryvision.datasets.labelled import Dataset, LabelledClip, find_labelled_clips
from cryvision.errors import (
    AnnotationError,
    BundleError,
    ConfigError,
    CryvisionError,
    MissingDependencyError,
)
from cryvision.evaluation.evaluate import evaluate
from cryvision.evaluation.markdown import evaluation_text
from cryvision.evaluation.skill import OutOfFoldPredictions
from cryvision.inference.classifier import StreamClassifier
from cryvision.inference.clip import classify
from cryvision.inference.face_stream import FaceStream, face_stream
from cryvision.inference.label_policy import NOT_SURE, has_skill
from cryvision.inputs.pictures.faces import FaceFinder
from cryvision.training import branches, clip_features, cross_validation, stacking, train_stack
from cryvision.training import train as fusion
from cryvision.training.branches import Branch, Rows
from cryvision.training.cross_validation import Division
from cryvision.training.stacking import Samples
from cryvision.training.systems import CHA_BAE_SOUNDS
from cryvision.training.train import train, train_arrays
from cryvision.training.training_set import TrainingSet

FLOAT32 = 1e-5

LEAST_SAY_NATS = 0.1
"""What a branch that knows the classes adds to the log-odds of a clip, at least; none adds 0."""

TRAIN_ACCURACY = 0.9
"""On rows that are easily told apart; one in two is right by chance."""


@contextlib.contextmanager
def quick_fits() -> Iterator[None]:
    """Fit in one step, in stacks of two inner folds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(branches, "fit_early_stopped", fit_at_once)
        fit_stacks_of_two_folds(patch)
        yield


def fit_stacks_of_two_folds(patch: pytest.MonkeyPatch) -> None:
    for module in (cross_validation, train_stack):
        patch.setattr(module, "fit_stack", functools.partial(stacking.fit_stack, n_folds=2))


def untrained_head(feature: str) -> Branch:
    """A head that standardises its rows, and whose weights are as they were drawn."""

    def fit(rows: Rows, n_classes: int, seed: int) -> tuple[Any, branches.Curves]:
        from cryvision.models.cha_bae import build_head

        branches.begin(seed)
        inputs = np.asarray(rows.inputs, np.float32)
        scaling = branches.scaling_for(inputs)
        return build_head(scaling, inputs.shape[1], n_classes, feature), {"loss": [0.0]}

    return Branch(f"branch_{feature}", feature, fit)


@pytest.fixture
def no_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make all of it but the fits: one untrained branch on the face, or on each array."""
    convert_once(monkeypatch)
    monkeypatch.setattr(branches, "fit_ensemble", untrained_ensemble)
    fit_stacks_of_two_folds(monkeypatch)
    monkeypatch.setattr(fusion, "head_branch", untrained_head)
    monkeypatch.setattr(fusion, "recipe_for", lambda settings, watch: (untrained_head("face"),))
    monkeypatch.setattr(train_stack, "write_report", lambda *given: None)


@pytest.fixture
def perfect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure nothing, and say that all was told right."""

    def measured(
        recipe: Any, samples: Any, division: Division, seed: int, silenced: Sequence[Any],
        *rest: Any,
    ) -> list[tuple[OutOfFoldPredictions, OutOfFoldPredictions]]:  # fmt: skip
        labels, subjects, n = division.labels, division.subjects, division.n_classes
        table = np.full((len(labels), n), 0.01)
        table[np.arange(len(labels)), labels] = 1 - 0.01 * (n - 1)
        prior, fold = np.full((len(labels), n), 1 / n), np.zeros(len(labels), int)
        units = [
            OutOfFoldPredictions(u, labels, table, prior, subjects, fold)
            for u in ("clip", "window")
        ]
        return [(units[0], units[1]) for _ in silenced]

    monkeypatch.setattr(train_stack, "cross_validate", measured)


@dataclass(frozen=True)
class Lab:
    """A folder per class with clips of four babies."""

    folder: Path
    backbone: Path

    def face(self, **changes: object) -> FaceConfig:
        return face_config(self.backbone, **changes)

    def train(self, out: Path, **options: Any) -> Bundle:
        return train(
            self.folder,
            out,
            **{
                "face": self.face(),
                "gate": "none",
                "subject_pattern": SUBJECT_PATTERN,
                "n_folds": 2,
                "cache": out.with_name("cache"),
                **options,
            },
        )


@pytest.fixture(scope="module")
def clips(make_media: MakeMedia) -> dict[str, Path]:
    """Clips by ``<sound>_<sight>/baby<n>.mp4``, as they lie in the lab's folder."""
    return {
        f"{sound}_{sight}/baby{n}.mp4": make_clip(
            make_media, f"{sound}-{sight}-{n}.mp4", sight, sound, 1 + 0.03 * n
        )
        for sound, sight in zip(SOUNDS, SIGHTS, strict=True)
        for n in range(1, 5)
    }


@pytest.fixture
def lab(clips: dict[str, Path], tmp_path: Path) -> Lab:
    for name, clip in clips.items():
        place = tmp_path / "lab" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, place)
    return Lab(tmp_path / "lab", tmp_path)


@pytest.fixture(scope="module")
def trained(
    clips: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Bundle, list[str]]:
    """A bundle from a manifest with given splits and a damaged clip, and what was said."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "damaged.mp4").write_bytes(b"no film" * 100)
    rows = [
        [str(clip), name.split("/")[0], f"baby{name[-5]}", "test" if name[-5] == "4" else "train"]
        for name, clip in clips.items()
    ]
    rows.append([str(folder / "damaged.mp4"), rows[0][1], "baby3", "train"])
    with (folder / "lab.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "label", "subject", "split"], *rows])
    with quick_fits(), logged() as lines:
        bundle = train(
            folder / "lab.csv",
            folder / "bundle",
            face=face_config(folder),
            gate="none",
            cache=folder / "cache",
        )
    return bundle, lines


class TestVideos:
    def test_the_bundle_holds_a_branch_for_each_feature_and_their_ensemble(
        self, trained: tuple[Bundle, list[str]]
    ) -> None:
        bundle = Bundle.load(trained[0].folder)
        assert bundle.labels == ("high_bright", "low_dim")
        assert {part.name: part.inputs for part in bundle.parts} == {
            "branch_mfcc": ("mfcc",),
            "branch_stft": ("stft",),
            "branch_face": ("face",),
            "ensemble": ("branch_mfcc", "branch_stft", "branch_face"),
        }
        assert bundle.gate is None

    def test_all_branches_have_a_say_in_a_clip(
        self, trained: tuple[Bundle, list[str]], make_media: MakeMedia
    ) -> None:
        found = {
            name: classify(make_clip(make_media, name, *parts), trained[0], label_policy="always")
            for name, parts in {
                "both.mp4": ("bright", "high"),
                "silent.mp4": ("bright", None),
                "dark.wav": (None, "high"),
            }.items()
        }
        both, silent, dark = found.values()
        assert both.modalities == ("sound", "face")
        assert both.face_share is None  # the middle of the picture: nobody looked for a face
        assert np.isnan(both.timeline["face"]).all()
        assert both.label in trained[0].labels
        assert silent.modalities == ("face",)
        assert "the clip has no sound" in silent.warnings
        assert dark.modalities == ("sound",)
        assert "faces are not used: the clip has no pictures" in dark.warnings
        for result in found.values():
            assert sum(result.probabilities.values()) == pytest.approx(1, abs=FLOAT32)
            assert not any("shorter" in warning for warning in result.warnings)
        # Of a clip that is easily told, probabilities say little: all are near one.
        both, *alone = (
            np.log(r.probabilities["high_bright"] / r.probabilities["low_dim"])
            for r in found.values()
        )
        assert min(abs(both - one) for one in alone) > LEAST_SAY_NATS

    def test_a_live_stream_says_of_a_face_only_what_a_picture_showed(
        self, trained: tuple[Bundle, list[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def looking(*settings: Any) -> tuple[FaceStream | None, list[str]]:
            faces, warnings = face_stream(*settings)
            assert faces is not None
            faces.looks = True
            return faces, warnings

        monkeypatch.setattr("cryvision.inference.classifier.face_stream", looking)
        stream = StreamClassifier(trained[0])
        stream.push(np.zeros(16_000, np.float32))
        assert stream.state.not_scored["face"] == "no picture yet"
        picture = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
        stream.push(frame=picture, frame_time_s=1.0)
        assert "face" not in stream.state.not_scored
        monkeypatch.setattr(FaceFinder, "find", lambda self, frame, frame_time_s: None)
        stream.push(frame=picture, frame_time_s=1.1)
        assert stream.state.not_scored["face"] == "no face in the picture"

    def test_windows_in_training_and_in_use_are_the_same(
        self, trained: tuple[Bundle, list[str]], make_media: MakeMedia
    ) -> None:
        bundle = trained[0]
        silent = make_clip(make_media, "silent.mp4", "bright", None)
        face = bundle.part("branch_face").face
        labelled = LabelledClip(silent, "low_dim", "baby1", "manifest")
        ends, inputs = clip_features.clip_windows(labelled, CHA_BAE_SOUNDS, face, None)
        np.testing.assert_array_equal(ends, [32_000, 40_000])
        assert np.isnan(inputs["mfcc"]).all()
        outputs = bundle.model("branch_face").predict({"face": inputs["face"].astype(np.float32)})
        nothing = np.zeros_like(outputs)
        fused = bundle.model("ensemble").predict(
            {"branch_mfcc": nothing, "branch_stft": nothing, "branch_face": outputs}
        )
        timeline = classify(silent, bundle).timeline
        for number, label in enumerate(bundle.labels):
            expected = np.where(np.arange(60, 78) < 75, *fused[:, number])
            assert timeline[label][60:] == pytest.approx(expected, abs=1e-3)  # embeddings: float16

    def test_evaluation_says_what_is_left_without_the_sound_or_the_face(
        self, trained: tuple[Bundle, list[str]], lab: Lab, make_media: MakeMedia
    ) -> None:
        silent = make_clip(make_media, "silent.mp4", "bright", None)
        shutil.copy(silent, lab.folder / "high_bright" / "baby5.mp4")
        record = evaluate(trained[0], lab.folder, subject_pattern=SUBJECT_PATTERN)
        alone = record["modalities"]
        assert {kept: units["clip"]["n"] for kept, units in alone.items()} == {
            "sound": 8,
            "face": 9,
            "sound and face": 9,
        }
        together, units = alone["sound and face"]["window"], record["units"]["window"]
        assert together["n"] == units["n"] == 18
        for name, figure in units["figures"].items():
            assert together["figures"][name]["value"] == pytest.approx(figure["value"], abs=1e-3)
        values = [units["clip"]["figures"]["log_loss"]["value"] for units in alone.values()]
        assert np.abs(np.diff(np.log(sorted(values)))).min() > 0.1
        assert "| sound and face | " in evaluation_text(record)

    def test_skill_is_told_for_each_set_of_modalities(
        self, trained: tuple[Bundle, list[str]]
    ) -> None:
        entries = [(tuple(e["modalities"]), e["unit"]) for e in trained[0].skill]
        sets = [("sound", "face"), ("sound",), ("face",)]
        assert entries == [(one, unit) for one in sets for unit in ("clip", "window")]
        for entry in trained[0].skill:
            assert entry["part"] == "ensemble"
            assert entry["protocol"] == "given split, subjects apart"
            assert entry["subjects"] == "manifest"
            assert sum(entry["prior"][label] for label in trained[0].labels) == pytest.approx(1)

    def test_a_clip_that_cannot_be_read_is_told_and_the_rest_goes_on(
        self, trained: tuple[Bundle, list[str]]
    ) -> None:
        _, lines = trained
        (problem,) = [line for line in lines if line.startswith("left out: ")]
        assert "damaged.mp4" in problem
        assert "features of clip 9 of 9" in lines

    def test_a_report_stands_beside_the_bundle_and_nothing_else_is_left(
        self, trained: tuple[Bundle, list[str]]
    ) -> None:
        folder = trained[0].folder.parent
        left = {path.name for path in folder.iterdir()}
        assert left == {
            *("bundle", "bundle-report", "cache", "damaged.mp4", "lab.csv", "means.onnx"),
        }
        report = (folder / "bundle-report" / "report.json").read_text()
        value = trained[0].skill[0]["figures"]["balanced_accuracy"]["value"]
        assert f'"value": {value}' in report


def test_what_is_missing_of_a_system_without_faces_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing(*_: Any) -> None:
        raise MissingDependencyError("onnxruntime cannot be imported")

    monkeypatch.setattr(fusion, "crying_windows", missing)
    with pytest.raises(MissingDependencyError, match="onnxruntime cannot be imported"):
        fusion.clip_features(Dataset((), ()), ("a", "b"), None, None, False, tmp_path)


@pytest.mark.usefixtures("no_fits", "perfect")
class TestSkill:
    def test_subjects_that_are_guessed_one_a_file_never_qualify(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        with logged() as lines:
            bundle = lab.train(tmp_path / "out", subject_pattern=None)
        skill = bundle.skill
        assert skill[0]["subjects"] == "file"
        assert not has_skill(skill, "ensemble", ("face",), "clip")
        # Nothing but the subjects stands in the way.
        known = [{**entry, "subjects": "pattern"} for entry in skill]
        assert has_skill(known, "ensemble", ("face",), "clip")
        assert any("subjects are not known" in line for line in lines)
        clip = next(lab.folder.rglob("*.mp4"))
        assert classify(clip, bundle).label == NOT_SURE


@pytest.mark.usefixtures("no_fits", "perfect")
class TestWhatThisMachineLacks:
    def test_without_a_backbone_the_face_branch_is_left_out_and_that_is_told(
        self, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given: list[Samples] = []

        def stop(known: TrainingSet, *rest: Any, **more: Any) -> None:
            given.append(known.samples)

        monkeypatch.setattr(fusion, "train_stack", stop)
        lost = lab.face(backbone_weights=str(tmp_path / "lost.onnx"))
        with logged() as lines:
            lab.train(tmp_path / "out", face=lost)
        assert set(given[0].features) == {"mfcc", "stft"}
        assert [line for line in lines if "the face branch is left out" in line]
        with pytest.raises(MissingDependencyError, match=r"lost\.onnx"):
            lab.train(tmp_path / "out", face=lost, require_face=True)


class TestRefused:
    """What cannot be trained on is one line, and nothing was written."""

    @pytest.fixture(autouse=True)
    def nothing_written(self, tmp_path: Path) -> Iterator[None]:
        yield
        assert not (tmp_path / "out").exists()

    def test_a_class_with_one_subject(self, lab: Lab, tmp_path: Path) -> None:
        for number in (2, 3, 4):
            (lab.folder / f"low_dim/baby{number}.mp4").unlink()
        with pytest.raises(ConfigError, match="at least two subjects; 'low_dim' has one: baby1"):
            lab.train(tmp_path / "out")

    def test_a_class_without_clips(self, lab: Lab, tmp_path: Path) -> None:
        shutil.rmtree(lab.folder / "low_dim")
        (lab.folder / "low_dim").mkdir()
        with pytest.raises(ConfigError, match="two classes or more; got high_bright"):
            lab.train(tmp_path / "out")

    def test_a_folder_for_each_subject_with_annotations_is_pointed_out(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        shutil.rmtree(lab.folder / "low_dim")
        (clip,) = lab.folder.glob("high_bright/baby1.*")
        clip.with_suffix(".txt").write_text("1\t2\tcry\n")
        with logged() as lines, pytest.raises(ConfigError, match="two classes or more"):
            lab.train(tmp_path / "out")
        assert "baby1.txt: annotations beside clips (1 file) are not read" in lines[0]

    def manifest(self, lab: Lab, splits: dict[str, str]) -> Path:
        rows = [
            f"{path.relative_to(lab.folder)},{path.parent.name},{path.stem[:5]},"
            f"{splits.get(path.stem, 'train')}"
            for path in sorted(lab.folder.rglob("*.mp4"))
        ]
        path = lab.folder / "lab.csv"
        path.write_text("\n".join(["path,label,subject,split", *rows]) + "\n")
        return path

    def test_given_splits_with_a_subject_on_both_sides(self, lab: Lab, tmp_path: Path) -> None:
        clip = lab.folder / "low_dim" / "baby1.mp4"
        clip.rename(clip.with_name("baby1-again.mp4"))
        source = self.manifest(lab, {"baby1": "test"})
        with pytest.raises(AnnotationError, match=r"lab\.csv: line \d+: a subject must be in one"):
            train(source, tmp_path / "out", gate="none", face=lab.face())

    @pytest.mark.parametrize(
        ("splits", "rule"),
        [
            ({}, "given splits must hold clips for 'test'"),
            ({f"baby{n}": "test" for n in range(1, 5)}, "given splits must hold clips for 'test'"),
        ],
    )
    def test_given_splits_with_nothing_to_judge_or_to_learn_from(
        self, lab: Lab, tmp_path: Path, splits: dict[str, str], rule: str
    ) -> None:
        with pytest.raises(ConfigError, match=rule):
            train(
                self.manifest(lab, splits), tmp_path / "out", gate="none", face=lab.face(),
                cache=tmp_path / "cache",
            )  # fmt: skip

    def test_given_splits_that_leave_a_class_nothing_to_learn_from(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        for clip in sorted((lab.folder / "low_dim").iterdir()):
            clip.rename(clip.with_name(clip.name.replace("baby", "twin")))
        source = self.manifest(lab, {f"twin{n}": "test" for n in range(1, 5)})
        with pytest.raises(ConfigError, match=r"clips outside of 'test' .* 'low_dim' has none"):
            train(source, tmp_path / "out", gate="none", face=lab.face(), cache=tmp_path / "cache")

    @pytest.mark.parametrize(
        ("options", "rule"),
        [
            ({"gate": "loud"}, "gate must be one of cry, none; got 'loud'"),
            ({"face": FaceConfig(window_seconds=1.0)}, "windows of faces must be those of sound"),
        ],
    )
    def test_settings(self, lab: Lab, tmp_path: Path, options: dict[str, Any], rule: str) -> None:
        with pytest.raises(ConfigError, match=rule):
            lab.train(tmp_path / "out", **options)

    def test_clips_of_which_none_can_be_read(self, lab: Lab, tmp_path: Path) -> None:
        for clip in lab.folder.rglob("*.mp4"):
            clip.write_bytes(b"no film" * 100)
        with pytest.raises(CryvisionError, match=r"needs clips that can be read; .* 8 problems"):
            lab.train(tmp_path / "out")

    def test_a_report_folder_that_holds_something_else(self, lab: Lab, tmp_path: Path) -> None:
        (tmp_path / "out-report").mkdir()
        (tmp_path / "out-report" / "thesis.docx").touch()
        with pytest.raises(CryvisionError, match=r"only an older report is replaced.*thesis\.docx"):
            lab.train(tmp_path / "out")
        assert not (tmp_path / "cache").exists()


class TestCache:
    """Features of a clip are computed once."""

    @pytest.fixture
    def computed(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Names of the clips whose features were computed."""
        names: list[str] = []
        compute = clip_features.clip_windows

        def spy(clip: LabelledClip, *given: Any) -> Any:
            names.append(clip.path.name)
            return compute(clip, *given)

        monkeypatch.setattr(clip_features, "clip_windows", spy)
        return names

    def features(self, lab: Lab, cache: Path, **changes: object) -> Samples:
        found = find_labelled_clips(lab.folder, SUBJECT_PATTERN).clips
        labels = ("high_bright", "low_dim")
        return clip_features.crying_windows(
            found[::2], labels, CHA_BAE_SOUNDS, None, face=lab.face(**changes), cache=cache
        )[0]

    def test_a_second_run_computes_what_is_new_and_nothing_else(
        self, lab: Lab, tmp_path: Path, computed: list[str]
    ) -> None:
        first = self.features(lab, tmp_path / "cache")
        assert len(computed) == 4
        again = self.features(lab, tmp_path / "cache")
        assert len(computed) == 4
        for name, values in first.features.items():
            np.testing.assert_array_equal(again.features[name], values)
            assert values.dtype == np.float16
        other = lab.folder / "low_dim" / "baby1.mp4"
        shutil.copy(lab.folder / "high_bright" / "baby2.mp4", other)
        self.features(lab, tmp_path / "cache")
        assert computed[4:] == ["baby1.mp4"]
        self.features(lab, tmp_path / "cache", embed_every_frames=15)
        assert len(computed) == 9

    def test_other_weights_in_the_same_file_are_seen(
        self, lab: Lab, tmp_path: Path, computed: list[str]
    ) -> None:
        self.features(lab, tmp_path / "cache")
        with (tmp_path / "means.onnx").open("ab") as file:
            file.write(b"\x32\x01x")  # the model's text field: other bytes, the same network
        self.features(lab, tmp_path / "cache")
        assert len(computed) == 8

    def test_a_damaged_entry_is_computed_again(
        self, lab: Lab, tmp_path: Path, computed: list[str]
    ) -> None:
        first = self.features(lab, tmp_path / "cache")
        damaged = min((tmp_path / "cache").iterdir())
        damaged.write_bytes(damaged.read_bytes()[:1000])
        again = self.features(lab, tmp_path / "cache")
        assert len(computed) == 5
        np.testing.assert_array_equal(again.features["face"], first.features["face"])

    def test_two_runs_may_use_it_at_once(self, lab: Lab, tmp_path: Path) -> None:
        found: list[Samples] = []
        lab.face()  # the backbone's file is there before they start
        runs = [
            threading.Thread(target=lambda: found.append(self.features(lab, tmp_path / "cache")))
            for _ in range(2)
        ]
        for run in runs:
            run.start()
        for run in runs:
            run.join()
        assert len(found) == 2
        for name, values in found[0].features.items():
            np.testing.assert_array_equal(found[1].features[name], values)
        assert len(list((tmp_path / "cache").iterdir())) == 4


class StopError(Exception):
    """Stands for a run that was stopped."""


def tables(n: int = 24, seed: int = 0) -> tuple[dict[str, np.ndarray], list[str], list[str]]:
    """Two sets of features that each tell the class, labels and six subjects."""
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % 2
    far = np.where(codes, 3.0, -3.0)[:, None]
    sets = {name: rng.normal(0, 1, (n, 2)) + far for name in ("voice", "skin-9")}
    return sets, ["b" if c else "a" for c in codes], [f"s{i // 2 % 6}" for i in range(n)]


def voices(seed: int = 0) -> tuple[dict[str, np.ndarray], list[str], list[str]]:
    """The first of these sets alone."""
    sets, labels, subjects = tables(seed=seed)
    return {"voice": sets["voice"]}, labels, subjects


def stop_in_fold_2(line: str) -> None:
    if line == "fold 2 of 2":
        raise StopError


@pytest.mark.usefixtures("no_fits")
class TestInterrupted:
    def test_a_second_start_goes_on_and_gives_the_same_bundle(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = train_arrays(*voices(), out=tmp_path / "whole", n_folds=2)
        with pytest.raises(StopError), logged(stop_in_fold_2) as lines:
            train_arrays(*voices(), out=tmp_path / "out", n_folds=2)
        assert "fold 1 of 2" in lines
        assert not (tmp_path / "out").exists()
        with logged() as lines:
            resumed = train_arrays(*voices(), out=tmp_path / "out", n_folds=2)
        assert "fold 1 of 2" not in lines
        assert "fold 2 of 2" in lines
        assert resumed.skill == whole.skill
        features = voices(seed=1)[0]
        np.testing.assert_array_equal(
            resumed.predict_arrays(features), whole.predict_arrays(features)
        )

    @pytest.mark.slow
    def test_folds_of_another_seed_are_not_taken(self, tmp_path: Path) -> None:
        with pytest.raises(StopError), logged(stop_in_fold_2):
            train_arrays(*voices(), out=tmp_path / "out", n_folds=2)
        with logged() as lines:
            train_arrays(*voices(), out=tmp_path / "out", n_folds=2, seed=1)
        assert "fold 1 of 2" in lines

    @pytest.mark.parametrize(
        "end",
        [
            OSError(errno.ENOSPC, "No space left on device"),
            pytest.param(StopError(), marks=pytest.mark.slow),
        ],
    )
    def test_a_full_disk_or_a_stop_leaves_no_half_written_bundle(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: Exception
    ) -> None:
        def write(place: Path, contents: dict[str, bytes], zipped: bool) -> None:
            place.mkdir()
            (place / "bundle.json").write_bytes(contents["bundle.json"][:100])
            raise end

        with monkeypatch.context() as patch:
            patch.setattr(saving, "_write", write)
            rule = "cannot be written: No space left" if isinstance(end, OSError) else ""
            with pytest.raises((BundleError, StopError), match=rule):
                train_arrays(*voices(), out=tmp_path / "out", n_folds=2)
        assert [path.name for path in tmp_path.iterdir()] == [".out.progress"]
        with logged() as lines:
            train_arrays(*voices(), out=tmp_path / "out", n_folds=2)
        assert not any(line.startswith("fold") for line in lines)
        assert [path.name for path in tmp_path.iterdir()] == ["out"]

    @pytest.mark.slow
    def test_an_older_bundle_is_kept_unless_told_otherwise(self, tmp_path: Path) -> None:
        first = train_arrays(*voices(), out=tmp_path / "out.zip", n_folds=2)
        with pytest.raises(BundleError, match=r"out\.zip: exists already"):
            train_arrays({}, [], [], out=tmp_path / "out.zip")
        assert Bundle.load(tmp_path / "out.zip").sha256 == first.sha256
        train_arrays(*voices(), out=tmp_path / "out.zip", n_folds=2, seed=1, overwrite=True)
        assert Bundle.load(tmp_path / "out.zip").seed == 1


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Trained on rows of which every third lacks ``voice``, and one everything."""
    sets, labels, subjects = tables(48)
    sets["voice"][::3] = np.nan
    sets["voice"][0], sets["skin-9"][0] = np.nan, np.nan
    names = ["zebra" if label == "a" else "aardvark" for label in labels]
    with quick_fits(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_stack, "write_report", lambda *given: None)
        folder = tmp_path_factory.mktemp("arrays")
        return train_arrays(sets, names, subjects, out=folder / "out", n_folds=2)


class TestArrays:
    def test_it_predicts_the_labels_in_their_order(self, made: Bundle) -> None:
        assert made.labels == ("aardvark", "zebra")
        sets, labels, _ = tables(40, seed=2)
        table = Bundle.load(made.folder).predict_arrays(sets)
        assert table.shape == (40, 2)
        assert table.dtype == np.float32
        right = (table.argmax(axis=1) == 1) == (np.array(labels) == "a")
        assert right.mean() >= TRAIN_ACCURACY

    def test_rows_say_what_their_own_sets_say_whatever_the_others_lack(self, made: Bundle) -> None:
        sets, labels, _ = tables(40, seed=3)
        whole = made.predict_arrays(sets)
        sets["voice"][:20] = np.nan
        sets["skin-9"][10:30, 1] = np.nan
        table = made.predict_arrays(sets)
        assert np.isnan(table[10:20]).all()
        assert np.isfinite(np.delete(table, range(10, 20), axis=0)).all()
        np.testing.assert_allclose(table[30:], whole[30:], atol=FLOAT32)
        alone = made.predict_arrays({"skin-9": sets["skin-9"][:10]})
        np.testing.assert_allclose(table[:10], alone, atol=FLOAT32)
        right = (table[:10].argmax(axis=1) == 1) == (np.array(labels[:10]) == "a")
        assert right.mean() >= TRAIN_ACCURACY

    def test_what_a_mask_hides_is_missing(self, made: Bundle) -> None:
        voice = tables(20, seed=5)[0]["voice"]
        hidden = np.ma.masked_array(voice, mask=False)
        hidden[:5, 0] = np.ma.masked
        table = made.predict_arrays({"voice": hidden})
        assert np.isnan(table[:5]).all()
        np.testing.assert_array_equal(table[5:], made.predict_arrays({"voice": voice})[5:])

    def test_both_runtimes_agree(self, made: Bundle) -> None:
        sets = tables(20, seed=4)[0]
        sets["voice"][:5] = np.nan
        np.testing.assert_allclose(
            made.predict_arrays(sets, "keras"), made.predict_arrays(sets),
            atol=RUNTIME_TOLERANCE,
        )  # fmt: skip

    def test_skill_is_told_for_all_sets_and_for_each_alone(self, made: Bundle) -> None:
        entries = {tuple(e["modalities"]): e for e in made.skill if e["unit"] == "clip"}
        assert set(entries) == {("voice", "skin-9"), ("voice",), ("skin-9",)}
        together, voice = entries["voice", "skin-9"], entries["voice",]
        assert together["figures"]["balanced_accuracy"]["value"] >= TRAIN_ACCURACY
        # A third of the rows lack it, and are told no better than by the prior.
        assert voice["figures"]["balanced_accuracy"]["value"] < TRAIN_ACCURACY

    def test_it_classifies_no_clips(self, made: Bundle, tone_wav: Path) -> None:
        with pytest.raises(BundleError, match=r"takes arrays \(voice\).* use Bundle\.predict_arr"):
            classify(tone_wav, made)

    @pytest.mark.parametrize(
        ("features", "rule"),
        [
            ({}, "the bundle's features are voice, skin-9; got none"),
            ({"Voice": np.zeros((3, 2))}, "the bundle's features are voice, skin-9; got Voice"),
            ({"voice": [["loud", "low"]]}, "must hold numbers only"),
            ({"voice": [[0.0], [0.0, 1.0]]}, "must hold numbers only"),
            ({"voice": [[0.0, np.inf]]}, "'voice' must hold finite numbers.* got infinity"),
            ({"voice": [[0.0, 1e39]]}, "'voice' must hold finite numbers.* got infinity"),
            ({"voice": np.zeros((3, 5))}, r"'voice' must have shape \(n, 2\)"),
            (
                {"voice": np.zeros((3, 2)), "skin-9": np.zeros((4, 2))},
                "the same number in all",
            ),
        ],
    )
    def test_rows_that_do_not_fit_are_refused(
        self, made: Bundle, features: dict[str, np.ndarray], rule: str
    ) -> None:
        with pytest.raises(ConfigError, match=rule):
            made.predict_arrays(features)

    @pytest.mark.slow
    @pytest.mark.usefixtures("no_fits")
    def test_the_same_seed_gives_the_same_bundle(self, tmp_path: Path) -> None:
        first, second, other = (
            train_arrays(*tables(), out=tmp_path / str(i), n_folds=2, seed=seed)
            for i, seed in enumerate((0, 0, 1))
        )
        sets = tables(seed=1)[0]
        np.testing.assert_array_equal(first.predict_arrays(sets), second.predict_arrays(sets))
        assert first.skill == second.skill
        assert not np.array_equal(first.predict_arrays(sets), other.predict_arrays(sets))

    @pytest.mark.slow
    @pytest.mark.usefixtures("no_fits", "perfect")
    def test_units_do_not_matter(self, tmp_path: Path) -> None:
        sets, labels, subjects = tables()
        fine = {name: 1e-6 * values for name, values in sets.items()}
        coarse = {name: 1e6 * values + 1e6 for name, values in sets.items()}
        table = [
            train_arrays(given, labels, subjects, out=tmp_path / str(i)).predict_arrays(given)
            for i, given in enumerate((sets, fine, coarse))
        ]
        for other in table[1:]:
            # 1e6 + 1e6 x is rounded in float32, and training adds to that: 0.018 on one machine.
            np.testing.assert_allclose(other, table[0], atol=0.05)

    def test_rows_with_holes_are_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def stop(*given: Any, **named: Any) -> None:
            raise StopError

        monkeypatch.setattr(fusion, "train_stack", stop)
        sets, labels, subjects = tables()
        sets["voice"][3, 1] = sets["voice"][4, 0] = np.nan
        sets["voice"][5] = np.nan
        with logged() as lines, pytest.raises(StopError):
            train_arrays(sets, labels, subjects, out=tmp_path / "out")
        assert [line for line in lines if line.startswith("voice: 2 of 24 rows hold NaN in part")]

    @pytest.mark.usefixtures("no_fits", "perfect")
    def test_whole_numbers_are_names_too(self, tmp_path: Path) -> None:
        sets, labels, subjects = tables()
        numbers = np.array([int(label == "a") for label in labels])
        bundle = train_arrays(sets, numbers, [int(s[1:]) for s in subjects], out=tmp_path / "out")
        assert bundle.labels == ("0", "1")

    @pytest.mark.parametrize(
        ("change", "rule"),
        [
            ({"features": {}}, "features must hold at least one array; got none"),
            ({"features": {"openSMILE": np.zeros((24, 2))}}, "lower-case .* got 'openSMILE'"),
            ({"features": {"mfcc": np.zeros((24, 2))}}, "the package's own .* got 'mfcc'"),
            ({"features": {"logits": np.zeros((24, 2))}}, "got 'logits'"),
            ({"features": {"x": np.zeros((23, 2))}}, r"shape \(24, d\).* got \(23, 2\)"),
            ({"features": {"x": np.zeros(24)}}, r"shape \(24, d\).* got \(24,\)"),
            ({"features": {"x": np.full((24, 2), np.inf)}}, "finite numbers.* got infinity"),
            ({"features": {"x": np.full((24, 2), np.nan)}}, "got no row without NaN"),
            ({"features": {"x": np.full((24, 2), "loud")}}, "'x' must hold numbers only"),
            ({"labels": ["a"] * 24}, "two classes or more; got a"),
            ({"labels": [float("nan")] * 24}, "labels must be a list of strings or whole numbers"),
            ({"subjects": ["s1"] * 23}, "subjects must be one for each label; got 23 and 24"),
            ({"labels": "ab" * 12}, "labels must be a list of strings or whole numbers; got 'abab"),
            ({"labels": ["a", ""] * 12}, "labels must be names or whole numbers; got ''"),
            ({"subjects": [None] * 24}, "subjects must be a list of strings or whole numbers"),
            ({"features": np.zeros((24, 2))}, "features must be a Mapping; got array"),
            ({"subjects": ["s1"] * 24}, "at least two subjects; 'a' has one: s1"),
        ],
    )
    def test_what_does_not_fit_is_refused(
        self, tmp_path: Path, change: dict[str, Any], rule: str
    ) -> None:
        sets, labels, subjects = tables()
        given: dict[str, Any] = {"features": sets, "labels": labels, "subjects": subjects}
        with pytest.raises(ConfigError, match=rule):
            train_arrays(**{**given, **change}, out=tmp_path / "out")
        assert list(tmp_path.iterdir()) == []


class TestFormats:
    def test_classes_that_came_from_two_recorders_are_told(self, make_media: MakeMedia) -> None:
        tone = ("-f", "lavfi", "-i", "sine=400:d=0.2", "-ac", "1")
        slow = make_media("slow.wav", *tone, "-ar", "8000")
        fast = make_media("fast.wav", *tone, "-ar", "44100")
        clips = [
            LabelledClip(slow, "hungry", "s1", "manifest"),
            LabelledClip(fast, "tired", "s2", "manifest"),
        ]
        (line,) = format_warnings(clips)
        assert "the sample rate in Hz is 8000 in 'hungry' and 44100 in 'tired'" in line
        mixed = replace(clips[0], label="tired")
        assert format_warnings([*clips, mixed]) == []

    def test_a_clip_that_cannot_be_read_is_passed_over(self, tmp_path: Path) -> None:
        assert format_warnings([LabelledClip(tmp_path / "lost.wav", "a", "s", "file")]) == []
