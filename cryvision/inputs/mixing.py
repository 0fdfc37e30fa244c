"""Channels become one, and none of them is lost: they may cancel out, or but one of many sounds."""

from __future__ import annotations

import re

import numpy as np

from cryvision.config import SAMPLE_RATE_HZ

BLOCK_SAMPLES = SAMPLE_RATE_HZ // 10
"""Decisions are made for blocks of this length from the start of the sound on, so that they do not
depend on how much is read at a time."""

FAR_BELOW = 10**-0.9
"""Power of the mix over that of the loudest channel, 9 dB, below which that channel is taken. Two
like channels mix to 0 dB, two unlike ones to -3 dB, one of two alone to -6 dB."""

NEAR_AGAIN = 10**-0.6
"""Where the mix is not further below the loudest channel than this, 6 dB, it is taken again."""

CHANNEL_LEAD = 10**0.6
"""Another channel is taken once it is louder than the one in use by this, 6 dB."""

SILENT_POWER = 1e-9
"""-90 dBFS: below it, nothing is decided."""

ACTIVE_RANGE = 1e-2
"""A channel has sound once it comes within this, 20 dB, of the loudest one."""

LARGEST_SAMPLE = 16.0
"""24 dB above full scale. Samples of floating point may go beyond full scale, and do where a
recorder leaves the level to later; a larger one is no sound, and counts as zero."""

OVER_SCALE = 2.0
"""6 dB above full scale. Lossy codecs overshoot by less."""

_REACH_SAMPLES = 32
_FADE_SAMPLES = SAMPLE_RATE_HZ // 100
_KNOWN_LAYOUT = re.compile(r"\d\.1(\(.*\))?")
_LAID_OUT_CODECS = ("aac", "ac3", "eac3", "dts", "opus", "truehd", "vorbis")
"""What is coded so has its channels in known places; for plain samples ffmpeg guesses them."""


class Downmix:
    """Mixes blocks of sound down to one channel, and counts what was odd about them.

    The mix is the mean of the channels; of more than two, of those that have had sound so far, less
    the one for low frequencies, ``low``, where that is known. Where it is far below the loudest
    channel, that one is taken instead, until the mix is near again.

    Of `n_blocks` with sound, one channel was taken for `n_alone`. Samples, at 16 kHz, that were no
    finite numbers (`n_not_finite`), or beyond `LARGEST_SAMPLE` (`n_too_large`), and their
    neighbours, which resampling mixed them into, count as zero; `peak` is the largest sample of the
    rest.
    """

    def __init__(self, n_channels: int, low: int | None = None) -> None:
        self.n_blocks = self.n_alone = 0
        self.n_not_finite = self.n_too_large = 0
        self.peak = 0.0
        self._counted = np.ones(n_channels, bool)
        if low is not None and n_channels > 1:
            self._counted[low] = False
        self._active = self._counted.copy() if n_channels <= 2 else np.zeros(n_channels, bool)
        self._alone: int | None = None
        self._weights: np.ndarray | None = None

    def mix(self, block: np.ndarray) -> np.ndarray:
        """Mix one block of float32, shape (n, n_channels), to shape (n,).

        It is `BLOCK_SAMPLES` long but for the last one, and changed where samples are no sound.
        """
        self._bound(block)
        if block.shape[1] == 1:
            return block[:, 0]
        weights = self._decide(block)
        before = weights if self._weights is None else self._weights
        self._weights = weights
        mixed: np.ndarray = np.einsum("nc,c->n", block, weights)
        if not np.array_equal(before, weights):
            n = min(_FADE_SAMPLES, len(block))
            fade = np.arange(1, n + 1, dtype=np.float32) / _FADE_SAMPLES
            old = np.einsum("nc,c->n", block[:n], before)
            mixed[:n] = old + (mixed[:n] - old) * fade
        return mixed

    def _bound(self, block: np.ndarray) -> None:
        """Let what is no sound be zero."""
        size = np.abs(block)
        peak = float(size.max(initial=0.0))
        if not peak <= LARGEST_SAMPLE:  # nor is NaN
            finite = np.isfinite(block)
            sound = finite & (size <= LARGEST_SAMPLE)
            self.n_not_finite += int(np.count_nonzero(~finite))
            self.n_too_large += int(np.count_nonzero(finite & ~sound))
            # Resampling has spread what is no sound over its neighbours.
            at, channel = np.nonzero(~sound)
            for shift in range(-_REACH_SAMPLES, _REACH_SAMPLES + 1):
                block[np.clip(at + shift, 0, len(block) - 1), channel] = 0.0
            peak = float(np.abs(block).max(initial=0.0))
        self.peak = max(self.peak, peak)

    def _decide(self, block: np.ndarray) -> np.ndarray:
        """Return the weight of each channel in one block; float32, shape (n_channels,)."""
        power = np.einsum("nc,nc->c", block, block, dtype=np.float64) / len(block)
        counted = self._counted
        if power[counted].max() <= SILENT_POWER:
            counted = np.ones_like(counted)  # the low one alone is better than none
        loudest = int(np.argmax(np.where(counted, power, -1.0)))
        loud = power[loudest]
        if loud > SILENT_POWER:
            self.n_blocks += 1
            self._active |= counted & (power > ACTIVE_RANGE * loud)
            mean = self._mean()
            mixed = float(np.mean(np.square(np.einsum("nc,c->n", block, mean), dtype=np.float64)))
            if self._alone is None:
                self._alone = loudest if mixed < FAR_BELOW * loud else None
            elif mixed > NEAR_AGAIN * loud:
                self._alone = None
            elif loud > CHANNEL_LEAD * power[self._alone]:
                self._alone = loudest
            self.n_alone += self._alone is not None
        if self._alone is None:
            return self._mean()
        alone: np.ndarray = np.arange(len(power)) == self._alone
        return alone.astype(np.float32)

    def _mean(self) -> np.ndarray:
        used = self._active if self._active.any() else self._counted
        return (used / np.count_nonzero(used)).astype(np.float32)


def low_channel(codec: str | None, layout: str | None) -> int | None:
    """Return the channel for low frequencies, where a layout has one; of ``5.1`` the fourth."""
    if codec not in _LAID_OUT_CODECS or layout is None or not _KNOWN_LAYOUT.fullmatch(layout):
        return None
    return 2 if layout.startswith("2.1") else 3
