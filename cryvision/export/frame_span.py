"""Which log-mel frames one call of an exported file takes, and what each part makes of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryvision.bundle import Part
from cryvision.config import LogMelConfig
from cryvision.errors import ConfigError
from cryvision.inputs import logmel

CALL_SECONDS = 0.24
"""From one call to the next, about, without a tagger."""


@dataclass(frozen=True)
class FrameSpan:
    """The frames of one call; the next call takes those ``call_frames`` later.

    A call gives the newest steps of the edges, as many as there are from one call to the next, so
    that no step is missed and none is given twice; and the tagger's scores of the window that ends
    with the span. ``edges`` and ``tagger`` are the settings of the frame network and of the tagger.
    """

    edges: LogMelConfig
    tagger: LogMelConfig | None

    @classmethod
    def of(cls, detector: Part, tagger: Part | None) -> FrameSpan | None:
        """Give the span of a detector; None for one that takes windows of sound."""
        if detector.logmel is None:
            return None
        span = cls(detector.logmel, None if tagger is None else tagger.logmel)
        if span.tagger is None:
            return span
        edges, tags = span.edges, span.tagger
        if edges.spectral != tags.spectral or tags.hop_frames % edges.hop_frames:
            raise ConfigError(
                f"the parts {detector.name} and {getattr(tagger, 'name', '')} can be one file only "
                "if they take the same frames and the tagger's hop is a multiple of the edges'"
            )
        return span

    @property
    def call_frames(self) -> int:
        """Frames from one call to the next."""
        if self.tagger is not None:
            return self.tagger.hop_frames
        return self.edges.hop_frames * max(1, round(CALL_SECONDS / self.edges.hop_seconds))

    @property
    def n_steps(self) -> int:
        """Steps of the edges that a call gives."""
        return self.call_frames // self.edges.hop_frames

    @property
    def n_frames(self) -> int:
        """Frames of the span."""
        tagged = 0 if self.tagger is None else self.tagger.window_frames
        return max(self._n_edges_frames + self._n_unused, self._n_behind + self.call_frames, tagged)

    @property
    def n_samples(self) -> int:
        """Samples of the span: its frames, and what their spectra reach beyond them."""
        reach = logmel.reach_samples(self.edges)
        return self.n_frames * self.edges.frame_samples + 2 * reach

    def frames_of(self, config: LogMelConfig) -> slice:
        """Give what the frame network or the tagger, by its settings, takes of the span."""
        if self.tagger is not None and config == self.tagger:
            return slice(self.n_frames - config.window_frames, self.n_frames)
        end = self.n_frames - self._n_unused
        return slice(end - self._n_edges_frames, end)

    @property
    def step_frames(self) -> slice:
        """What the steps are about."""
        end = self.n_frames - self._n_behind
        return slice(end - self.call_frames, end)

    @property
    def _n_edges_frames(self) -> int:
        return self.edges.window_frames + self.edges.hop_frames * (self.n_steps - 1)

    @property
    def _n_unused(self) -> int:
        """Newest frames that no step takes: calls end where steps do, their windows later."""
        return -self.edges.lookahead_frames % self.edges.hop_frames

    @property
    def _n_behind(self) -> int:
        """Frames behind the newest step."""
        return self.edges.lookahead_frames + self._n_unused


def package_frames(spans: np.ndarray, silent_frames: np.ndarray, span: FrameSpan) -> logmel.Frames:
    """Compute the frames of spans, shape (n, span.n_samples), with the package's own arithmetic.

    ``silent_frames``, shape (n, 2), is how many frames at the start and at the end of each lie
    outside its stream. The result has ``log_power`` of shape (n, span.n_frames, n_mels) and
    ``mean_square`` of shape (n, span.n_frames).
    """
    config, n = span.edges, span.n_frames
    # With so much silence before it, the span's first frame is the stream's second one.
    before = np.zeros(config.frame_samples - logmel.reach_samples(config), np.float32)
    frames_of_spans = [logmel.log_mel(np.concatenate([before, item]), config) for item in spans]
    log_power = np.stack([frames.log_power[1 : n + 1] for frames in frames_of_spans])
    mean_square = np.stack([frames.mean_square[1 : n + 1] for frames in frames_of_spans])
    frame = np.arange(n)
    outside = (frame < silent_frames[:, :1]) | (frame >= n - silent_frames[:, 1:])
    log_power[outside], mean_square[outside] = logmel.SILENCE, 0.0
    return logmel.Frames(log_power, mean_square)
