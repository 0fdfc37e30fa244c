"""Scores a folder, a bucket or a million clips into one table, each clip exactly once."""

from __future__ import annotations

from cryvision.batch.run import score
from cryvision.batch.summary import Progress, Summary

__all__ = ["Progress", "Summary", "score"]
