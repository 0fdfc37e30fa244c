"""What a user may choose when a detector is trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cryvision.bundle import Bundle
from cryvision.errors import ConfigError
from cryvision.training.options import TrainingOptions, TrainingValues


@dataclass(frozen=True)
class DetectorOptions(TrainingOptions):
    """Options of `cryvision.train_detector`, with those of `TrainingOptions`.

    Attributes
    ----------
    cry_labels : sequence of str
        Labels that mean crying, beside ``cry`` and ``crying``.
    false_alarms_per_hour : float, optional
        Choose the threshold for at most this many false alarms an hour of recording, before the
        veto takes some of them away; by default it is the middle one of those
        with almost the best F1 of events.
    base : Bundle, optional
        Whose tagger, with its veto, the new bundle gets; by default the one that ships with the
        package. Where at least `cryvision.detector_training.tagger_head.LEAST_NEGATIVES` recordings
        are without crying, a last layer of one's own is tried, and kept where folds show it better.
    """

    cry_labels: Sequence[str] = ()
    false_alarms_per_hour: float | None = None
    base: Bundle | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        limit = self.false_alarms_per_hour
        if limit is not None and not 0 <= limit < math.inf:
            raise ConfigError(f"false alarms per hour must be 0 or more and finite; got {limit}")


class DetectorValues(TrainingValues, total=False):
    """The fields of `DetectorOptions` as keyword arguments, for type checkers."""

    cry_labels: Sequence[str]
    false_alarms_per_hour: float | None
    base: Bundle | None
