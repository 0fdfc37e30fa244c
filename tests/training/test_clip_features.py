"""Labelled clips become rows: those windows alone that classifying would give a reason for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import lab
import numpy as np
import pytest
import two_parts
from bundles import REASON_SOUNDS, glides, reasons_bundle

from cryvision.bundle import Bundle
from cryvision.datasets.labelled import LabelledClip
from cryvision.errors import CryvisionError
from cryvision.inference.class_stream import ReasonStream
from cryvision.inference.clip import classify
from cryvision.inference.detector import CryDetector
from cryvision.inputs import media
from cryvision.inputs.features import sound_windows
from cryvision.inputs.media import read_sound
from cryvision.training.clip_features import crying_windows

HALF_PRECISION = 1e-3
"""Relative: float16 has eleven bits."""

PIECES_DB = 1e-3
"""Decibels by which features may differ with the sizes of the pieces they come in."""

LABELS = ("hungry", "tired")


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Its detector hears tones as crying; its windows are those of the sounds below."""
    return reasons_bundle(tmp_path_factory)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[LabelledClip]:
    """Crying with a pause, silence, and crying that is shorter than a window."""
    folder = tmp_path_factory.mktemp("clips")
    sounds = {
        "tired": ("long", glides(6.0)),
        "hungry": ("short", glides(0.7)),
        "quiet": ("silent", np.zeros(32_000, np.float32)),
    }
    return [
        LabelledClip(
            lab.write_wav(folder / f"{name}.wav", samples),
            label if label in LABELS else "hungry",
            f"baby of {name}",
            "manifest",
        )
        for label, (name, samples) in sounds.items()
    ]


def test_the_windows_are_those_that_classifying_gives_reasons_for(
    gate: Bundle, clips: list[LabelledClip]
) -> None:
    samples, unreadable = crying_windows(clips, LABELS, REASON_SOUNDS, gate)
    assert not unreadable
    sound = read_sound(clips[0].path)
    stream = ReasonStream.of(gate, "onnx", None)
    assert stream is not None
    windows = stream.push(sound, CryDetector(gate).push(sound))
    crying = np.isfinite(windows.predictions).all(axis=1)
    assert 0 < crying.sum() < len(crying)
    # The short clip is one padded window, the silent one has none.
    np.testing.assert_array_equal(samples.clips, ["0"] * crying.sum() + ["1"])
    np.testing.assert_array_equal(samples.labels, [1] * crying.sum() + [0])
    assert set(samples.subjects) == {"baby of long", "baby of short"}
    for name, config in REASON_SOUNDS.items():
        values = samples.features[name]
        assert values.dtype == np.float16
        expected = sound_windows(sound, config).inputs[crying]
        np.testing.assert_allclose(
            values[:-1].astype(np.float32), expected, rtol=HALF_PRECISION, atol=PIECES_DB
        )
        padded = sound_windows(read_sound(clips[1].path), config).inputs
        np.testing.assert_allclose(
            values[-1:].astype(np.float32), padded, rtol=HALF_PRECISION, atol=PIECES_DB
        )


