"""What a user may choose in a training: some of it in all of them, the rest in one kind alone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, TypedDict

from cryvision.argument_types import check_types
from cryvision.bundle import Bundle
from cryvision.config import FaceConfig, check_choice
from cryvision.datasets.protocols import Protocol
from cryvision.datasets.protocols import protocol as find_protocol
from cryvision.datasets.splits import check_numbers
from cryvision.errors import ConfigError
from cryvision.training.systems import CRY, NONE, System
from cryvision.training.systems import system as find_system

CHA_BAE = "cha-bae"
GATES = (CRY, NONE)

MOST_COPIES = 20
"""Of each clip; what they add is less each time, and all are in memory."""


@dataclass(frozen=True)
class TrainingOptions:
    """How any training divides its clips, and what it does with an older bundle.

    Attributes
    ----------
    subject_pattern : str, optional
        Regular expression on a clip's path below the source; its first group is the subject.
        Where subjects are known neither so nor from a manifest, each file counts as one, and the
        bundle never has measured skill.
    n_folds : int
        Folds by subject, fewer where there are fewer subjects. Where a manifest gives splits,
        those are used instead. A protocol with a number of its own takes no other.
    seed : int
        Of folds, copies and weights: the same seed, data and versions give the same bundle.
    overwrite : bool
        Whether to replace an older bundle.

    Raises
    ------
    ConfigError
        If one is out of range.
    """

    subject_pattern: str | None = None
    n_folds: int = 5
    seed: int = 0
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_types(self)
        check_numbers(self.n_folds, self.seed)


@dataclass(frozen=True)
class SystemOptions(TrainingOptions):
    """How a published system is trained and measured.

    Attributes
    ----------
    arch : str or System
        The name of one of `cryvision.training.systems.SYSTEMS`, or a changed copy of one.
    protocol : str
        One of `cryvision.datasets.protocols.PROTOCOLS`: how clips are divided. What is measured by
        one that does not group by subject is never taken for skill.
    augment : int
        Altered copies of the sound of each training clip, in pitch, tempo, time, noise and coding,
        that the branches learn from too; see `cryvision.augmentation.variation.Variation`. They
        are made after the division, so none is made of a clip in the fold that is tested.
    """

    arch: str | System = CHA_BAE
    protocol: str = "grouped"
    augment: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.system, self.by  # what cannot be is refused at once
        if self.n_folds not in (TrainingOptions.n_folds, self.by.n_folds or self.n_folds):
            raise ConfigError(
                f"the protocol {self.by.name} has {self.by.n_folds} folds of its own; got "
                f"{self.n_folds}"
            )
        if not 0 <= self.augment <= MOST_COPIES:
            raise ConfigError(
                f"augment must be from 0 to {MOST_COPIES} copies; got {self.augment!r}"
            )
        if self.augment and self.by.copies:
            raise ConfigError(
                f"augment goes with protocols that make no copies themselves; got {self.by.name}"
            )

    @property
    def system(self) -> System:
        return find_system(self.arch)

    @property
    def by(self) -> Protocol:
        """The protocol."""
        return find_protocol(self.protocol)


@dataclass(frozen=True)
class SoundOptions(SystemOptions):
    """Options of `cryvision.train_audio_only`, with those of `SystemOptions`.

    Attributes
    ----------
    gate : Bundle or path, optional
        Whose detector chooses the crying windows that are used. By default the one that ships, or
        for donateacry-corpus one that was trained without it. The new bundle carries the default
        detector. Systems that take whole clips have no gate, and neither have their bundles.
    """

    gate: Bundle | str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gate is not None and self.system.gate != CRY:
            raise ConfigError(
                "a gate is for systems that take crying windows; "
                f"{self.system.name} takes whole clips"
            )


@dataclass(frozen=True)
class VideoOptions(SystemOptions):
    """Options of `cryvision.train`, with those of `SystemOptions`.

    Attributes
    ----------
    face : FaceConfig, optional
        How faces are found and described; for ``cha-bae`` alone, as the next one.
    require_face : bool
        Whether it is an error that faces cannot be looked at on this machine; by default the face
        branch is then left out.
    gate : {"cry", "none"}
        ``cry`` uses the windows that a detector calls crying: the default one, or for
        donateacry-corpus one that was trained without it. ``none`` takes all windows, as do the
        systems that take whole clips.
    cache : path, optional
        Folder for the features of clips; below the user's cache by default.
    tensorboard : path, optional
        Folder to write the learning curves of all branches to, while they are fitted; for
        ``cha-bae`` alone.
    """

    face: FaceConfig | None = None
    require_face: bool = False
    gate: str = CRY
    cache: str | os.PathLike[str] | None = None
    tensorboard: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        name = self.system.name
        if name != CHA_BAE and (self.face is not None or self.require_face):
            raise ConfigError(f"settings of faces are for {CHA_BAE} alone; {name} has sound only")
        if name != CHA_BAE and self.tensorboard is not None:
            raise ConfigError(f"learning curves are written for {CHA_BAE} alone; got {name}")
        check_choice("gate", self.gate, GATES)
        if self.face is not None:
            _check_windows(self.face, self.system)

    @property
    def faces(self) -> FaceConfig | None:
        """How faces are described; None for a system without them."""
        return (self.face or face_of(self.system)) if self.system.name == CHA_BAE else None


class TrainingValues(TypedDict, total=False):
    """The fields of `TrainingOptions` as keyword arguments, for type checkers."""

    subject_pattern: str | None
    n_folds: int
    seed: int
    overwrite: bool


class SystemValues(TrainingValues, total=False):
    """The same for `SystemOptions`."""

    arch: str | System
    protocol: str
    augment: int


class SoundValues(SystemValues, total=False):
    """The same for `SoundOptions`."""

    gate: Bundle | str | os.PathLike[str] | None


class VideoValues(SystemValues, total=False):
    """The same for `VideoOptions`."""

    face: FaceConfig | None
    require_face: bool
    gate: str
    cache: str | os.PathLike[str] | None
    tensorboard: str | os.PathLike[str] | None


def face_of(system: System, **fields: Any) -> FaceConfig:
    """Give settings of faces with the windows of a system's sound."""
    sound = next(iter(system.settings.values()))
    return FaceConfig(window_seconds=sound.window_seconds, hop_seconds=sound.hop_seconds, **fields)


def _check_windows(face: FaceConfig, system: System) -> None:
    sound = next(iter(system.settings.values()))
    if (face.window_samples, face.hop_samples) != (sound.window_samples, sound.hop_samples):
        raise ConfigError(
            f"windows of faces must be those of sound, {sound.window_seconds:g} s every "
            f"{sound.hop_seconds:g} s; got {face.window_seconds:g} and {face.hop_seconds:g} s"
        )
