"""The push engine: pieces of any size, causality, the clip's label."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bundles import BUNDLE_V1
from hypothesis import given, settings
from hypothesis import strategies as st
from streamed import streamed

from cryvision.bundle import Bundle
from cryvision.errors import BundleError, ConfigError, MediaError
from cryvision.inference import label_policy as labelling
from cryvision.inference.classifier import StreamClassifier
from cryvision.inference.clip import classify
from cryvision.inference.label_policy import has_skill

TIMELINE_TOLERANCE = 1e-5  # what the design allows for pieces of other sizes
RATE_HZ = 16_000

SKILLED = {
    "part": "detector",
    "modalities": ["sound"],
    "unit": "window",
    "protocol": "grouped 5-fold",
    "subjects": "phone",
    "figures": {
        "balanced_accuracy": {"value": 0.9, "interval": [0.85, 0.95]},
        "log_loss": {"value": 0.3, "interval": [0.2, 0.4]},
    },
    "chance": 0.5,
    "prior": {"log_loss": 0.69},
}


class LoudIsCry:
    """Stands for a model: a window is cry where its spectrum changes little over time."""

    inputs = ("mel",)
    n_outputs = 1

    def predict(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        spread = inputs["mel"].std(axis=1).mean(axis=1)
        return (1 / (1 + np.exp(spread - 6)))[:, None].astype(np.float32)


@pytest.fixture
def bundle(monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """A bundle whose detector hears steady sounds as crying."""
    monkeypatch.setattr(Bundle, "model", lambda self, part, runtime="onnx": LoudIsCry())
    return Bundle.load(BUNDLE_V1)


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    """Half-second stretches of noise, tone and silence in turn."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    kind = (2 * time_s).astype(int) % 4
    tone = 0.2 * np.sin(2 * np.pi * 450 * time_s) * (1 + 0.3 * np.sin(2 * np.pi * 3 * time_s))
    noise = 0.05 * rng.standard_normal(len(time_s))
    samples = np.where(kind == 0, noise, np.where(kind == 3, 0.0, tone))
    return samples.astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 48_000), max_size=12))
def test_the_sizes_of_the_pieces_make_no_difference(cuts):
    # Without a fixture, because hypothesis would share it between examples.
    bundle = Bundle.load(BUNDLE_V1)
    samples = sound(3.0)
    whole = streamed(bundle, samples)
    pieces = streamed(bundle, *np.split(samples, sorted(cuts)))
    assert whole.timeline.keys() == pieces.timeline.keys()
    for name, column in whole.timeline.items():
        np.testing.assert_allclose(pieces.timeline[name], column, atol=TIMELINE_TOLERANCE)
    assert len(pieces.events) == len(whole.events)
    for a, b in zip(pieces.events, whole.events, strict=True):
        assert (a.onset_s, a.offset_s) == pytest.approx((b.onset_s, b.offset_s))
        assert a.confidence == pytest.approx(b.confidence, abs=TIMELINE_TOLERANCE)


def test_a_frame_knows_nothing_of_what_comes_after_it(bundle):
    samples = sound(4.0)
    changed = samples.copy()
    changed[2 * RATE_HZ :] = 0.3 * np.sin(np.arange(2 * RATE_HZ))
    before, after = streamed(bundle, samples), streamed(bundle, changed)
    n = 2 * 30
    for name in ("cry", "cry_smooth"):
        np.testing.assert_array_equal(before.timeline[name][:n], after.timeline[name][:n])
    assert not np.array_equal(before.timeline["cry"][n:], after.timeline["cry"][n:])


def test_the_timeline_has_a_row_a_frame_and_is_null_before_the_first_window(bundle):
    timeline = streamed(bundle, sound(2.0)).timeline
    assert {len(column) for column in timeline.values()} == {60}
    kinds = {column.dtype for name, column in timeline.items() if name != "time_s"}
    assert kinds == {np.dtype(np.float32)}
    np.testing.assert_array_equal(timeline["time_s"], np.arange(60) / 30)  # exact: float64
    assert np.isnan(timeline["cry"][:15]).all()
    assert np.isfinite(timeline["cry"][15:]).all()


