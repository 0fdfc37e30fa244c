"""Altered copies of training clips, made after the division: branches learn from them, no more.

A copy goes where its clip's subject goes, so none is trained on while its clip is tested. The
ensemble, the calibration and every figure are of the clips as they were recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cryvision.datasets.labelled import Dataset, LabelledClip
from cryvision.datasets.protocols import Protocol
from cryvision.errors import ConfigError
from cryvision.training.stacking import Samples

MOST_COPIES = 20
"""Of each clip; what they add is less each time, and all are in memory."""

Windows = Callable[[Sequence[LabelledClip]], Samples]
"""Computes the windows of clips; ``clips`` holds each row's clip as its number in the sequence."""


@dataclass(frozen=True)
class AlteredCopies:
    """Windows of altered copies.

    Attributes
    ----------
    n_of_each : int
        Copies of each clip.
    samples : Samples
        ``clips`` holds the number of the clip that a row's copy was made of: a clip and its copies
        count as much as a clip without any.
    """

    n_of_each: int
    samples: Samples


def check_augment(n_of_each: int, by: Protocol) -> None:
    """Refuse a number of copies that cannot be made, and copies of copies."""
    if isinstance(n_of_each, bool) or not 0 <= n_of_each <= MOST_COPIES:
        raise ConfigError(f"augment must be from 0 to {MOST_COPIES} copies; got {n_of_each!r}")
    if n_of_each and by.copies:
        raise ConfigError(
            f"augment goes with protocols that make no copies themselves; got {by.name}"
        )


def altered_copies(
    data: Dataset, n_of_each: int, samples: Samples, windows: Windows
) -> AlteredCopies | None:
    """Compute the windows of altered copies of all clips.

    Parameters
    ----------
    data : Dataset
    n_of_each : int
        0 gives None. Copies are always the same: see `cryvision.augmentation.variation`.
    samples : Samples
        Of the clips; what the copies lack of its features, such as faces, is NaN.
    windows : callable
    """
    if not n_of_each:
        return None
    numbers = np.repeat(np.arange(len(data.clips)), n_of_each)
    clips = [
        replace(data.clips[number], copy=1 + row % n_of_each)
        for row, number in enumerate(numbers.tolist())
    ]
    altered = windows(clips)
    features = {
        name: altered.features.get(name, np.full((len(altered), *of.shape[1:]), np.nan, of.dtype))
        for name, of in samples.features.items()
    }
    originals = numbers[altered.clips.astype(int)].astype(str)
    return AlteredCopies(n_of_each, replace(altered, features=features, clips=originals))
