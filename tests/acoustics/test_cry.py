"""What is measured of a cry is what was sung, and what cannot be measured says why."""

from __future__ import annotations

import math
from dataclasses import asdict, fields

import numpy as np
import pytest
from synthetic_cries import CONTOURS, SyntheticCry, draw_cry, draw_mixture, draw_noise, sing

from cryvision.acoustics import CryAcoustics, measure_cry
from cryvision.acoustics.clip import npvi
from cryvision.acoustics.contour import shape
from cryvision.acoustics.phases import find_phases
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import ConfigError

pytest.importorskip("parselmouth")

F0_TOLERANCE_HZ = 5.0  # what the project promises at 20 dB
VIBRATO_TOLERANCE = 0.01  # a frame of 40 ms holds a third of a swing
FORMANT_TOLERANCE = 0.1  # of a formant, with harmonics up to 400 Hz apart
PHASE_TOLERANCE_S = 0.05  # two frames at either end, where a sound fades
LOUD_DB = 30.0


def measured(cry: SyntheticCry, **options: float) -> CryAcoustics:
    options = {"above_background_db": 20.0, **options}
    return measure_cry(cry.samples, SAMPLE_RATE_HZ, cry.onset_s, cry.offset_s, **options)


def reasons(cry: CryAcoustics) -> dict[str, str]:
    """Reason of each measure that is not defined."""
    parts = [part.split(": ") for part in cry.undefined.split("; ") if part]
    return {name: reason for reason, names in parts for name in names.split()}


@pytest.mark.parametrize("contour", CONTOURS)
@pytest.mark.parametrize("middle_hz", [300.0, 450.0, 900.0])
def test_f0_is_that_of_the_contour(contour: str, middle_hz: float) -> None:
    cry = draw_cry(np.random.default_rng(1), 20.0, contour, middle_hz, seconds=0.8)
    found, truth_hz = measured(cry), cry.f0_hz[~np.isnan(cry.f0_hz)]
    near = {"abs": F0_TOLERANCE_HZ, "rel": VIBRATO_TOLERANCE if contour == "vibrato" else 0}
    assert found.f0_median_hz == pytest.approx(np.median(truth_hz), **near)
    assert found.f0_mean_hz == pytest.approx(truth_hz.mean(), **near)
    assert found.voiced_share > 0.9


@pytest.mark.parametrize(
    ("contour", "expected"),
    [("steady", "flat"), ("rising", "rising"), ("falling", "falling"), ("arch", "complex")],
)
def test_the_shape_of_a_contour_has_its_name(contour: str, expected: str) -> None:
    cry = draw_cry(np.random.default_rng(2), 20.0, contour, 400.0, seconds=1.0)
    found = measured(cry)
    assert found.f0_shape == expected
    if expected in ("rising", "falling"):
        assert math.copysign(1, found.f0_slope_hz_per_s) == (1 if expected == "rising" else -1)


def test_a_single_wrong_frame_does_not_change_the_shape() -> None:
    line = np.linspace(400, 500, 60)
    line[30] = 1000
    assert shape(line) == "rising"


def test_the_modes_of_a_mixture_have_their_shares() -> None:
    for seed in range(4):
        mixture = draw_mixture(np.random.default_rng(seed), LOUD_DB)
        found = measure_cry(
            mixture.samples, SAMPLE_RATE_HZ, mixture.onset_s, mixture.offset_s,
            above_background_db=LOUD_DB,
        )  # fmt: skip
        inside = mixture.modes[mixture.modes >= 0]
        for mode, name in enumerate(("phonation", "hyperphonation", "dysphonation")):
            share = getattr(found, f"{name}_share")
            assert share == pytest.approx((inside == mode).mean(), abs=0.12)


def test_more_jitter_shimmer_and_noise_are_measured_as_more() -> None:
    def voice(jitter: float, shimmer: float, snr_db: float) -> CryAcoustics:
        rng = np.random.default_rng(3)
        wave = sing(rng, np.full(SAMPLE_RATE_HZ, 400.0), jitter, shimmer)
        noise = draw_noise(rng, len(wave))
        noise *= np.sqrt(np.mean(wave**2) / np.mean(noise**2)) * 10 ** (-snr_db / 20)
        sound = 0.1 * (wave + noise) / np.abs(wave).max()
        return measure_cry(sound, SAMPLE_RATE_HZ, 0.1, 0.9, above_background_db=LOUD_DB)

    steady = voice(0.0, 0.0, 60.0)
    assert voice(0.01, 0.0, 60.0).jitter_percent > 2 * steady.jitter_percent
    assert voice(0.0, 0.1, 60.0).shimmer_percent > 2 * steady.shimmer_percent
    assert voice(0.0, 0.0, 15.0).hnr_db == pytest.approx(15.0, abs=4.0)
    assert steady.hnr_db > 25


def test_the_formants_are_those_of_the_tract() -> None:
    cry = draw_cry(np.random.default_rng(4), 30.0, "vibrato", 320.0, seconds=1.0)
    found = measured(cry)
    formants_hz = (found.formant1_hz, found.formant2_hz, found.formant3_hz)
    assert formants_hz == pytest.approx((1100.0, 3300.0, 5500.0), rel=FORMANT_TOLERANCE)


