"""Protocols by name: how clips are divided into training and test.

A figure means nothing without its protocol. The clean ones keep each subject on one side. The
others are here because published figures were made with them, and so that anybody can see what
they do to a figure: nothing measured by them is ever taken for skill.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cryvision.config import check_choice
from cryvision.datasets.splits import grouped_folds

if TYPE_CHECKING:
    from cryvision.datasets.labelled import Dataset, LabelledClip
    from cryvision.datasets.near_duplicates import CopyPair

HOLDOUT_FOLDS = 5
"""One of so many folds is held out: a fifth."""

CLIPS_PER_CLASS = 100
"""To which the protocols that even out the classes bring each of them."""


@dataclass(frozen=True)
class Protocol:
    """How clips are divided.

    Attributes
    ----------
    name : str
    summary : str
        What it does, in a few words that stand beside every figure.
    warning : str
        Why its figures are no measure for new subjects; empty for the clean ones.
    n_folds : int or None
        Folds; None for the number given.
    holdout : bool
        Whether only the first fold is tested.
    copies : {"", "same", "altered"}
        What brings the classes to the same size before the clips are divided.
    stops_on_test : bool
        Whether the test clips also decide when to stop.
    """

    name: str
    summary: str
    warning: str = ""
    n_folds: int | None = None
    holdout: bool = False
    copies: str = ""
    stops_on_test: bool = False

    @property
    def is_clean(self) -> bool:
        """Whether folds are grouped by subject, so that figures may be called skill."""
        return not self.warning


_SHARED = "clips of one subject are on both sides: a model is rewarded for knowing the subject"

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("grouped", "folds by subject"),
        Protocol(
            "grouped-holdout", "a fifth held out by subject", n_folds=HOLDOUT_FOLDS, holdout=True
        ),
        Protocol("grouped-kfold-10", "ten folds by subject", n_folds=10),
        Protocol(
            "random", "a random fifth of the clips held out", _SHARED, HOLDOUT_FOLDS, holdout=True
        ),
        Protocol("kfold-10", "ten random folds of clips", _SHARED, 10),
        Protocol(
            "leak-duplicate",
            "classes brought to one size by repeating clips, then a random fifth held out",
            "the same clip is on both sides: a model is rewarded for knowing it by heart",
            HOLDOUT_FOLDS,
            holdout=True,
            copies="same",
        ),
        Protocol(
            "leak-augment",
            "classes brought to one size by altered copies, then a random fifth held out",
            "copies of one clip are on both sides: a model is rewarded for knowing it again",
            HOLDOUT_FOLDS,
            holdout=True,
            copies="altered",
        ),
        Protocol(
            "leak-early-stopping",
            "a random fifth held out, and the epochs chosen on it",
            f"{_SHARED}, and the epochs were the best ones on the test clips",
            HOLDOUT_FOLDS,
            holdout=True,
            stops_on_test=True,
        ),
    )
}
"""The protocols by name."""

GROUPED = PROTOCOLS["grouped"]


def protocol(name: str) -> Protocol:
    return PROTOCOLS[check_choice("protocol", name, PROTOCOLS)]


def with_copies(by: Protocol, data: Dataset, seed: int) -> Dataset:
    """Bring each class to ``CLIPS_PER_CLASS`` clips, where the protocol does so.

    Classes that have more lose clips at random. The others gain copies: of each clip as many as of
    the next. Copies stand beside their originals, and carry their subject.
    """
    if not by.copies:
        return data
    rng = np.random.default_rng(seed)
    numbers: list[tuple[int, int]] = []
    for label in sorted({clip.label for clip in data.clips}):
        of_label = rng.permutation([i for i, c in enumerate(data.clips) if c.label == label])
        rounds, rest = divmod(CLIPS_PER_CLASS, len(of_label))
        for turn, number in enumerate(of_label.tolist()):
            numbers += [(number, copy) for copy in range(rounds + (turn < rest))]
    altered = by.copies == "altered"
    clips = (
        replace(data.clips[number], copy=copy if altered else 0) for number, copy in sorted(numbers)
    )
    return replace(data, clips=tuple(clips))


def divide(by: Protocol, data: Dataset, n_folds: int, seed: int) -> list[np.ndarray]:
    """Give the numbers of the test clips of each fold; its model is trained on all the others."""
    folds = grouped_folds(
        clip_groups(by, data.clips),
        [clip.label for clip in data.clips],
        by.n_folds or n_folds,
        seed,
    )
    return folds[:1] if by.holdout else folds


def clip_groups(by: Protocol, clips: Sequence[LabelledClip]) -> list[str]:
    """Return the group of each clip: its subject or, in protocols that leak, the clip.

    The validation split inside a training uses these groups too: a leak of the
    published kind goes through to the last epoch.
    """
    if by.is_clean:
        return [clip.subject for clip in clips]
    return [f"clip {number}" for number in range(len(clips))]


def overlap(
    clips: Sequence[LabelledClip], folds: Sequence[np.ndarray], copies: Sequence[CopyPair] = ()
) -> dict[str, int]:
    """Count what is on both sides of a division by `divide`.

    ``copies`` are those of `cryvision.datasets.near_duplicates.copies_among`. ``subjects`` counts
    those with clips both in training and in test. The others count test clips, each as the closest
    of them: ``same_files``, of whose file or an altered copy of it is in training (stretches of one
    file are not the same); ``duplicates``, whose sound is in another file of training, sample for
    sample; ``near_duplicates``, whose sound is in one that is coded, cut or altered differently.
    """
    names = [clip.name for clip in clips]
    exact = _joined(names, [copy for copy in copies if copy.is_exact])
    alike = _joined(names, copies)
    shared_subjects: set[str] = set()
    counts = dict.fromkeys(("same_files", "duplicates", "near_duplicates"), 0)
    for fold in folds:
        rest = np.setdiff1d(np.arange(len(clips)), fold)
        train_subjects = {clips[number].subject for number in rest}
        shared_subjects |= train_subjects & {clips[number].subject for number in fold}
        sounds = {
            kind: (sound_of, {sound_of[number] for number in rest})
            for kind, sound_of in zip(counts, (names, exact, alike), strict=True)
        }
        for number in fold:
            shared = [kind for kind, (of, train_keys) in sounds.items() if of[number] in train_keys]
            if shared:
                counts[shared[0]] += 1
    return {"subjects": len(shared_subjects), **counts}


def _joined(names: Sequence[str], copies: Sequence[CopyPair]) -> list[str]:
    """Give each clip one name for all that are copies of one another, over any number of steps."""
    parent = {name: name for name in names}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for copy in copies:
        parent[root(copy.second)] = root(copy.first)
    return [root(name) for name in names]
