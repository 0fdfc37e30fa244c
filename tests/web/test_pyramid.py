"""A long clip is drawn at once, at any zoom, and a short cry in it stays visible."""

from __future__ import annotations

import io
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cryvision.errors import MediaError
from cryvision.web.pyramid import Pyramid, Pyramids, PyramidWriter, write_pyramid
from cryvision.web.results import pooled_tracks

RATE_HZ = 16_000
LONG_S = 600
"""An hour takes as long to draw, and much longer to make; the benchmark does."""

STEP_SECONDS = 0.1
"""What the project promises for a step of zoom, drawing included."""


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Pyramid:
    """Faint noise with a click of a millisecond half-way."""
    folder = tmp_path_factory.mktemp("long")
    writer = PyramidWriter(folder)
    minute = np.random.default_rng(0).normal(0, 0.001, 60 * RATE_HZ).astype(np.float32)
    for number in range(10):
        block = minute
        if number == 5:
            block = minute.copy()
            block[:16] = 0.9
        writer.push(block)
    writer.finish()
    return Pyramid(folder)


def test_a_click_is_seen_from_afar(long_clip: Pyramid) -> None:
    peaks = long_clip.peaks(0.0, LONG_S, 1000)
    # A row of the pyramid may lie on the border of two stretches.
    assert peaks[499:501, 1].max() == pytest.approx(0.9, abs=1e-3)
    assert np.delete(peaks[:, 1], [499, 500]).max() < 0.02


@pytest.mark.parametrize("span_s", [LONG_S, 60.0, 5.0, 0.05])
def test_each_step_of_zoom_takes_the_same_short_time(long_clip: Pyramid, span_s: float) -> None:
    long_clip.spectrogram_png(0.0, 1.0, 10, 10)  # libraries are loaded
    start_s = LONG_S / 2 - span_s / 2
    best = np.inf
    for _ in range(5):
        begun = time.perf_counter()
        long_clip.peaks(start_s, start_s + span_s, 1200)
        long_clip.spectrogram_png(start_s, start_s + span_s, 1200, 128)
        best = min(best, time.perf_counter() - begun)
    assert best < STEP_SECONDS


def test_what_lies_outside_the_sound_is_empty(long_clip: Pyramid) -> None:
    assert not long_clip.peaks(LONG_S + 10, LONG_S + 20, 50).any()
    edge = long_clip.peaks(LONG_S - 1, LONG_S + 1, 10)
    assert edge[:5].any()
    assert not edge[6:].any()


def test_the_sizes_of_the_pieces_make_no_difference(tmp_path: Path) -> None:
    sound = np.random.default_rng(1).normal(0, 0.1, 50_001).astype(np.float32)
    pictures = []
    for name, size in (("a", 50_001), ("b", 777)):
        folder = tmp_path / name
        folder.mkdir()
        writer = PyramidWriter(folder)
        for first in range(0, len(sound), size):
            writer.push(sound[first : first + size])
        writer.finish()
        pyramid = Pyramid(folder)
        pictures.append((pyramid.peaks(0, 3, 90), pyramid.spectrogram_png(0, 3, 90, 64)))
    assert np.array_equal(pictures[0][0], pictures[1][0])
    assert pictures[0][1] == pictures[1][1]


def test_a_quiet_clip_is_darker_than_the_same_one_loud(tmp_path: Path) -> None:
    from PIL import Image

    sound = np.random.default_rng(2).normal(0, 0.3, RATE_HZ).astype(np.float32)
    brightness = []
    for gain in (1.0, 0.1, 0.01, 0.0001):
        writer = PyramidWriter(tmp_path / str(gain))
        writer.push(np.float32(gain) * sound)
        writer.finish()
        png = Pyramid(tmp_path / str(gain)).spectrogram_png(0, 1, 60, 64)
        brightness.append(np.asarray(Image.open(io.BytesIO(png)).convert("L"), float).mean())
    assert brightness[0] > 1.3 * brightness[1] > 1.3**2 * brightness[2]
    assert brightness[3] < 5  # black, of 255


def test_what_was_not_looked_at_for_longest_is_removed_and_made_anew(
    tone_wav: Path, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        write_pyramid(tone_wav, folder)
    one = sum(path.stat().st_size for path in folders[0].iterdir())
    before = Pyramid(folders[1]).peaks(0, 1, 50)
    assert before.max() > 0.4
    pyramids = Pyramids(round(2.5 * one))
    pyramids.keep(folders[0])
    pyramids.keep(folders[1])
    pyramids.get(folders[0], tone_wav)
    pyramids.keep(folders[2])
    assert [folder.exists() for folder in folders] == [True, False, True]
    again = pyramids.get(folders[1], tone_wav).peaks(0, 1, 50)
    assert np.array_equal(again, before)
    assert [folder.exists() for folder in folders] == [False, True, True]
    shutil.rmtree(folders[2])  # with its clip; it takes nobody's place any more
    pyramids.get(folders[0], tone_wav)
    assert [folder.exists() for folder in folders] == [True, True, False]


def test_a_pyramid_is_whole_for_whoever_reads_while_others_take_its_place(
    tone_wav: Path, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in "ab"]
    pyramids = Pyramids(1)  # there is room for one of them

    def loudest(number: int) -> float:
        return float(pyramids.get(folders[number % 2], tone_wav).peaks(0, 1, 50).max())

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(loudest, range(60)))
    assert min(found) == max(found) > 0.4
    assert len(list(tmp_path.iterdir())) == 1 + tone_wav.is_relative_to(tmp_path)


def test_a_clip_that_is_gone_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(MediaError):
        Pyramids(1).get(tmp_path / "results" / "pyramid", tmp_path / "gone.wav")
    assert not list(tmp_path.iterdir())


def test_a_clip_without_sound_is_drawn_empty(tmp_path: Path) -> None:
    PyramidWriter(tmp_path).finish()
    pyramid = Pyramid(tmp_path)
    assert not pyramid.peaks(0.0, 10.0, 100).any()
    assert pyramid.spectrogram_png(0.0, 10.0, 100, 50).startswith(b"\x89PNG")


def test_tracks_keep_the_largest_value_and_what_is_unknown() -> None:
    values = np.full(3000, np.nan, np.float32)
    values[1500] = 0.8
    values[2100:2400] = 0.0  # too quiet for a score
    time_s, columns = pooled_tracks({"time_s": np.arange(3000) / 30, "cry": values}, 0, 100, 10)
    assert time_s.tolist() == [10.0 * n for n in range(10)]
    assert columns["cry"][5] == np.float32(0.8)
    assert np.isnan(np.delete(columns["cry"], 5)).all()