def test_expirations_and_inspirations_are_distinguished() -> None:
    rng = np.random.default_rng(5)

    def sound(seconds: float, f0_hz: float, size: float) -> np.ndarray:
        wave = sing(rng, np.full(round(seconds * SAMPLE_RATE_HZ), f0_hz))
        return size * wave / np.sqrt(np.mean(wave**2))

    gap = np.zeros(round(0.1 * SAMPLE_RATE_HZ))
    parts = [gap, sound(1.0, 420, 0.1), gap, sound(0.25, 600, 0.02), gap, sound(0.9, 430, 0.1)]
    whole = np.concatenate([*parts, gap])
    whole = whole + 1e-4 * draw_noise(rng, len(whole))
    options = {"above_background_db": LOUD_DB, "next_onset_s": 1.55}
    found = measure_cry(whole, SAMPLE_RATE_HZ, 0.1, 1.1, **options)
    assert found.expirations == 1
    assert found.expiratory_s == pytest.approx(1.0, abs=PHASE_TOLERANCE_S)
    assert found.inspiratory_s == pytest.approx(0.25, abs=PHASE_TOLERANCE_S)
    assert (found.cry_interval_s, found.pause_s) == pytest.approx((1.45, 0.45))
    alone = measure_cry(whole, SAMPLE_RATE_HZ, 0.1, 1.1, above_background_db=LOUD_DB)
    assert math.isnan(alone.inspiratory_s)
    bout = measure_cry(whole, SAMPLE_RATE_HZ, 0.1, 2.45, above_background_db=LOUD_DB)
    assert bout.expirations == 2


