"""Labelled recordings as steps of 40 ms and as pieces of 4 s, to train and test edges on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryvision.annotations import Interval
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.datasets.annotated import spans_s, window_labels
from cryvision.detector_training.labelled_sound import LabelledSound
from cryvision.detector_training.pieces import PIECE_FRAMES, STEP_FRAMES, Pieces
from cryvision.detector_training.tag_scores import TagScores
from cryvision.errors import CryvisionError
from cryvision.inputs.audio import mean_square_dbfs
from cryvision.inputs.logmel import SILENCE, Frames
from cryvision.models.frame_network import EDGES

MIN_LEVEL_DBFS = -75.0
"""Quieter steps are not scored: the energy gate, the same in training and in use."""


@dataclass(frozen=True)
class Recording:
    """What is kept of a labelled recording: not its sound.

    ``labels``, uint8 of shape (n_steps,), is 1 where most of a step is crying, else 0;
    ``level_dbfs`` has the same shape. ``log_power`` is a file of its frames, float16, as
    `numpy.save` writes them, and ``tags`` the scores of a tagger, if there is one.
    """

    clip: str
    subject: str
    cry: tuple[Interval, ...]
    seconds: float
    labels: np.ndarray
    level_dbfs: np.ndarray
    log_power: Path | None = None
    tags: TagScores | None = None

    @classmethod
    def of(cls, sound: LabelledSound, frames: Frames) -> Recording:
        """Describe a recording by its labels and its log-mel frames."""
        n_steps = -(-len(frames) // STEP_FRAMES)
        missing = n_steps * STEP_FRAMES - len(frames)
        squares = np.pad(frames.mean_square, (0, missing)).reshape(n_steps, STEP_FRAMES)
        levels = mean_square_dbfs(squares.mean(axis=1))
        ends = EDGES.hop_samples * np.arange(1, n_steps + 1)
        shares = window_labels(sound.cry, ends, EDGES.hop_samples, SAMPLE_RATE_HZ)
        labels = (shares >= 0.5).astype(np.uint8)
        seconds = len(sound.samples) / SAMPLE_RATE_HZ
        return cls(sound.clip, sound.subject, sound.cry, seconds, labels, levels)

    @property
    def scored(self) -> np.ndarray:
        """Which steps pass the energy gate; bool, shape (n_steps,)."""
        return self.level_dbfs >= MIN_LEVEL_DBFS

    @property
    def events(self) -> np.ndarray:
        """Onsets and offsets of the crying within the sound, in seconds; float64, shape (n, 2)."""
        times = spans_s(self.cry)
        return times.clip(0, self.seconds)[times[:, 0] < self.seconds]


@dataclass(frozen=True)
class Cuttings:
    """Pieces of many recordings as `Pieces` has them, with the subject and the source of each."""

    log_power: np.ndarray
    labels: np.ndarray
    subject: np.ndarray
    source: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of(cls, sound: LabelledSound, frames: Frames, hop_seconds: float) -> Cuttings:
        """Cut a recording into pieces of 4 s; silence follows a shorter one.

        The last piece ends with the recording.
        """
        labels = Recording.of(sound, frames).labels
        n_steps = max(PIECE_FRAMES // STEP_FRAMES, len(labels))
        missing = n_steps * STEP_FRAMES - len(frames)
        log_power = np.pad(frames.log_power, ((0, missing), (0, 0)), constant_values=SILENCE)
        labels = np.pad(labels, (0, n_steps - len(labels)))
        last = n_steps - PIECE_FRAMES // STEP_FRAMES
        starts = np.append(np.arange(0, last, round(hop_seconds / EDGES.hop_seconds)), last)
        steps = starts[:, None] + np.arange(PIECE_FRAMES // STEP_FRAMES)
        rows = starts[:, None] * STEP_FRAMES + np.arange(PIECE_FRAMES)
        return cls(
            log_power.astype(np.float16)[rows],
            labels[steps],
            np.full(len(starts), sound.subject, object),
            np.full(len(starts), sound.source, object),
        )

    @classmethod
    def joined(cls, sets: Sequence[Cuttings]) -> Cuttings:
        """Put sets of pieces behind one another."""
        return cls(*(np.concatenate([getattr(s, name) for s in sets]) for name in vars(sets[0])))

    def pieces(self, shares: Mapping[str, float], left_out: Collection[str] = ()) -> Pieces:
        """Give what to train on, but for the subjects that are left out.

        The shares say how often each source is drawn, relative to the others; one without a share
        is not.
        """
        used = np.isin(self.source, list(shares)) & ~np.isin(self.subject, list(left_out))
        rows = np.flatnonzero(used)
        if not len(rows):
            raise CryvisionError("no piece is left to train on; check the labels")
        names, of_row, counts = np.unique(
            self.source[rows].astype(str), return_inverse=True, return_counts=True
        )
        weights = np.array([shares[name] for name in names.tolist()]) / counts
        return Pieces(self.log_power[rows], self.labels[rows], weights[of_row])
