"""A file read as if it were live gives the events that `classify` gives."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import leftovers
import numpy as np
import pytest
from listening import read_until, seconds, sound
from pages import ROOT
from waiting import comes_true

import cryvision
from cryvision.bundle import Bundle
from cryvision.errors import MediaError
from cryvision.inference.classifier import StreamClassifier
from cryvision.monitor.sources.clip_file import ClipFile

PACE_TOLERANCE_S = 0.5
"""A busy machine may be late by so much; never early."""

SCORE_TOLERANCE = 1e-5
"""Other sizes of pieces are other sums in single precision."""


def test_it_gives_the_events_of_classify() -> None:
    demo = ROOT / "examples" / "demo.mp4"
    bundle = Bundle.load(None)
    stream, events = StreamClassifier(bundle), []
    for piece in ClipFile(demo, realtime=False).pieces(threading.Event()):
        events += stream.push(piece.samples, piece.frame, piece.frame_time_s)
    expected = cryvision.classify(demo, bundle)
    found = stream.finish().events
    assert expected.events
    assert [(e.onset_s, e.offset_s, e.label) for e in found] == [
        (e.onset_s, e.offset_s, e.label) for e in expected.events
    ]
    np.testing.assert_allclose(
        [e.confidence for e in found], [e.confidence for e in expected.events], atol=SCORE_TOLERANCE
    )
    ended = [e.onset_s for e in events if e.offset_s is not None]
    assert ended == [e.onset_s for e in found][: len(ended)]


def test_in_real_time_it_lasts_as_long_as_the_clip(tone_wav: Path) -> None:
    begun, wall = time.monotonic(), time.time()
    pieces = list(ClipFile(tone_wav).pieces(threading.Event()))
    lasted_s = time.monotonic() - begun
    assert 1.0 <= lasted_s < 1.0 + PACE_TOLERANCE_S
    assert len(sound(pieces)) == 16_000
    assert pieces[-1].time == pytest.approx(wall + 1.0, abs=PACE_TOLERANCE_S)
    np.testing.assert_allclose(np.diff([p.time for p in pieces]), 0.1, atol=1e-3)


def test_pictures_come_where_they_are_wanted(small_video: Path) -> None:
    clip = ClipFile(small_video, realtime=False, frames=True)
    pieces = list(clip.pieces(threading.Event()))
    times = [p.frame_time_s for p in pieces if p.frame is not None]
    assert times == [k / 30 for k in range(60)]
    assert pieces[0].frame.shape == (48, 64, 3)


@pytest.mark.parametrize("realtime", [True, False])
def test_it_ends_when_it_is_stopped_or_closed(make_media, realtime: bool) -> None:
    long = make_media("long.wav", "-f", "lavfi", "-i", "aevalsrc=0.1*sin(900*t):s=16000:d=120")
    source = ClipFile(long, realtime=realtime)
    begun = time.monotonic()
    read_until(source, seconds(0.3))
    pieces = source.pieces(threading.Event())
    next(pieces)
    source.close()
    assert list(pieces) == []
    assert time.monotonic() - begun < 5
    assert comes_true(lambda: not leftovers.processes(), 5)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file"):
        next(iter(ClipFile(tmp_path / "none.wav").pieces(threading.Event())))