def test_of_two_parts_the_windows_are_those_that_the_tagger_leaves(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    gate = two_parts.reasons_behind_two_parts(tmp_path_factory)
    sound = two_parts.tones(6.0, edges=[(0.5, 2.6), (3.5, 5.5)], cry=[(0.6, 2)], music=[(3.5, 5)])
    clip = LabelledClip(lab.write_wav(tmp_path / "a.wav", sound), "tired", "a baby", "manifest")
    samples, _ = crying_windows([clip], LABELS, REASON_SOUNDS, gate)
    sound_read = read_sound(clip.path)
    timeline = classify(clip.path, gate).timeline
    config = REASON_SOUNDS["mfcc"]
    ends = np.arange(config.window_samples, len(sound_read), config.hop_samples)
    crying = np.isfinite(timeline["hungry"][-(-ends * 30 // 16_000)])
    assert 0 < crying.sum() < len(crying) / 2
    assert len(samples) == crying.sum()
    for name, settings in REASON_SOUNDS.items():
        expected = sound_windows(sound_read, settings).inputs[: len(ends)][crying]
        np.testing.assert_allclose(
            samples.features[name].astype(np.float32), expected, rtol=HALF_PRECISION, atol=PIECES_DB
        )


def test_without_a_gate_every_window_counts(clips: list[LabelledClip]) -> None:
    samples, _ = crying_windows(clips, LABELS, REASON_SOUNDS, None)
    counts = {clip: int(np.sum(samples.clips == clip)) for clip in "012"}
    assert counts == {"0": 26, "1": 1, "2": 6}
    # A constant window gives zeros.
    assert not samples.features["stft"][samples.clips == "2"].any()


def test_an_altered_copy_is_another_sound_and_always_the_same(
    clips: list[LabelledClip], tmp_path: Path
) -> None:
    original = clips[0]
    copies = [original, replace(original, copy=1), replace(original, copy=2)]
    cache = tmp_path / "cache"
    first, _ = crying_windows(copies, LABELS, REASON_SOUNDS, None, cache=cache)
    again, _ = crying_windows(copies, LABELS, REASON_SOUNDS, None, cache=cache)
    alone, _ = crying_windows(copies, LABELS, REASON_SOUNDS, None)
    n = min(int(np.sum(first.clips == clip)) for clip in "012")
    assert n > 20  # about the 6 s of the original
    sound_read = [first.features["mfcc"][first.clips == clip][:n] for clip in "012"]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(sound_read[one] - sound_read[other]).mean() > 1.0
    for other in (again, alone):
        np.testing.assert_array_equal(first.features["mfcc"], other.features["mfcc"])
    stretch = replace(original, copy=1, start_s=1.0, end_s=4.0)
    shorter, _ = crying_windows([stretch], LABELS, REASON_SOUNDS, None)
    assert 8 < len(shorter) < 16


ROUNDED_DB = 0.1
"""The stretch that is written to a file of its own is rounded to 16 bits once more."""


def test_of_a_stretch_nothing_outside_is_heard(clips: list[LabelledClip], tmp_path: Path) -> None:
    stretch = replace(clips[0], start_s=0.5, end_s=3.25)
    cut = lab.write_wav(tmp_path / "cut.wav", read_sound(clips[0].path)[8_000:52_000])
    both = [
        crying_windows([clip], LABELS, REASON_SOUNDS, None)[0]
        for clip in (stretch, replace(clips[0], path=cut))
    ]
    for name in REASON_SOUNDS:
        assert both[0].features[name].shape[0] == 9
        one, other = (samples.features[name].astype(np.float32) for samples in both)
        assert np.abs(one - other).mean() < ROUNDED_DB


def test_a_clip_that_cannot_be_read_is_one_line_and_the_rest_goes_on(
    clips: list[LabelledClip], small_video: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.wav"
    text.write_text("no sound")
    missing = replace(clips[0], path=tmp_path / "missing.wav")
    broken = replace(clips[0], path=text)
    seen: list[tuple[int, int]] = []
    samples, unreadable = crying_windows(
        [missing, clips[1], broken],
        LABELS,
        REASON_SOUNDS,
        None,
        lambda done, total: seen.append((done, total)),
    )
    assert set(samples.clips) == {"1"}
    assert len(unreadable) == 2
    for line, name in zip(unreadable.values(), ("missing.wav", "text.wav"), strict=True):
        assert name in line
        assert "\n" not in line
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_clip_without_sound_is_one_line(
    clips: list[LabelledClip], make_media: object, tmp_path: Path
) -> None:
    silent = make_media(  # type: ignore[operator]
        "pictures.mp4", "-f", "lavfi", "-i", "testsrc=s=64x48:r=30:d=1", "-c:v", "mpeg4"
    )
    mute = replace(clips[0], path=silent)
    samples, unreadable = crying_windows([mute, clips[1]], LABELS, REASON_SOUNDS, None)
    assert set(samples.clips) == {"1"}
    (line,) = unreadable.values()
    assert "pictures.mp4" in line
    assert "sound" in line


def test_where_nobody_cries_nothing_can_be_learned(gate: Bundle, clips: list[LabelledClip]) -> None:
    with pytest.raises(CryvisionError, match="training needs clips with crying in them"):
        crying_windows(clips[2:], LABELS, REASON_SOUNDS, gate)


def test_a_cache_gives_the_same_and_is_used_again(
    gate: Bundle, clips: list[LabelledClip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cryvision.training import clip_features

    cache = tmp_path / "cache"
    plain, _ = crying_windows(clips, LABELS, REASON_SOUNDS, gate)
    first, _ = crying_windows(clips, LABELS, REASON_SOUNDS, gate, cache=cache)

    def refuse(clip: LabelledClip, *given: object) -> None:
        raise AssertionError(f"{clip.path} was read again")

    monkeypatch.setattr(clip_features, "clip_windows", refuse)
    again, _ = crying_windows(clips, LABELS, REASON_SOUNDS, gate, cache=cache)
    for found in (first, again):
        np.testing.assert_array_equal(found.clips, plain.clips)
        for name, values in plain.features.items():
            np.testing.assert_array_equal(found.features[name], values)
    # Another stretch, gate or setting is another matter.
    for change in ({"clips": [replace(clips[0], end_s=2.0)]}, {"gate": None}, {"sounds": {}}):
        given = {"clips": clips, "gate": gate, "sounds": REASON_SOUNDS, **change}
        if not given["sounds"]:
            given["sounds"] = {"mfcc": replace(REASON_SOUNDS["mfcc"], n_mels=30)}
        with pytest.raises(AssertionError, match="was read again"):
            crying_windows(given["clips"], LABELS, given["sounds"], given["gate"], cache=cache)


def test_all_altered_copies_of_a_clip_are_made_from_one_decoding(
    clips: list[LabelledClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []

    def counted(path: Path, *times: float | None) -> np.ndarray:
        decoded.append(path)
        return read_sound(path, *times)

    monkeypatch.setattr(media, "read_sound", counted)
    copies = [replace(clip, copy=number) for clip in clips[:2] for number in (1, 2, 3)]
    crying_windows(copies, LABELS, REASON_SOUNDS, None)
    assert decoded == [clip.path for clip in clips[:2]]
