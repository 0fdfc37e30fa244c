"""Settings as frozen dataclasses: units in the names, JSON both ways."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, TypeVar

from cryvision.errors import ConfigError

SAMPLE_RATE_HZ = 16_000
"""All sound is mono float32 at this rate."""

FRAME_RATE_HZ = 30
"""The media clock: frame k is at k / 30 s."""

SOUND_FEATURES = ("mel", "mfcc", "stft")

T = TypeVar("T")


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
        if self.feature not in SOUND_FEATURES:
            raise ConfigError(
                f"feature must be one of {', '.join(SOUND_FEATURES)}; got {self.feature!r}"
            )
        if self.sample_rate_hz != SAMPLE_RATE_HZ:
            raise ConfigError(f"sample_rate_hz must be {SAMPLE_RATE_HZ}; got {self.sample_rate_hz}")
        if not 0 <= self.min_hz < self.max_hz <= self.sample_rate_hz / 2:
            raise ConfigError(
                "min_hz and max_hz must satisfy 0 <= min_hz < max_hz <= "
                f"{self.sample_rate_hz / 2:g}; got {self.min_hz:g} and {self.max_hz:g}"
            )
        for name in ("n_fft", "frame_hop_samples", "n_mels", "n_mfcc"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1; got {getattr(self, name)}")
        if self.context_seconds < 0:
            raise ConfigError(f"context_seconds must not be negative; got {self.context_seconds:g}")
        if self.window_samples < self.n_fft:
            raise ConfigError(
                f"a window must hold one frame of {self.n_fft} samples; got "
                f"{self.window_seconds:g} s = {self.window_samples} samples"
            )
        if self.hop_samples < 1:
            raise ConfigError(f"hop_seconds must be positive; got {self.hop_seconds:g}")

    @property
    def window_samples(self) -> int:
        """Samples of the scored span."""
        return round(self.window_seconds * self.sample_rate_hz)

    @property
    def context_samples(self) -> int:
        """Samples before the window that the model sees too."""
        return round(self.context_seconds * self.sample_rate_hz)

    @property
    def span_samples(self) -> int:
        """Samples that one model input is computed from: context and window."""
        return self.context_samples + self.window_samples

    @property
    def hop_samples(self) -> int:
        """Samples from the start of one window to the start of the next."""
        return round(self.hop_seconds * self.sample_rate_hz)

    @property
    def n_frames(self) -> int:
        """Spectrum frames of one model input."""
        return 1 + (self.span_samples - self.n_fft) // self.frame_hop_samples


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
        if not 0 < self.leave <= self.enter < 1:
            raise ConfigError(
                "the gate must satisfy 0 < leave <= enter < 1; got "
                f"leave {self.leave:g}, enter {self.enter:g}"
            )
        for name in ("min_event_seconds", "min_gap_seconds", "latency_seconds"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must not be negative; got {getattr(self, name):g}")


def to_json(config: Any) -> dict[str, Any]:
    """Turn a settings dataclass into plain JSON data."""
    return dataclasses.asdict(config)


def from_json(kind: type[T], data: Any, where: str) -> T:
    """Build a settings dataclass from JSON data.

    Parameters
    ----------
    kind : type
        The dataclass to build.
    data : object
        What the JSON held; must be an object with known fields of the right types.
    where : str
        What to name in an error, such as the path of the file.

    Raises
    ------
    ConfigError
        On an unknown field or a value of the wrong type or range.
    """
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: {kind.__name__} must be an object; got {data!r:.80}")
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(data) - set(fields))
    if unknown:
        raise ConfigError(f"{where}: {kind.__name__} has no field {unknown[0]!r}")
    for name, value in data.items():
        wanted = {"int": int, "float": (int, float), "str": str}[str(fields[name].type)]
        if isinstance(value, bool) or not isinstance(value, wanted):  # type: ignore[arg-type]
            raise ConfigError(
                f"{where}: {kind.__name__}.{name} must be {fields[name].type}; got {value!r:.80}"
            )
    try:
        return kind(**data)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
