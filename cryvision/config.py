"""Settings as frozen dataclasses: units in the names, JSON both ways."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cryvision.argument_types import check_types
from cryvision.errors import ConfigError

# A library prints nothing by itself; the command line and users add handlers of their own. Here,
# since whatever logs imports the settings, and `cryvision --help` does not.
logging.getLogger("cryvision").addHandler(logging.NullHandler())

SAMPLE_RATE_HZ = 16_000
"""All sound is mono float32 at this rate."""

FRAME_RATE_HZ = 30
"""The media clock: frame k is at k / 30 s."""

SOUND_FEATURES = ("mel", "mfcc", "stft", "hybrid")

FACE_MODES = ("largest", "tracked", "center")

BACKBONE_WIDTHS = {"resnet50": 2048, "squeezenet": 512}
"""Backbones, and the width of what each gives for one crop."""

MAX_SECONDS = 3600.0
"""Longest stretch that events and predictions are smoothed over."""

TIMELINE_NAMES = ("time_s", "cry", "face")
"""Columns of the timeline beside those of the classes; those of tags begin with ``heard_``."""


def unusable_label(labels: Sequence[str]) -> str | None:
    """Find a label whose column in the timeline would have the name of another one."""
    for label in labels:
        smoothed = label.removesuffix("_smooth")
        if label in TIMELINE_NAMES or label.startswith("heard_"):
            return label
        if smoothed != label and smoothed in labels:
            return label
    return None


def check_choice(name: str, value: str, allowed: Iterable[str]) -> str:
    """Give a value back, or refuse one that is not allowed with ConfigError."""
    allowed = list(allowed)
    if value not in allowed:
        raise ConfigError(f"{name} must be one of {', '.join(allowed)}; got {value!r}")
    return value


def _check_ranges(config: Any, **limits: tuple[float, float]) -> None:
    """Refuse a setting that is not within its limits."""
    for name, (least, most) in limits.items():
        value = getattr(config, name)
        if not least <= value <= most:
            got = f"{value:g}" if isinstance(value, float) else value
            raise ConfigError(f"{name} must be {least:g} to {most:g}; got {got}")


def _check_band(min_hz: float, max_hz: float) -> None:
    if not 0 <= min_hz < max_hz <= SAMPLE_RATE_HZ / 2:
        raise ConfigError(
            "min_hz and max_hz must satisfy 0 <= min_hz < max_hz <= "
            f"{SAMPLE_RATE_HZ / 2:g}; got {min_hz:g} and {max_hz:g}"
        )


@dataclass(frozen=True)
class SoundConfig:
    """How one window of sound becomes the input of a model.

    A window is the span that a score is about; ``context_seconds`` of sound before it are seen
    by the model too (zeros before the start of the clip). Frames are not centred: a window of
    ``n`` samples has ``1 + (n - n_fft) // frame_hop_samples`` of them.

    ``min_hz`` to ``max_hz`` is the telephone band: the corpora behind the default bundle are phone
    recordings with nothing above 4 kHz, so a wider band would teach the file format.
    """

    feature: str = "mel"
    window_seconds: float = 0.5
    context_seconds: float = 0.0
    hop_seconds: float = 0.1
    n_fft: int = 1024
    frame_hop_samples: int = 320
    min_hz: float = 50.0
    max_hz: float = 3400.0
    n_mels: int = 40
    n_mfcc: int = 20
    sample_rate_hz: int = SAMPLE_RATE_HZ

    def __post_init__(self) -> None:
        check_types(self)
        check_choice("feature", self.feature, SOUND_FEATURES)
        if self.sample_rate_hz != SAMPLE_RATE_HZ:
            raise ConfigError(f"sample_rate_hz must be {SAMPLE_RATE_HZ}; got {self.sample_rate_hz}")
        _check_band(self.min_hz, self.max_hz)
        for name in ("n_fft", "frame_hop_samples", "n_mels", "n_mfcc"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1; got {getattr(self, name)}")
        most = (0.0, MAX_SECONDS)
        _check_ranges(self, window_seconds=most, context_seconds=most, hop_seconds=most)
        if self.window_samples < self.n_fft:
            raise ConfigError(
                f"a window must hold one frame of {self.n_fft} samples; got "
                f"{self.window_seconds:g} s = {self.window_samples} samples"
            )
        if self.hop_samples < 1:
            raise ConfigError(f"hop_seconds must be positive; got {self.hop_seconds:g}")

    @property
    def window_samples(self) -> int:
        return round(self.window_seconds * self.sample_rate_hz)

    @property
    def context_samples(self) -> int:
        return round(self.context_seconds * self.sample_rate_hz)

    @property
    def span_samples(self) -> int:
        """Samples that one model input is computed from: context and window."""
        return self.context_samples + self.window_samples

    @property
    def hop_samples(self) -> int:
        return round(self.hop_seconds * self.sample_rate_hz)

    @property
    def n_frames(self) -> int:
        return 1 + (self.span_samples - self.n_fft) // self.frame_hop_samples


@dataclass(frozen=True)
class LogMelConfig:
    """How sound becomes the log-mel frames that frame networks and taggers take.

    A frame stands for ``frame_samples`` of sound: the mean power of two spectra, each of
    ``spectrum_samples`` under a Hann window, in ``n_mels`` triangular bands. A model gives one
    output each ``hop_frames`` from ``window_frames`` of them, of which the last
    ``lookahead_frames`` lie behind the time that the output is about.

    With ``relative`` the frames of a window are moved so that the loudest value of all is the
    same in every window, and what lies far below is cut: the level makes no difference.
    """

    window_frames: int
    hop_frames: int
    lookahead_frames: int = 0
    relative: bool = False
    n_mels: int = 64
    min_hz: float = 60.0
    max_hz: float = 7800.0
    frame_samples: int = 320
    spectrum_samples: int = 400
    n_fft: int = 512

    def __post_init__(self) -> None:
        check_types(self)
        _check_ranges(self, window_frames=(1, 3000), hop_frames=(1, 3000), n_mels=(1, 512))
        sizes = {"frame_samples": (2, 16_000), "spectrum_samples": (2, 16_000)}
        _check_ranges(self, **sizes, n_fft=(2, 16_384))
        if not 0 <= self.lookahead_frames < self.window_frames:
            raise ConfigError(
                "lookahead_frames must be at least 0 and below window_frames; got "
                f"{self.lookahead_frames} of {self.window_frames}"
            )
        _check_band(self.min_hz, self.max_hz)
        if self.frame_samples % 2 or not (
            self.frame_samples <= self.spectrum_samples <= self.n_fft
        ):
            raise ConfigError(
                "frame_samples must be even, at most spectrum_samples, and these at most n_fft; "
                f"got {self.frame_samples}, {self.spectrum_samples} and {self.n_fft}"
            )

    @property
    def hop_samples(self) -> int:
        return self.hop_frames * self.frame_samples

    @property
    def hop_seconds(self) -> float:
        return self.hop_samples / SAMPLE_RATE_HZ

    @property
    def lookahead_samples(self) -> int:
        """Samples that an output needs beyond the time it is about."""
        return self.lookahead_frames * self.frame_samples

    @property
    def spectral(self) -> tuple[float, ...]:
        """What the frames themselves depend on; where it is the same, so are they."""
        return (
            *(self.n_mels, self.min_hz, self.max_hz),
            *(self.frame_samples, self.spectrum_samples, self.n_fft),
        )


@dataclass(frozen=True)
class GateConfig:
    """How cry scores become events.

    A window whose level is below ``min_level_dbfs`` is not scored: it counts as no cry.
    An event opens when the score reaches ``enter`` and closes when it falls below ``leave``;
    gaps shorter than ``min_gap_seconds`` are bridged and events shorter than
    ``min_event_seconds`` dropped. ``latency_seconds`` (half a window) is taken off event times.
    """

    enter: float = 0.5
    leave: float = 0.4
    min_event_seconds: float = 0.3
    min_gap_seconds: float = 0.2
    latency_seconds: float = 0.25
    min_level_dbfs: float = -60.0

    def __post_init__(self) -> None:
        check_types(self)
        if not 0 < self.leave <= self.enter < 1:
            raise ConfigError(
                "the gate must satisfy 0 < leave <= enter < 1; got "
                f"leave {self.leave:g}, enter {self.enter:g}"
            )
        most = (0.0, MAX_SECONDS)
        _check_ranges(self, min_event_seconds=most, min_gap_seconds=most, latency_seconds=most)


VETO_LEVELS = ("off", "normal", "strict")
"""How much crying a tagger must detect for an event to stand."""


@dataclass(frozen=True)
class VetoConfig:
    """How the tagger's score of crying decides which events of the edges stand.

    An event stands if the largest cry score of the tagger reaches ``*_at`` in a window that ends
    between its onset and ``after_seconds`` behind its offset, and ``*_near`` in one that ends
    from ``near_seconds`` before its onset to ``near_seconds`` behind its offset.

    The timeline does not look ahead: there the score of the edges is multiplied by
    the tagger's largest score of the past ``live_seconds``, as a share of ``*_live`` and at most
    1. ``temperature`` and ``bias`` turn the logit of that product into the logit of a calibrated
    probability.
    """

    normal_at: float = 0.3
    normal_near: float = 0.5
    normal_live: float = 0.5
    strict_at: float = 0.5
    strict_near: float = 0.7
    strict_live: float = 0.7
    after_seconds: float = 1.0
    near_seconds: float = 5.0
    live_seconds: float = 1.0
    temperature: float = 1.0
    bias: float = 0.0

    def __post_init__(self) -> None:
        check_types(self)
        for level in VETO_LEVELS[1:]:
            for name in (f"{level}_at", f"{level}_near", f"{level}_live"):
                if not 0 < getattr(self, name) <= 1:
                    raise ConfigError(f"{name} must be above 0, to 1; got {getattr(self, name):g}")
        minute = (0.0, 60.0)
        _check_ranges(self, after_seconds=minute, near_seconds=minute, live_seconds=minute)
        if not 0 < self.temperature < math.inf or not math.isfinite(self.bias):
            raise ConfigError(
                "temperature must be positive and bias finite; got "
                f"{self.temperature:g} and {self.bias:g}"
            )

    def at(self, level: str) -> float:
        """Cry score that the tagger must reach at an event; 0 for ``off``."""
        return 0.0 if level == "off" else float(getattr(self, f"{level}_at"))

    def near(self, level: str) -> float:
        """The same near an event."""
        return 0.0 if level == "off" else float(getattr(self, f"{level}_near"))

    def live(self, level: str) -> float:
        """Cry score from which on the edges' score is left as it is; 0 for ``off``."""
        return 0.0 if level == "off" else float(getattr(self, f"{level}_live"))