def test_a_sound_in_the_pause_is_no_expiration_of_the_cry() -> None:
    time_s = np.arange(4 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    sounding = ((time_s >= 1.0) & (time_s < 1.7)) | ((time_s >= 2.0) & (time_s < 2.5))
    tone = 0.1 * np.sin(2 * np.pi * 440 * time_s) * sounding
    tone = tone + 1e-4 * draw_noise(np.random.default_rng(6), len(tone))
    options = {"above_background_db": LOUD_DB, "next_onset_s": 3.0}
    found = measure_cry(tone, SAMPLE_RATE_HZ, 1.0, 1.5, **options)
    assert found.expirations == 1
    assert found.expiratory_s == pytest.approx(0.5, abs=PHASE_TOLERANCE_S)


def test_a_short_gap_does_not_part_a_sound_and_a_click_is_none() -> None:
    sounding = np.zeros(100, bool)
    sounding[10:50] = sounding[53:60] = sounding[80:83] = True
    phases = find_phases(np.full(100, -20.0), sounding, 100)
    assert phases.expiratory_s == pytest.approx([0.5])
    assert phases.inspiratory_s == []


NOISY = ("jitter_percent", "shimmer_percent", "hnr_db", "voiced_share", "spectral_centroid_hz")


@pytest.mark.parametrize(
    ("options", "reason", "undefined", "defined"),
    [
        ({"above_background_db": 9.0}, "noise", NOISY, ("f0_median_hz", "level_dbfs", "snr_db")),
        (
            {"recorded_rate_hz": 8000},
            "narrow band",
            ("spectral_centroid_hz", "spectral_tilt_db", "formant1_hz", "formant3_hz"),
            ("f0_median_hz", "jitter_percent", "hnr_db"),
        ),
        ({"above_background_db": math.nan}, "background unknown", ("snr_db",), NOISY),
    ],
)
def test_what_is_not_defined_is_nan_with_its_reason(
    options: dict[str, float], reason: str, undefined: tuple[str, ...], defined: tuple[str, ...]
) -> None:
    found = measured(draw_cry(np.random.default_rng(6), 20.0, "arch", 350.0), **options)
    for name in undefined:
        assert math.isnan(getattr(found, name))
        assert reasons(found)[name] == reason
    for name in defined:
        assert math.isfinite(getattr(found, name))


def test_a_clipped_cry_has_an_f0_and_no_voice_quality() -> None:
    cry = draw_cry(np.random.default_rng(7), 30.0, "arch", 400.0)
    samples = np.clip(cry.samples * 4 / np.abs(cry.samples).max(), -1, 1)
    found = measured(SyntheticCry(samples, cry.f0_hz, cry.onset_s, cry.offset_s, "arch"))
    for name in ("jitter_percent", "shimmer_percent", "hnr_db", "spectral_tilt_db", "level_dbfs"):
        assert reasons(found)[name] == "clipping"
    truth_hz = np.nanmedian(cry.f0_hz)
    assert found.f0_median_hz == pytest.approx(truth_hz, abs=F0_TOLERANCE_HZ)


def test_a_high_voice_has_no_formants() -> None:
    found = measured(draw_cry(np.random.default_rng(8), 20.0, "steady", 900.0))
    assert reasons(found)["formant1_hz"] == "F0 above 500 Hz"
    assert math.isfinite(found.spectral_centroid_hz)


def test_a_cry_that_ends_with_the_sound_is_measured() -> None:
    cry = draw_cry(np.random.default_rng(4), 30.0, "vibrato", 320.0, seconds=1.0)
    cut = cry.samples[: round(cry.offset_s * SAMPLE_RATE_HZ)]
    for late_s in (0.0, 0.02):  # a coder's offset may lie a little behind the end
        found = measure_cry(cut, SAMPLE_RATE_HZ, cry.onset_s, cry.offset_s + late_s)
        assert found.f0_median_hz == pytest.approx(320, abs=F0_TOLERANCE_HZ)
        assert found.expiratory_s == pytest.approx(1.0, abs=PHASE_TOLERANCE_S)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seconds", [0.06, 0.03, 0.001, 0.0])
def test_what_begins_at_the_very_end_has_the_reason(seconds: float) -> None:
    cry = draw_cry(np.random.default_rng(4), 30.0, "vibrato", 320.0, seconds=1.0)
    for n_samples in (400, len(cry.samples)):
        end_s = n_samples / SAMPLE_RATE_HZ
        onset_s = max(0.0, end_s - seconds)
        found = measure_cry(cry.samples[:n_samples], SAMPLE_RATE_HZ, onset_s, end_s + 0.0249)
        assert math.isnan(found.f0_median_hz)
        expected = "too short" if end_s - onset_s < 0.05 else "fewer than 5 voiced frames"
        assert reasons(found)["f0_median_hz"] == expected
        assert math.isnan(found.level_dbfs) == ("level_dbfs" in reasons(found)) == (seconds == 0)


def test_a_cry_of_the_shortest_length_is_measured_wherever_it_is() -> None:
    cry = draw_cry(np.random.default_rng(4), 30.0, "vibrato", 320.0, seconds=1.0)
    for tenths in range(1, 10):
        found = measure_cry(cry.samples, SAMPLE_RATE_HZ, tenths / 10, tenths / 10 + 0.05)
        assert "too short" not in reasons(found).values()


@pytest.mark.parametrize("kind", ["noise", "silence", "too short", "cry"])
def test_every_nan_has_a_reason_and_nothing_else_has(kind: str) -> None:
    rng = np.random.default_rng(9)
    sounds = {
        "noise": 0.05 * draw_noise(rng, SAMPLE_RATE_HZ),
        "silence": np.zeros(SAMPLE_RATE_HZ),
        "too short": draw_cry(rng, 20.0).samples[:SAMPLE_RATE_HZ],
        "cry": draw_cry(rng, 20.0, seconds=1.0).samples[:SAMPLE_RATE_HZ],
    }
    offset_s = 0.43 if kind == "too short" else 0.9
    found = measure_cry(sounds[kind], SAMPLE_RATE_HZ, 0.4, offset_s)
    missing = {
        name
        for name, value in asdict(found).items()
        if (isinstance(value, float) and math.isnan(value)) or value == ""
    }
    assert missing - {"undefined"} == set(reasons(found))
    assert {field.name for field in fields(found)} > set(reasons(found))


@pytest.mark.parametrize(
    ("samples", "onset_s", "offset_s"),
    [
        (np.zeros((2, 100)), 0.0, 0.001),
        (np.full(16000, np.nan), 0.0, 1.0),
        (np.zeros(16000), 0.5, 0.5),
        (np.zeros(16000), -0.1, 0.5),
        (np.zeros(16000), 0.5, 1.5),
        (np.zeros(16000, np.int32), 0.0, 0.5),
        (np.zeros(16000, np.complex64), 0.0, 0.5),
        (np.zeros(16000, bool), 0.0, 0.5),
        ([[0.0], [0.0, 1.0]], 0.0, 0.5),
    ],
)
def test_what_is_no_cry_in_a_sound_is_refused(
    samples: np.ndarray, onset_s: float, offset_s: float
) -> None:
    with pytest.raises(ConfigError):
        measure_cry(samples, SAMPLE_RATE_HZ, onset_s, offset_s)


@pytest.mark.parametrize("rate_hz", [0, -16_000, math.nan, math.inf])
def test_what_is_no_sample_rate_is_refused(rate_hz: float) -> None:
    with pytest.raises(ConfigError, match="sample_rate_hz must be positive"):
        measure_cry(np.zeros(16000), rate_hz, 0.0, 0.5)


def test_a_list_and_whole_numbers_of_16_bits_are_sound_too() -> None:
    whole = (32767 * draw_cry(np.random.default_rng(0), 20.0).samples).astype(np.int16)
    sound = whole[:SAMPLE_RATE_HZ] / np.float32(32768)
    found = measure_cry(sound, SAMPLE_RATE_HZ, 0.4, 0.9)
    for same in (sound.tolist(), whole[:SAMPLE_RATE_HZ]):
        assert measure_cry(same, SAMPLE_RATE_HZ, 0.4, 0.9) == found


def test_a_steady_beat_has_no_variability_and_long_short_has_much() -> None:
    assert npvi([1.0, 1.0, 1.0]) == 0
    assert npvi([1.0, 3.0, 1.0]) == pytest.approx(100.0)
    assert math.isnan(npvi([1.0]))
