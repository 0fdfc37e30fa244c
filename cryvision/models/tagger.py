"""The tagger: its tags, and the two seconds of log-mel frames that it takes."""

from __future__ import annotations

from cryvision.config import LogMelConfig

TAGS = (
    "cry",
    "baby_voice",
    "child_speech",
    "adult_speech",
    "music",
    "human_noise",
    "animal",
    "household",
    "alarm",
    "silence",
)
"""The tags; several may be detected at once."""

CONTEXT = LogMelConfig(window_frames=100, hop_frames=12, relative=True)
"""What the tagger takes: 2 s of sound, each 0.24 s (a whole number of the edges' steps)."""