@dataclass(frozen=True)
class FaceConfig:
    """How a frame becomes a crop of a face, and the crop a row of numbers.

    ``mode`` selects the face: ``largest`` takes the largest one, and changes to another that is
    clearly larger; ``tracked`` stays with the one it has as long as that is seen; ``center``
    looks for none and takes the largest square in the middle of the frame. A face is looked for
    once in ``detect_every_frames`` frames of the 30 Hz clock, on a copy ``detection_width_px``
    wide; in between, and for ``hold_seconds`` after it was last found, its box moves with the
    picture. ``smoothing_seconds`` is the time constant with which the box follows new detections.

    One in ``embed_every_frames`` frames with a face goes through the backbone; a window of
    ``window_seconds``, one each ``hop_seconds``, is described by the mean of its embeddings.

    A crop is square: the longer side of the box and ``crop_margin`` of it on each side, shown as
    ``crop_size_px`` pixels.

    ``backbone_weights`` is ``imagenet``, ``random`` (drawn from ``backbone_seed``) or a path: a
    file of weights, or an ``.onnx`` file from uint8 RGB crops to ``embedding_width`` numbers each.
    In a bundle ``sha256:`` and the hash of such a file stand for the path.
    """

    mode: str = "largest"
    detect_every_frames: int = 5
    detection_width_px: int = 320
    min_score: float = 0.7
    smoothing_seconds: float = 0.5
    hold_seconds: float = 0.5
    crop_margin: float = 0.2
    crop_size_px: int = 224
    embed_every_frames: int = 1
    window_seconds: float = 2.0
    hop_seconds: float = 0.5
    backbone: str = "resnet50"
    backbone_weights: str = "imagenet"
    backbone_seed: int = 0
    embedding_width: int = 2048

    def __post_init__(self) -> None:
        check_types(self)
        self._check_finder()
        self._check_backbone()

    def _check_finder(self) -> None:
        check_choice("mode", self.mode, FACE_MODES)
        _check_ranges(self, detect_every_frames=(1, 10_000), embed_every_frames=(1, 10_000))
        _check_ranges(self, detection_width_px=(32, 10_000), crop_size_px=(32, 1024))
        if not 0 < self.min_score < 1:
            raise ConfigError(f"min_score must be between 0 and 1; got {self.min_score:g}")
        for name in ("smoothing_seconds", "hold_seconds", "crop_margin"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} must not be negative; got {getattr(self, name):g}")
        for name in ("window_seconds", "hop_seconds"):
            if not 0 < getattr(self, name) <= 60:
                raise ConfigError(f"{name} must be above 0, to 60; got {getattr(self, name):g}")

    @property
    def window_samples(self) -> int:
        return round(self.window_seconds * SAMPLE_RATE_HZ)

    @property
    def hop_samples(self) -> int:
        return round(self.hop_seconds * SAMPLE_RATE_HZ)

    def _check_backbone(self) -> None:
        check_choice("backbone", self.backbone, BACKBONE_WIDTHS)
        if not self.backbone_weights:
            raise ConfigError("backbone_weights must be imagenet, random or a path; got nothing")
        if self.backbone_weights == "imagenet" and self.backbone != "resnet50":
            raise ConfigError(
                f"backbone_weights must be a path or random for {self.backbone}; got 'imagenet'"
            )
        if self.backbone_seed < 0:
            raise ConfigError(f"backbone_seed must not be negative; got {self.backbone_seed}")
        width = BACKBONE_WIDTHS[self.backbone]
        ready = self.backbone_weights.endswith(".onnx") or self.backbone_weights.startswith(
            "sha256:"
        )
        if not 1 <= self.embedding_width <= 65_536 or (self.embedding_width != width and not ready):
            raise ConfigError(
                f"embedding_width must be {width} for {self.backbone}; got {self.embedding_width}"
            )


def to_json(config: Any) -> dict[str, Any]:
    return dataclasses.asdict(config)