def test_the_timeline_costs_at_most_64_bytes_a_frame(bundle):
    timeline = streamed(bundle, sound(10.0)).timeline
    assert sum(column.itemsize for column in timeline.values()) <= 64


def test_smoothed_scores_are_the_rolling_mean_of_the_raw(bundle):
    timeline = streamed(bundle, sound(4.0), smooth_seconds=0.5).timeline
    raw, smooth = timeline["cry"][15:], timeline["cry_smooth"][15:]
    expected = [raw[max(0, i - 14) : i + 1].mean() for i in range(len(raw))]
    np.testing.assert_allclose(smooth, expected, atol=TIMELINE_TOLERANCE)


def test_where_nothing_was_heard_nothing_is_said_of_crying(bundle):
    result = streamed(bundle, np.zeros(3 * RATE_HZ, np.float32))
    assert result.label == "not sure"
    assert (result.detector.cry, result.detector.probability) == (None, None)
    assert result.probabilities == {}
    assert np.nanmax(result.timeline["cry"]) == 0
    assert any("nothing was scored" in warning for warning in result.warnings)


def test_how_much_was_too_quiet_to_be_judged_is_said(bundle):
    loud, quiet = sound(6.0), np.zeros(6 * RATE_HZ, np.float32)
    (warning,) = (w for w in streamed(bundle, loud, quiet).warnings if "too quiet" in w)
    match = re.fullmatch(r"(\d+)% of the sound is below -60 dBFS, too quiet to be scored", warning)
    assert match is not None
    assert 45 <= int(match[1]) <= 55
    assert not any("too quiet" in w for w in streamed(bundle, loud).warnings)


def test_silence_leaves_the_clip_score_of_a_bundle_of_version_1_as_it_is(bundle):
    steady = (0.2 * np.sin(2 * np.pi * 450 * np.arange(2 * RATE_HZ) / RATE_HZ)).astype(np.float32)
    alone = streamed(bundle, steady).detector.probability
    with_silence = streamed(bundle, steady, np.zeros(20 * RATE_HZ, np.float32)).detector.probability
    # Only the few windows that hold the tone's end differ.
    assert with_silence == pytest.approx(alone, abs=0.25)


def test_no_sound_at_all_is_not_sure(bundle):
    stream = StreamClassifier(bundle)
    for k in range(30):
        stream.push(frame=np.zeros((4, 4, 3), np.uint8), frame_time_s=k / 30)
    result = stream.finish()
    assert (result.label, result.detector.cry, result.modalities) == ("not sure", None, ())
    assert len(result.timeline["cry"]) == 30
    assert np.isnan(result.timeline["cry"]).all()
    assert any("nothing to decide from" in warning for warning in result.warnings)


def test_an_empty_stream_gives_an_empty_timeline(bundle):
    result = StreamClassifier(bundle).finish()
    assert (result.duration_s, len(result.timeline["cry"]), result.events) == (0, 0, ())


def test_a_clip_shorter_than_a_window_is_padded_and_flagged(bundle):
    steady = (0.2 * np.sin(2 * np.pi * 450 * np.arange(6000) / RATE_HZ)).astype(np.float32)
    result = streamed(bundle, steady)
    assert np.isfinite(result.timeline["cry"][-1])
    assert np.isnan(result.timeline["cry"][:-1]).all()
    assert any("shorter than one window" in warning for warning in result.warnings)


def test_pictures_longer_than_the_sound_leave_the_rest_unknown(bundle):
    stream = StreamClassifier(bundle)
    stream.push(sound(1.0))
    stream.push(frame=np.zeros((4, 4, 3), np.uint8), frame_time_s=59 / 30)
    timeline = stream.finish().timeline
    assert len(timeline["cry"]) == 60
    assert np.isfinite(timeline["cry"][15:30]).all()
    assert np.isnan(timeline["cry"][30:]).all()


