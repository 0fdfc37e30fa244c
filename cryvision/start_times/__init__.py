"""When recordings started: from their names, their chunks, their headers or what was stated."""

from __future__ import annotations

from cryvision.start_times.start import RecordingStart, later, recording_start, time_zone

__all__ = ["RecordingStart", "later", "recording_start", "time_zone"]
