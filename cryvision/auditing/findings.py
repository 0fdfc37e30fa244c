"""A finding of an audit: what was found, in plain words, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SEVERITIES = ERROR, WARNING, INFO = "error", "warning", "info"
"""The data are wrong; they can make a model look better than it is; worth knowing."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    ``kind`` is a name for programs, such as ``copies_across_labels``, and ``severity`` one of
    `SEVERITIES`. ``count`` is of what the title counts: clips, pairs, subjects or facts.
    ``examples`` are all that it was found in.
    """

    kind: str
    severity: str
    count: int
    title: str
    advice: str
    examples: tuple[str, ...] = ()


def listed(kind: str, severity: str, examples: Sequence[str], title: str, advice: str) -> Finding:
    """Make a finding that counts its examples, the title with their number behind it."""
    return Finding(
        kind, severity, len(examples), f"{title}: {len(examples)}", advice, tuple(examples)
    )


def present(*findings: Finding) -> list[Finding]:
    """Keep those that were found at all."""
    return [finding for finding in findings if finding.count]


def interval(estimate: Sequence[float]) -> str:
    """Write a share and the ends of its interval."""
    value, low, high = estimate
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"
