"""One label for a clip, given only where it was measured to be worth something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cryvision.errors import ConfigError

NO_CRY = "no cry"
CRY = "cry"
NOT_SURE = "not sure"
LABEL_POLICIES = ("skill", "always")

NOT_APART = "not kept apart"
"""What stands in a skill entry for where subjects are known from, when they were on both sides."""


def check_policy(policy: str) -> str:
    """Give the policy back, or refuse an unknown one with ConfigError."""
    if policy not in LABEL_POLICIES:
        raise ConfigError(
            f"label policy must be one of {', '.join(LABEL_POLICIES)}; got {policy!r}"
        )
    return policy


def has_skill(
    skill: Sequence[Mapping[str, Any]],
    part: str,
    modalities: Sequence[str],
    unit: str | None = None,
) -> bool:
    """Whether a part was measured to do better than chance on subjects it had not seen.

    The lower end of the 95 % subject-bootstrap interval of balanced accuracy must lie above
    chance **and** the calibrated log-loss below the prior's; subjects guessed one per file never
    qualify.

    Parameters
    ----------
    skill : list of dict
        The bundle's skill entries.
    part : str
        Name of the part that decides.
    modalities : sequence of str
        What it decided from.
    unit : str, optional
        Only what was measured by clip, event or window; by default any counts.
    """
    return any(
        entry["part"] == part
        and set(entry["modalities"]) == set(modalities)
        and unit in (None, entry["unit"])
        and _is_skilled(entry)
        for entry in skill
    )


def _is_skilled(entry: Mapping[str, Any]) -> bool:
    figures = entry["figures"]
    interval = figures.get("balanced_accuracy", {}).get("interval")
    log_loss = figures.get("log_loss", {}).get("value")
    prior_log_loss = entry["prior"].get("log_loss")
    if entry["subjects"] in ("file", NOT_APART) or None in (interval, log_loss, prior_log_loss):
        return False
    return bool(interval[0] > entry["chance"] and log_loss < prior_log_loss)


def mean_probabilities(
    timeline: Mapping[str, np.ndarray],
    labels: Sequence[str],
    spans_s: Sequence[tuple[float, float]] | None,
) -> dict[str, float]:
    """Average the smoothed probabilities over the frames of the events.

    Parameters
    ----------
    timeline : mapping of str to ndarray
        With ``time_s`` and a column ``<label>_smooth`` for each label.
    labels : sequence of str
    spans_s : sequence of (onset, offset) or None
        The events; None to take all frames. Where no frame of an event carries a prediction, as
        in bouts shorter than a window of the reasons, all frames that carry one are taken.

    Returns
    -------
    dict of str to float
        Empty where no frame carries a prediction.
    """
    columns = [timeline[f"{label}_smooth"] for label in labels]
    has_output = np.logical_and.reduce([~np.isnan(column) for column in columns])
    if spans_s is not None:
        inside = np.zeros(len(has_output), bool)
        for first, stop in np.searchsorted(timeline["time_s"], spans_s).tolist():
            inside[first:stop] = True
        has_output = has_output & inside if (has_output & inside).any() else has_output
    if not has_output.any():
        return {}
    means = [float(column[has_output].mean(dtype=np.float64)) for column in columns]
    return dict(zip(labels, means, strict=True))
