"""The measures of all cries and bouts of a clip, in one pass over its sound."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from cryvision.acoustics.cry import LONGEST_SECONDS, MARGIN_SECONDS, RESAMPLED_SECONDS, measure_cry
from cryvision.acoustics.measures import Acoustics, BoutAcoustics, CryAcoustics
from cryvision.acoustics.praat import require_praat
from cryvision.argument_types import typed
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import ConfigError
from cryvision.inputs import media
from cryvision.result import Classification, Event
from cryvision.spans import shorter

_AROUND_SECONDS = MARGIN_SECONDS + RESAMPLED_SECONDS


class _Span(NamedTuple):
    """A cry, the onset of the next one of its bout or NaN, and the sound that it needs."""

    event: Event
    next_onset_s: float
    first: int
    stop: int


@typed
def measure_clip(
    classification: Classification, path: str | os.PathLike[str] | None = None
) -> Classification:
    """Measure the acoustics of all cries and bouts of a clip.

    The clip is read once more, in pieces: of its sound no more than a cry is held at a time.

    Parameters
    ----------
    classification : Classification
    path : path-like, optional
        The clip, if it is not where it was when it was classified.

    Returns
    -------
    Classification
        The same, with `cryvision.acoustics.Acoustics` as its ``acoustics``.

    Raises
    ------
    ConfigError
        For the result of a stream, which has no file.
    MediaError
        If the clip can no longer be read.
    MissingDependencyError
        Without parselmouth.

    Examples
    --------
    >>> import cryvision
    >>> from cryvision.acoustics import measure_clip
    >>> result = measure_clip(cryvision.classify("examples/demo.mp4"))
    >>> [round(cry.f0_median_hz, -1) for cry in result.acoustics.cries]  # doctest: +SKIP
    [480.0, 470.0, 470.0]
    """
    require_praat()
    path = classification.path if path is None else path
    if not os.fspath(path):
        raise ConfigError("acoustics are measured from a clip's file; this result has none")
    spans = _spans(classification)
    cries: list[CryAcoustics] = []
    if spans:
        track = classification.media.get("sound_track")
        with media.open_clip(path, frames=False, audio_track=track) as clip:
            rate_hz = clip.info.sound_rate_hz
            for span, samples in _sound_of(clip, spans):
                cries.append(_measured(span, samples, rate_hz))
    measured = Acoustics(tuple(cries), measure_bouts(classification))
    return dataclasses.replace(classification, acoustics=measured)


def _spans(classification: Classification) -> list[_Span]:
    spans = []
    events = classification.events
    for event, later in itertools.zip_longest(events, events[1:]):
        onset_s, offset_s = event.span_s
        next_onset_s = math.nan
        if later is not None and shorter(later.onset_s - offset_s, classification.bout_gap_s):
            next_onset_s = later.onset_s
        until_s = offset_s if math.isnan(next_onset_s) else next_onset_s
        until_s = min(until_s, onset_s + LONGEST_SECONDS)
        first = max(0, math.floor((onset_s - _AROUND_SECONDS) * SAMPLE_RATE_HZ))
        stop = math.ceil((until_s + _AROUND_SECONDS) * SAMPLE_RATE_HZ)
        spans.append(_Span(event, next_onset_s, first, stop))
    return spans


def _sound_of(clip: media.Clip, spans: Sequence[_Span]) -> Iterator[tuple[_Span, np.ndarray]]:
    """Give each span with its sound, float32 mono, shorter where the clip ends before."""
    held, position = np.empty(0, np.float32), 0
    waiting = list(reversed(spans))
    for piece in clip.pieces():
        if not waiting:
            return
        if piece.samples is None:
            continue
        held = np.concatenate([held, piece.samples])
        while waiting and waiting[-1].stop <= position + len(held):
            span = waiting.pop()
            yield span, held[max(0, span.first - position) : span.stop - position]
        needed = waiting[-1].first if waiting else position + len(held)
        dropped = min(max(0, needed - position), len(held))
        held, position = held[dropped:].copy(), position + dropped
    for span in reversed(waiting):
        yield span, held[max(0, span.first - position) :]


def _measured(span: _Span, samples: np.ndarray, recorded_rate_hz: int | None) -> CryAcoustics:
    start_s = span.first / SAMPLE_RATE_HZ
    onset_s, offset_s = (edge_s - start_s for edge_s in span.event.span_s)
    return measure_cry(
        samples,
        SAMPLE_RATE_HZ,
        onset_s,
        offset_s,
        above_background_db=span.event.above_background_db,
        recorded_rate_hz=recorded_rate_hz,
        next_onset_s=span.next_onset_s - start_s,
    )


def measure_bouts(classification: Classification) -> tuple[BoutAcoustics, ...]:
    """Measure the timing of each bout of a result, from its events alone.

    Parameters
    ----------
    classification : Classification

    Returns
    -------
    tuple of BoutAcoustics
    """
    events = [event.span_s for event in classification.events]
    bouts: list[BoutAcoustics] = []
    first, before_s = 0, 0.0
    for bout in classification.bouts:
        spans_s = events[first : first + bout.n_events]
        first += bout.n_events
        bouts.append(_bout(spans_s, bout.onset_s - before_s))
        before_s = bout.offset_s
    return tuple(bouts)


def npvi(intervals_s: Sequence[float]) -> float:
    """Give the normalised pairwise variability index; NaN for fewer than two intervals.

    100 times the mean of ``|a - b| / ((a + b) / 2)`` over neighbouring intervals: E. Grabe and
    E. L. Low, "Durational variability in speech and the rhythm class hypothesis", Laboratory
    Phonology 7 (2002) 515-546. 0 is a steady beat.
    """
    pairs = list(itertools.pairwise(intervals_s))
    if not pairs:
        return math.nan
    return 100 * float(np.mean([abs(a - b) / ((a + b) / 2) for a, b in pairs]))


def _bout(spans_s: Sequence[tuple[float, float]], latency_s: float) -> BoutAcoustics:
    intervals_s = [later[0] - earlier[0] for earlier, later in itertools.pairwise(spans_s)]
    pauses_s = [later[0] - earlier[1] for earlier, later in itertools.pairwise(spans_s)]
    bout_s = spans_s[-1][1] - spans_s[0][0]
    return BoutAcoustics(
        bout_s=bout_s,
        bout_cries=len(spans_s),
        bout_cries_per_minute=60 * len(spans_s) / bout_s if bout_s else math.nan,
        bout_cry_interval_s=float(np.mean(intervals_s)) if intervals_s else math.nan,
        bout_pause_s=float(np.mean(pauses_s)) if pauses_s else math.nan,
        bout_rhythm_npvi=npvi(intervals_s),
        bout_latency_s=latency_s,
    )
