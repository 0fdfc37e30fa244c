"""From scores to steady labels and events: the rolling prediction deque and hysteresis."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cryvision.config import FRAME_RATE_HZ, MAX_SECONDS, GateConfig
from cryvision.errors import ConfigError
from cryvision.result import Event
from cryvision.spans import shorter

BACKGROUND_SECONDS = 60.0
"""The background of an event is taken from this much sound before it ends."""

BACKGROUND_PERCENTILE = 10.0
"""A low percentile of the window levels: what is left when the loud sounds are passed over."""


class RollingPrediction:
    """Mean of the last ``n`` predictions; its largest element is the label.

    Parameters
    ----------
    smooth_seconds : float, default 1.0
        Length of the deque; 0 keeps the newest prediction alone.
    rate_hz : float, default 30
        Predictions per second.

    References
    ----------
    Cha and Bae, "rolling prediction averaging" over the frames of a video.
    """

    def __init__(self, smooth_seconds: float = 1.0, rate_hz: float = FRAME_RATE_HZ) -> None:
        if not 0 <= smooth_seconds <= 3600:
            raise ConfigError(f"smooth_seconds must lie between 0 and 3600; got {smooth_seconds:g}")
        self._predictions: deque[np.ndarray] = deque(maxlen=max(1, round(smooth_seconds * rate_hz)))

    def __len__(self) -> int:
        return len(self._predictions)

    @property
    def n(self) -> int:
        """Predictions the deque holds when full."""
        return self._predictions.maxlen or 1

    def push(self, prediction: np.ndarray) -> np.ndarray:
        """Add one prediction of shape (n_classes,) and return the mean of those held."""
        self._predictions.append(np.asarray(prediction, dtype=np.float64))
        mean: np.ndarray = np.mean(np.asarray(self._predictions), axis=0)
        return mean

    def push_all(self, predictions: np.ndarray) -> np.ndarray:
        """Add predictions one after another, at once.

        Parameters
        ----------
        predictions : ndarray of float, shape (n, n_classes)

        Returns
        -------
        ndarray of float64, shape (n, n_classes)
            What `push` would return for each.
        """
        if not len(predictions):
            return np.empty(predictions.shape)
        n, n_before = self.n, len(self)
        before = np.array(self._predictions, np.float64).reshape(n_before, predictions.shape[1])
        rows = np.concatenate([before, predictions])
        # Each mean is of its own rows: a running sum would drift over hours.
        growing = np.cumsum(rows[: n - 1], axis=0) / np.arange(1, len(rows[: n - 1]) + 1)[:, None]
        full = rows[:0]
        if len(rows) >= n:
            full = sliding_window_view(rows, n, axis=0).mean(axis=-1)
        self._predictions.extend(rows[n_before:][-n:].copy())
        return np.concatenate([growing, full])[n_before:]

    def clear(self) -> None:
        """Forget everything, as after a gap longer than the deque."""
        self._predictions.clear()


def adjusted_gate(
    gate: GateConfig | None,
    threshold: float | None = None,
    min_duration_s: float | None = None,
    min_gap_s: float | None = None,
) -> GateConfig | None:
    """Put settings of the user in the place of a bundle's own.

    ``threshold`` is the new ``enter``, to which ``leave`` keeps its ratio.
    """
    if threshold is None and min_duration_s is None and min_gap_s is None:
        return gate
    if gate is None:
        raise ConfigError(
            "a threshold, a minimum duration and a minimum gap need a bundle that detects crying; "
            "this one does not"
        )
    changes = {}
    if threshold is not None:
        if not 0 < threshold < 1:
            raise ConfigError(f"the threshold must be above 0 and below 1; got {threshold:g}")
        changes = {"enter": float(threshold), "leave": float(threshold) * (gate.leave / gate.enter)}
    for name, field, seconds in (
        ("duration", "min_event_seconds", min_duration_s),
        ("gap", "min_gap_seconds", min_gap_s),
    ):
        if seconds is None:
            continue
        if not 0 <= seconds <= MAX_SECONDS:
            raise ConfigError(f"the minimum {name} must be 0 to {MAX_SECONDS:g} s; got {seconds:g}")
        changes[field] = float(seconds)
    return replace(gate, **changes)


@dataclass
class _Bout:
    """A stretch above threshold while it is being followed; times are window ends, in seconds."""

    onset_s: float
    offset_s: float | None
    score_sum: float
    power_sum: float
    n_windows: int
    background_db: float


class EventFollower:
    """Turns the detector's scores, one a window, into events.

    A bout opens when the score reaches ``gate.enter`` and closes when it falls below
    ``gate.leave``. A bout is given out once the gap after it has lasted ``gate.min_gap_seconds``
    (shorter gaps are bridged) and if it lasted ``gate.min_event_seconds``.
    ``gate.latency_seconds`` is taken off both times. Where the very first window is already
    crying, nothing is known of what came before it and the event starts with that window.

    Parameters
    ----------
    gate : GateConfig
    window_seconds, hop_seconds : float
        Of the detector.
    label : str, default "cry"
        The events' label.
    """

    def __init__(
        self, gate: GateConfig, window_seconds: float, hop_seconds: float, label: str = "cry"
    ) -> None:
        self._gate = gate
        self._window_seconds = window_seconds
        self._newest_s = 0.0
        self._label = label
        self._bout: _Bout | None = None
        self._started = False
        self._n_second = max(1, round(1 / hop_seconds))
        n_levels = max(1, round(BACKGROUND_SECONDS / hop_seconds))
        self._levels: deque[float] = deque(maxlen=n_levels)
        self._newest_background_db = float("nan")
        self._n_until_background = 0

    @property
    def crying(self) -> bool:
        """Whether the newest window is inside a bout."""
        return self._bout is not None and self._bout.offset_s is None

    @property
    def open_span_s(self) -> tuple[float, float] | None:
        """Onset of the bout that is not given out yet, and the earliest time at which it can end.

        None where there is none.
        """
        if self._bout is None:
            return None
        ended_s = self._bout.offset_s
        return self._bout.onset_s, self._newest_s if ended_s is None else ended_s

    @property
    def open_event(self) -> Event:
        """The bout that is not given out yet, as it is so far, without an offset."""
        if self._bout is None:
            raise ValueError("no bout is open")
        return self._event(self._bout, None)

    @property
    def level_db(self) -> float:
        """Mean power of the past second, in dBFS; NaN before the first window."""
        if not self._levels:
            return float("nan")
        newest = np.array(
            [self._levels[-1 - k] for k in range(min(self._n_second, len(self._levels)))]
        )
        return 10 * math.log10(max(float(np.mean(10 ** (newest / 10))), 1e-12))

    @property
    def background_db(self) -> float:
        """Low percentile of the levels of the past minute, in dBFS; NaN before the first window.

        It is found anew once a second: it changes slowly, and live each piece asks for it.
        """
        if self._levels and self._n_until_background <= 0:
            self._n_until_background = self._n_second
            self._newest_background_db = self._background()
        return self._newest_background_db

    def push(self, end_s: float, score: float, level_dbfs: float) -> list[Event]:
        """Follow one more window and return the events that it completes.

        Parameters
        ----------
        end_s : float
            Time of the window's end, in seconds; must grow.
        score : float
            Cry score of the window, 0 to 1.
        level_dbfs : float
            Level of the window.
        """
        self._levels.append(level_dbfs)
        self._n_until_background -= 1
        self._newest_s = end_s - self._gate.latency_seconds
        finished = self._close_after_gap()
        bout = self._bout
        threshold = self._gate.leave if self.crying else self._gate.enter
        if score >= threshold:
            if bout is None:
                taken_off = self._gate.latency_seconds if self._started else self._window_seconds
                onset_s = max(0.0, end_s - taken_off)
                bout = self._bout = _Bout(onset_s, None, 0.0, 0.0, 0, self._background())
            bout.offset_s = None
            bout.score_sum += score
            bout.power_sum += 10 ** (level_dbfs / 10)
            bout.n_windows += 1
        elif bout is not None:
            if bout.offset_s is None:
                bout.offset_s = max(self._newest_s, bout.onset_s)
            finished += self._close_after_gap()
        self._started = True
        return finished

    def finish(self, end_s: float) -> list[Event]:
        """Close what is open at the end of the sound, ``end_s`` seconds into the clip."""
        if self._bout is None:
            return []
        return self._close(end_s if self._bout.offset_s is None else self._bout.offset_s)

    def _background(self) -> float:
        return float(np.percentile(np.asarray(self._levels), BACKGROUND_PERCENTILE))

    def _close_after_gap(self) -> list[Event]:
        """Close the bout once the gap behind it is too long to be bridged."""
        offset_s = None if self._bout is None else self._bout.offset_s
        if offset_s is None or shorter(self._newest_s - offset_s, self._gate.min_gap_seconds):
            return []
        return self._close(offset_s)

    def _close(self, offset_s: float) -> list[Event]:
        bout, self._bout = self._bout, None
        if bout is None or shorter(offset_s - bout.onset_s, self._gate.min_event_seconds):
            return []
        return [self._event(bout, offset_s)]

    def _event(self, bout: _Bout, offset_s: float | None) -> Event:
        intensity_db = 10 * float(np.log10(max(bout.power_sum / bout.n_windows, 1e-12)))
        # A long bout fills the past minute, so the quieter of before and after is the background.
        background_db = min(bout.background_db, self._background())
        return Event(
            onset_s=bout.onset_s,
            offset_s=offset_s,
            label=self._label,
            confidence=bout.score_sum / bout.n_windows,
            intensity_db=intensity_db,
            above_background_db=intensity_db - background_db,
        )


def find_events(
    end_s: np.ndarray,
    scores: np.ndarray,
    level_dbfs: np.ndarray,
    gate: GateConfig,
    window_seconds: float,
    hop_seconds: float,
    duration_s: float,
) -> list[Event]:
    """Find the events of a clip whose windows are all scored.

    Parameters
    ----------
    end_s, scores, level_dbfs : ndarray, shape (n_windows,)
        End, cry score and level of each window, in order of time.
    gate : GateConfig
    window_seconds, hop_seconds : float
    duration_s : float
        Length of the clip's sound.
    """
    follower = EventFollower(gate, window_seconds, hop_seconds)
    rows = zip(end_s.tolist(), scores.tolist(), level_dbfs.tolist(), strict=True)
    events = [event for row in rows for event in follower.push(*row)]
    return events + follower.finish(duration_s)
