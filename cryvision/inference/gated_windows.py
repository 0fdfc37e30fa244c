"""The gate between the detector and the reasons: which windows of sound the branches are given."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cryvision.inference.detector import DetectorWindows

MIN_CRY_SHARE = 0.5
"""A window of the reasons counts as crying if this share of the detector's windows in it does."""


class CryGate:
    """Selects the windows of the reasons in crying by the detector's scores within them.

    A window or step of the detector is crying from the fused score ``enter`` on. Of a detector that
    looks ahead, only what is known by the end of the window counts.
    """

    def __init__(self, enter: float, window_samples: int, lookahead_samples: int = 0) -> None:
        self._enter = enter
        self._window_samples = window_samples
        self._lookahead_samples = lookahead_samples
        self._ends, self._crying = np.empty(0, np.int64), np.empty(0, bool)
        self._scored_samples = 0

    def push(self, windows: DetectorWindows) -> None:
        self._ends = np.concatenate([self._ends, windows.end_samples])
        self._crying = np.concatenate([self._crying, windows.fused >= self._enter])
        self._scored_samples = windows.scored_samples

    def n_ready(self, end_samples: np.ndarray) -> int:
        """Count the windows, in order of their ends, that the scores so far cover."""
        until = self._scored_samples + self._lookahead_samples
        return int(np.searchsorted(end_samples, until, side="right"))

    def crying(self, end_samples: np.ndarray) -> np.ndarray:
        """Return which windows, by their ends, are crying.

        They must be ready, or the stream at its end, and not go back behind an earlier call.
        """
        first = np.searchsorted(self._ends, end_samples - self._window_samples, side="right")
        last = np.searchsorted(self._ends, end_samples - self._lookahead_samples, side="right")
        n_crying = np.concatenate([[0], np.cumsum(self._crying)])
        n_known = last - first
        crying = (n_known > 0) & (n_crying[last] - n_crying[first] >= MIN_CRY_SHARE * n_known)
        if len(first):
            self._ends, self._crying = self._ends[first[-1] :], self._crying[first[-1] :]
        return np.asarray(crying)


@dataclass(frozen=True)
class SoundBranchWindows:
    """Windows of the sound branches, those in crying alone carrying inputs.

    `inputs` is the name of a feature to float32, shape (n_crying, n_frames, n_features). No later
    window ends before `settled_samples`.
    """

    end_samples: np.ndarray
    crying: np.ndarray
    settled_samples: int
    inputs: dict[str, np.ndarray] = field(default_factory=dict)


class WindowClock:
    """Computes where windows end on a stream without its own, such as pictures."""

    def __init__(self, window_samples: int, hop_samples: int) -> None:
        self._next = window_samples
        self._window_samples = window_samples
        self._hop_samples = hop_samples

    def until(self, n_samples: int) -> np.ndarray:
        """Give the ends, int64, of the windows that are complete at a time and were not before."""
        ends = np.arange(self._next, n_samples + 1, self._hop_samples, dtype=np.int64)
        self._next += len(ends) * self._hop_samples
        return ends

    def finish(self, n_samples: int) -> np.ndarray:
        """Give the last ends: of a stream shorter than a window, where it ended."""
        ends = self.until(n_samples)
        if n_samples and self._next == self._window_samples:
            ends = np.array([n_samples], np.int64)
        return ends
