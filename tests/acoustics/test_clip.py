"""All cries of a clip are measured as each is alone, in one pass and little memory."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from synthetic_cries import draw_cry

from cryvision.acoustics import measure_bouts, measure_clip, measure_cry
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import ConfigError, MediaError
from cryvision.result import Classification, Detection, Event

pytest.importorskip("parselmouth")

MEMORY_GROWTH = 1.05  # what the project promises of long files
QUANTISED = 1e-3  # relative; the file has 16 bits


def classification(path: Path | str, spans: list[tuple[float, float]]) -> Classification:
    events = tuple(Event(onset, offset, "cry", 0.9, -20.0, 20.0) for onset, offset in spans)
    detector = Detection(True, 0.5, sum(event.duration_s for event in events))
    return Classification(str(path), 60.0, "cry", {}, detector, {}, events, (), {}, [])


def crying(folder: Path, n_cries: int, silence_s: float = 0.0) -> Classification:
    """Write a file of cries, and say where they are."""
    rng = np.random.default_rng(10)
    parts, spans, length = [], [], 0
    for _ in range(n_cries):
        cry = draw_cry(rng, 20.0, seconds=0.6)
        spans.append(
            (length / SAMPLE_RATE_HZ + cry.onset_s, length / SAMPLE_RATE_HZ + cry.offset_s)
        )
        parts += [cry.samples, np.zeros(round(silence_s * SAMPLE_RATE_HZ), np.float32)]
        length += len(parts[-2]) + len(parts[-1])
    path = folder / f"{n_cries}-{silence_s:g}.wav"
    soundfile.write(path, np.concatenate(parts), SAMPLE_RATE_HZ)
    return classification(path, spans)


def test_each_cry_is_measured_as_it_is_alone(tmp_path: Path) -> None:
    result = crying(tmp_path, 6)
    samples, _ = soundfile.read(result.path)
    measured = measure_clip(result).acoustics
    assert measured is not None
    assert len(measured.cries) == 6
    for cry, event in zip(measured.cries, result.events, strict=True):
        alone = measure_cry(samples, SAMPLE_RATE_HZ, *event.span_s, above_background_db=20.0)
        assert cry.f0_median_hz == pytest.approx(alone.f0_median_hz, rel=QUANTISED)
        assert cry.hnr_db == pytest.approx(alone.hnr_db, rel=QUANTISED)
        assert cry.level_dbfs == pytest.approx(alone.level_dbfs, rel=QUANTISED)


def test_the_end_of_a_clip_may_cut_a_cry_off(tmp_path: Path) -> None:
    result = crying(tmp_path, 1)
    (event,) = result.events
    samples, _ = soundfile.read(result.path)
    soundfile.write(result.path, samples[: round(event.span_s[1] * SAMPLE_RATE_HZ)], SAMPLE_RATE_HZ)
    measured = measure_clip(result).acoustics
    assert measured is not None
    assert math.isfinite(measured.cries[0].f0_median_hz)


def test_a_clip_without_events_has_no_measures(tmp_path: Path) -> None:
    result = measure_clip(classification(tmp_path / "any.wav", []))
    assert result.acoustics is not None
    assert result.acoustics.cries == result.acoustics.bouts == ()


def test_a_stream_and_a_clip_that_is_gone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="measured from a clip's file"):
        measure_clip(classification("", [(0.0, 1.0)]))
    with pytest.raises(MediaError):
        measure_clip(classification(tmp_path / "gone.wav", [(0.0, 1.0)]))


def test_memory_does_not_grow_with_the_clip(tmp_path: Path) -> None:
    peaks = []
    measure_clip(crying(tmp_path, 2))  # loads what is loaded once
    for silence_s in (10.0, 60.0):
        result = crying(tmp_path, 4, silence_s)
        tracemalloc.start()
        measure_clip(result)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < MEMORY_GROWTH * peaks[0]


def test_the_timing_of_bouts_comes_from_the_events() -> None:
    spans = [(2.0, 2.8), (3.0, 3.6), (4.0, 4.5), (10.0, 11.0)]
    first, second = measure_bouts(classification("a.wav", spans))
    assert (first.bout_s, first.bout_cries, first.bout_latency_s) == (2.5, 3, 2.0)
    assert first.bout_cry_interval_s == pytest.approx(1.0)
    assert first.bout_pause_s == pytest.approx(0.3)
    assert first.bout_cries_per_minute == pytest.approx(72.0)
    assert first.bout_rhythm_npvi == pytest.approx(0.0, abs=1e-9)
    assert (second.bout_cries, second.bout_latency_s) == (1, 5.5)
    assert math.isnan(second.bout_cry_interval_s)
    assert math.isnan(second.bout_rhythm_npvi)


def test_the_gap_of_bouts_decides_what_follows_what(tmp_path: Path) -> None:
    result = crying(tmp_path, 2)  # 0.6 s apart
    apart = measure_clip(replace(result, bout_gap_s=0.5)).acoustics
    together = measure_clip(replace(result, bout_gap_s=1.0)).acoustics
    assert apart is not None
    assert together is not None
    assert math.isnan(apart.cries[0].pause_s)
    assert together.cries[0].pause_s == pytest.approx(0.6)
    assert together.cries[0].cry_interval_s == pytest.approx(1.2)
    assert math.isnan(together.cries[1].pause_s)
