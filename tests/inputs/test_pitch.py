"""F0 of tones, glides and harmonics is found; noise, silence and other ranges have none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryvision.inputs.pitch import PitchStream, PitchTrack

RATE_HZ = 16_000
TONE_TOLERANCE = 0.005  # of F0: a parabola through three lags of 1/16 ms, worst near 1 kHz
GLIDE_TOLERANCE = 0.01  # of F0, which moves by 1 % within a frame of the glides below


def track(samples: np.ndarray) -> PitchTrack:
    stream = PitchStream()
    stream.push(samples.astype(np.float32))
    return stream.track()


def harmonics(f0_hz: np.ndarray | float, seconds: float = 1.0, n: int = 5) -> np.ndarray:
    """A voice-like sound: harmonics of falling strength, below 3.4 kHz as on a phone."""
    f0_hz = np.broadcast_to(f0_hz, round(seconds * RATE_HZ))
    phase = 2 * np.pi * np.cumsum(f0_hz) / RATE_HZ
    parts = [np.where(k * f0_hz < 3400, np.sin(k * phase + k) / k, 0) for k in range(1, n + 1)]
    return 0.2 * np.sum(parts, axis=0)


@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize("f0_hz", [201, 250, 333.3, 450, 612, 777, 905, 995])
def test_the_f0_of_a_tone_is_found_in_every_frame(f0_hz, n):
    f0 = track(harmonics(f0_hz, n=n)).f0_hz
    assert f0 == pytest.approx(np.full(len(f0), f0_hz), rel=TONE_TOLERANCE)


@pytest.mark.parametrize(("start_hz", "end_hz"), [(300, 800), (900, 350)])
def test_a_glide_is_followed(start_hz, end_hz):
    f0_hz = np.geomspace(start_hz, end_hz, 2 * RATE_HZ)
    found = track(harmonics(f0_hz, seconds=2.0))
    expected = np.interp(found.time_s, np.arange(len(f0_hz)) / RATE_HZ, f0_hz)
    assert found.f0_hz == pytest.approx(expected, rel=GLIDE_TOLERANCE)


@pytest.mark.parametrize("f0_hz", [100, 150, 190, 1050, 1300, 1999])
def test_what_lies_outside_the_range_is_left_out_and_not_folded_into_it(f0_hz):
    assert np.isnan(track(harmonics(f0_hz, n=1)).f0_hz).all()


def test_noise_silence_and_clicks_have_no_f0():
    rng = np.random.default_rng(0)
    clicks = np.zeros(RATE_HZ)
    clicks[::4000] = 0.9
    for samples in (0.1 * rng.standard_normal(RATE_HZ), np.zeros(RATE_HZ), clicks):
        assert np.isnan(track(samples).f0_hz).all()


def test_a_sound_below_60_db_under_full_scale_has_no_f0():
    tone = np.sin(2 * np.pi * 450 * np.arange(RATE_HZ) / RATE_HZ)
    assert np.isnan(track(1e-3 * tone).f0_hz).all()
    assert np.isfinite(track(2e-3 * tone).f0_hz).all()


def test_ten_decibels_of_noise_below_a_cry_do_not_hide_it():
    cry = harmonics(450)
    noise = np.random.default_rng(1).standard_normal(len(cry))
    noise *= np.sqrt(np.mean(cry**2) / 10)
    f0_hz = track(cry + noise).f0_hz
    assert np.isfinite(f0_hz).mean() > 0.9
    assert np.nanmedian(f0_hz) == pytest.approx(450, rel=TONE_TOLERANCE)


def test_only_frames_inside_the_stretches_count():
    low, high = harmonics(300), harmonics(600)
    found = track(np.concatenate([low, high, low]))
    inside = found.within([(1.05, 1.95)])
    assert inside == pytest.approx(np.full(len(inside), 600), rel=TONE_TOLERANCE)
    assert len(inside) == pytest.approx(0.9 / 0.02, abs=1)
    assert len(found.within([])) == 0
    assert len(found.within([(0.1, 0.3), (2.1, 2.3)])) == pytest.approx(20, abs=1)


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 12_000), max_size=8))
def test_the_sizes_of_the_pieces_make_no_difference(cuts):
    samples = harmonics(np.geomspace(250, 700, 12_000), seconds=0.75).astype(np.float32)
    stream = PitchStream()
    for piece in np.split(samples, sorted(cuts)):
        stream.push(piece)
    np.testing.assert_array_equal(stream.track().f0_hz, track(samples).f0_hz)


def test_a_sound_shorter_than_a_frame_has_no_frames():
    assert len(PitchStream().track().f0_hz) == 0
    assert len(track(np.zeros(100)).f0_hz) == 0


@pytest.mark.corpus
def test_on_real_crying_most_frames_have_an_f0_that_infants_cry_at(corpus):
    from recordings import donateacry_segments

    from cryvision.datasets.annotated import cry_intervals
    from cryvision.inputs.media import read_sound

    folder = corpus / "donateacry-corpus" / "donateacry_corpus_cleaned_and_updated_data"
    clips = donateacry_segments(folder, corpus / "cry-segments")[::40]
    inside, n_inside = [], 0.0
    for clip in clips:
        bouts = [(i.start_s, i.end_s) for i in cry_intervals(clip.intervals)]
        inside.append(track(read_sound(clip.path)).within(bouts))
        n_inside += sum(end - start for start, end in bouts) / 0.02
    voiced = np.concatenate(inside)
    # Measured on every 12th clip: 59 % of the frames, median of the clips' medians 417 Hz.
    assert len(voiced) / n_inside > 0.4
    assert 350 < np.median(voiced) < 550
