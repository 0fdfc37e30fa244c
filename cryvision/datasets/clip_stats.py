"""Facts of a clip from its file's header and its sound, whatever its label."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryvision.config import SAMPLE_RATE_HZ, SoundConfig
from cryvision.datasets.fingerprints import FINGERPRINT_SECONDS, band_levels, fingerprint
from cryvision.datasets.labelled import LabelledClip
from cryvision.download import file_hash
from cryvision.errors import MediaError
from cryvision.inputs.audio import AMIN_POWER, LEVEL_FLOOR_DBFS, spectrum_power
from cryvision.inputs.media import MediaInfo, open_clip

FULL_SCALE = 0.98
"""Amplitude that counts as full scale: sound that was clipped at another rate does not reach 1
in every sample."""

QUIETEST_DBFS = -70.0
"""Below it there is nothing but what the recorder and its codec add, the same to every silence."""

_TIMBRE = SoundConfig(feature="stft", frame_hop_samples=512)
"""From 50 to 3,400 Hz, the band of cryvision's models."""

_READERS = 4
"""Clips read at a time: most of the time is waiting for their decoders."""


@dataclass(frozen=True)
class ClipFacts:
    """What was found in one clip, or in its labelled stretch.

    ``info`` is None where the file could not be read, and ``problem`` tells why there is no sound;
    ``warnings`` are what was odd when it was decoded: damage, an early end. The length is that of
    the sound that came out, ``level_dbfs`` its RMS level, at least -120, and ``full_scale_share``
    the share of its samples that are at full scale. ``sound_sha256`` is equal for a file and its
    lossless copy in another container. For ``fingerprint`` see `cryvision.datasets.fingerprints`;
    it is None also below `QUIETEST_DBFS`. ``timbre``, float32 of shape (n,), is of the first ten
    seconds, from 50 to 3,400 Hz: mean, standard deviation and fifth percentile of the level in each
    bin of the spectrum, in decibels, relative to the clip's own mean. It is None for digital
    silence, and where the sound is too short.
    """

    clip: LabelledClip
    n_bytes: int = 0
    file_sha256: str = ""
    info: MediaInfo | None = None
    problem: str | None = None
    warnings: tuple[str, ...] = ()
    duration_s: float = 0.0
    level_dbfs: float = LEVEL_FLOOR_DBFS
    full_scale_share: float = 0.0
    sound_sha256: str = ""
    fingerprint: NDArray[np.int8] | None = None
    timbre: NDArray[np.float32] | None = None

    @property
    def name(self) -> str:
        return self.clip.name


def read_facts(
    clips: Sequence[LabelledClip], progress: Callable[[int, int], None] | None = None
) -> list[ClipFacts]:
    """Read every clip once, a few at a time; the facts are in the order of the clips.

    ``progress`` is called with the number of clips read, and of all. A clip that cannot be read has
    the reason in ``problem``; that there is no ffmpeg is a MissingDependencyError.
    """
    facts = []
    with ThreadPoolExecutor(_READERS) as pool:
        try:
            for one in pool.map(clip_facts, clips):
                facts.append(one)
                if progress is not None:
                    progress(len(facts), len(clips))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return facts


def clip_facts(clip: LabelledClip) -> ClipFacts:
    """Read one clip to its end; of its sound no more than ten seconds are kept."""
    n_bytes, sha256 = 0, ""
    try:
        n_bytes, sha256 = clip.path.stat().st_size, file_hash(clip.path)
        return _with_sound(clip, n_bytes, sha256)
    except MediaError as error:
        return ClipFacts(clip, n_bytes, sha256, problem=str(error))
    except OSError as error:
        text = f"{clip.path}: the clip could not be read: {error.strerror}"
        return ClipFacts(clip, n_bytes, sha256, problem=text)


def _with_sound(clip: LabelledClip, n_bytes: int, sha256: str) -> ClipFacts:
    digest = hashlib.sha256()
    head: list[np.ndarray] = []
    n_max = round(FINGERPRINT_SECONDS * SAMPLE_RATE_HZ)
    n_samples = n_head = n_full = 0
    energy = 0.0
    with open_clip(clip.path, frames=False, start_s=clip.start_s, end_s=clip.end_s) as opened:
        if not opened.info.has_sound:
            raise MediaError(f"{clip.path}: a clip must have sound here; it has none")
        for piece in (one.samples for one in opened.pieces() if one.samples is not None):
            digest.update(np.round(piece * 32768).astype("<i4").tobytes())
            n_samples += len(piece)
            n_full += int(np.count_nonzero(np.abs(piece) >= FULL_SCALE))
            energy += float(np.sum(np.square(piece, dtype=np.float64)))
            if n_head < n_max:
                head.append(piece)
                n_head += len(piece)
        info, warnings = opened.info, tuple(opened.warnings)
    sound = np.concatenate([np.zeros(0, np.float32), *head])[:n_max]
    mean_square = max(energy / max(n_samples, 1), 10 ** (LEVEL_FLOOR_DBFS / 10))
    level_dbfs = 10 * float(np.log10(mean_square))
    return ClipFacts(
        clip,
        n_bytes,
        sha256,
        info,
        None if n_samples else f"{clip.path}: the labelled stretch holds no sound",
        warnings,
        n_samples / SAMPLE_RATE_HZ,
        level_dbfs,
        n_full / max(n_samples, 1),
        digest.hexdigest(),
        fingerprint(band_levels(sound)) if level_dbfs > QUIETEST_DBFS else None,
        _timbre(sound),
    )


def _timbre(samples: np.ndarray) -> NDArray[np.float32] | None:
    if len(samples) < 2 * _TIMBRE.n_fft or not samples.any():
        return None
    decibels = 10 * np.log10(np.maximum(spectrum_power(samples, _TIMBRE), AMIN_POWER))
    quiet = np.percentile(decibels, 5, axis=0)
    mean = decibels.mean()
    parts = [decibels.mean(axis=0) - mean, decibels.std(axis=0), quiet - mean]
    return np.concatenate(parts).astype(np.float32)