def test_what_is_no_picture_in_time_is_refused(bundle):
    frame = np.zeros((8, 8, 3), np.uint8)
    for time_s in (float("nan"), float("inf"), "soon", None):
        with pytest.raises(ConfigError, match="frame_time_s"):
            StreamClassifier(bundle).push(frame=frame, frame_time_s=time_s)


def test_events_come_out_of_push_as_they_end(bundle):
    stream = StreamClassifier(bundle)
    given = [e for piece in np.split(sound(6.0), 60) for e in stream.push(piece)]
    pushed = [event for event in given if event.offset_s is not None]
    result = stream.finish()
    assert pushed
    assert list(result.events[: len(pushed)]) == pushed
    assert result.detector.seconds == pytest.approx(sum(e.duration_s for e in result.events))


class TestLabel:
    def test_crying_is_named_only_with_measured_skill(self, bundle):
        unskilled = streamed(bundle, sound(6.0))
        skilled = streamed(replace(bundle, skill=[SKILLED]), sound(6.0))
        assert unskilled.detector.cry
        assert (unskilled.label, skilled.label) == ("not sure", "cry")

    def test_the_policy_always_overrides_and_says_so(self, bundle):
        result = streamed(bundle, sound(6.0), label_policy="always")
        assert result.label == "cry"
        assert any("always" in warning for warning in result.warnings)

    def test_an_unknown_policy_is_refused(self, bundle):
        with pytest.raises(ConfigError, match="label policy must be one of"):
            StreamClassifier(bundle, label_policy="maybe")

    @pytest.mark.parametrize(
        "change",
        [
            {"subjects": "file"},
            {"modalities": ["sound", "face"]},
            {"part": "another"},
            {"chance": 0.9},
            {"prior": {"log_loss": 0.2}},
            {"prior": {}},
            {"figures": {"log_loss": {"value": 0.3}}},
            {"figures": {"balanced_accuracy": {"value": 0.9, "interval": [0.85, 0.95]}}},
        ],
    )
    def test_skill_needs_subjects_chance_beaten_and_the_prior_beaten(self, change):
        assert has_skill([SKILLED], "detector", ("sound",))
        assert not has_skill([{**SKILLED, **change}], "detector", ("sound",))


class TestClassify:
    def test_a_file_gives_what_its_sound_pushed_gives(self, bundle, tone_wav):
        from cryvision.inputs.media import read_sound

        result = classify(tone_wav, bundle)
        pushed = streamed(bundle, read_sound(tone_wav))
        np.testing.assert_allclose(
            result.timeline["cry"], pushed.timeline["cry"], atol=TIMELINE_TOLERANCE
        )
        assert result.path == str(tone_wav)
        assert result.duration_s == pytest.approx(1.0)

    def test_a_video_says_that_the_faces_have_no_say(self, bundle, small_video):
        result = classify(small_video, bundle)
        assert len(result.timeline["cry"]) == pytest.approx(60, abs=1)
        assert any("faces are not used" in warning for warning in result.warnings)

    def test_progress_reaches_the_end(self, bundle, small_video):
        seen: list[tuple[float, float | None]] = []
        classify(small_video, bundle, progress=lambda done, total: seen.append((done, total)))
        assert seen[-1][0] == pytest.approx(2.0, abs=0.1)

    def test_a_missing_file_is_one_line(self, bundle, tmp_path: Path):
        with pytest.raises(MediaError) as caught:
            classify(tmp_path / "none.mp4", bundle)
        assert "none.mp4" in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_bundle_without_a_detector_is_refused(self, bundle, tone_wav):
        with pytest.raises(BundleError, match="must have a detector"):
            classify(tone_wav, replace(bundle, parts=()))

    def test_both_runtimes_agree(self, tone_wav):
        onnx = classify(tone_wav, BUNDLE_V1)
        keras = classify(tone_wav, BUNDLE_V1, runtime="keras")
        assert onnx.detector.probability == pytest.approx(keras.detector.probability, abs=1e-4)


def test_the_label_words_are_those_of_the_design():
    assert (labelling.NO_CRY, labelling.CRY, labelling.NOT_SURE) == ("no cry", "cry", "not sure")
