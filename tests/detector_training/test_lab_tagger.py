"""What becomes of the tagger when a laboratory trains a detector of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import lab
import numpy as np
import pytest
from logged import logged
from shipped_networks import build_tagger
from two_parts import two_part_bundle

from cryvision.augmentation.negatives import negative
from cryvision.bundle import Bundle
from cryvision.bundle.saving import Description
from cryvision.config import VetoConfig
from cryvision.detector_training import lab_tagger
from cryvision.detector_training import train as detection
from cryvision.detector_training.calibration import Calibration
from cryvision.detector_training.saving import save_detector
from cryvision.detector_training.train import train_detector
from cryvision.inference.clip import classify
from cryvision.models.tagger import CONTEXT, TAGS

OTHERS_EACH = 5
"""Recordings of each of four babies without crying."""

ENOUGH = 20
"""Recordings without crying from which a head is tried here, for each takes long."""

SAME = 1e-6


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """A training that fits no edges and makes no copies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detection, "SYNTHETIC_PER_FAMILY", 1)
        patch.setattr(detection, "fit_frame_network", lambda *given: lab.peak_edges())
        patch.setattr(detection, "altered_copies", lambda sound, rng: [])
        yield


def train(source: Path, out: Path, base: Bundle) -> tuple[Bundle, str]:
    """Train on a lab; give the bundle, and what was said of its tagger."""
    with logged() as log:
        bundle = train_detector(
            source, out, subject_pattern=lab.SUBJECT_PATTERN, n_folds=2, base=base
        )
    (note,) = [line for line in log if line.startswith("tagger: ")]
    assert bundle.notes == note
    return bundle, note


def test_the_tagger_and_its_levels_are_those_of_the_base(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = two_part_bundle(tmp_path_factory)
    bundle, note = train(lab.write_lab(tmp_path / "lab"), tmp_path / "out", base)
    assert bundle.tagger == base.tagger  # its files by their hashes, too
    assert note.startswith(
        "tagger: kept as it is, for a head of its own needs 50 recordings without crying; got 4"
    )
    # It takes the higher harmonics of the made-up crying for crying.
    assert note.endswith("; veto: keeps 100% of the labelled event time")
    assert bundle.veto is not None
    assert base.veto is not None
    assert bundle.veto != base.veto
    calibration = {"temperature": base.veto.temperature, "bias": base.veto.bias}
    assert replace(bundle.veto, **calibration) == base.veto
    assert {"event_f1", "event_f1_fused", "bout_f1_fused"} <= set(bundle.skill[0]["figures"])
    assert [entry["name"] for entry in bundle.sources] == ["none", "lab"]


def test_a_veto_that_would_take_most_of_the_crying_is_left_out(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = two_part_bundle(tmp_path_factory)
    assert base.veto is not None
    deaf = replace(base, veto=replace(base.veto, normal_at=1.0, normal_near=1.0))
    bundle, note = train(lab.write_lab(tmp_path / "lab"), tmp_path / "out", deaf)
    assert note.endswith("; veto: left out, for it keeps 0% of the labelled event time")
    assert (bundle.tagger, bundle.veto) == (base.tagger, None)
    clip = lab.write_wav(tmp_path / "new.wav", lab.crying(99)[0])
    assert len(classify(clip, bundle).events) == 2


def train_head(source: Path, out: Path, base: Bundle) -> tuple[Bundle, str]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (detection, lab_tagger):
            patch.setattr(module, "LEAST_NEGATIVES", ENOUGH)
        return train(source, out, base)


@pytest.fixture(scope="module")
def noisy_lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four babies with many recordings of other sounds."""
    folder = lab.write_lab(tmp_path_factory.mktemp("noisy") / "lab")
    for baby, subject in enumerate(lab.SUBJECTS):
        for number in range(OTHERS_EACH - 1):
            rng = np.random.default_rng([baby, number])
            family = ("coloured_noise", "clicks", "rumble_and_wind")[number % 3]
            clip = lab.write_wav(folder / subject / f"{number}.wav", negative(rng, family, 2.0))
            lab.write_labels(clip, "csv", [])
    return folder


@pytest.fixture(scope="module")
def gullible(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle whose tagger is untrained, and takes everything for crying."""
    import keras

    keras.utils.set_random_seed(0)
    tagger = build_tagger()
    kernel, bias = tagger.get_layer("logits").get_weights()
    bias[0] = 3.0
    tagger.get_layer("logits").set_weights([kernel, bias])
    return save_detector(
        lab.peak_edges(),
        Calibration(1.0, 0.0, 0.5),
        np.random.default_rng(0).normal(-8, 2, (4, 200, 64)),
        tmp_path_factory.mktemp("base") / "base",
        Description("gullible", veto=VetoConfig()),
        tagger=tagger,
    )


@pytest.fixture(scope="module")
def helped(
    quick: None, noisy_lab: Path, gullible: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Bundle, str]:
    return train_head(noisy_lab, tmp_path_factory.mktemp("helped") / "out", gullible)


def tag_scores(bundle: Bundle, runtime: str) -> np.ndarray:
    windows = np.random.default_rng(1).normal(0, 1, (6, CONTEXT.window_frames, CONTEXT.n_mels))
    assert bundle.tagger is not None
    return bundle.model(bundle.tagger, runtime).predict({"logmel": windows.astype(np.float32)})


# What is decided on a head, without a training around it, is tested with the heads.


@pytest.mark.slow
def test_a_head_that_helps_is_kept(
    helped: tuple[Bundle, str], gullible: Bundle, tmp_path: Path
) -> None:
    bundle, note = helped
    assert note.startswith("tagger: with a head trained here, AUC ")
    assert "on windows of new subjects against the tagger's" in note
    assert bundle.tagger is not None
    assert gullible.tagger is not None
    assert (bundle.tagger.tags, bundle.tagger.logmel) == (TAGS, CONTEXT)
    for runtime in ("onnx", "keras"):
        before, after = (tag_scores(b, runtime) for b in (gullible, bundle))
        assert after[:, 1:] == pytest.approx(before[:, 1:], abs=SAME)
        assert np.abs(after[:, 0] - before[:, 0]).min() > 1e-3
    assert bundle.veto is not None
    assert bundle.veto.normal_at == VetoConfig().normal_at
    clip = lab.write_wav(tmp_path / "new.wav", lab.crying(99)[0])
    assert len(classify(clip, bundle).events) == 2


@pytest.mark.slow
def test_a_head_that_does_not_help_is_not_kept(
    helped: tuple[Bundle, str], noisy_lab: Path, tmp_path: Path
) -> None:
    base, _ = helped
    bundle, note = train_head(noisy_lab, tmp_path / "out", base)
    assert note.startswith(
        "tagger: kept as it is, for a head trained here is not better beyond doubt: AUC "
    )
    assert bundle.tagger == base.tagger
