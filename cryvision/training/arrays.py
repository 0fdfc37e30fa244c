"""A laboratory's own tables of features become samples, once they were seen to fit each other."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from cryvision.config import SOUND_FEATURES
from cryvision.errors import ConfigError
from cryvision.inference.branch_inputs import FACE
from cryvision.models.cha_bae import HEAD_LAYERS
from cryvision.training.stacking import Samples

_OWN = (*SOUND_FEATURES, FACE)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")
_BRANCH = "branch_"
"""Names of parts start with this; those of features must not."""


def array_samples(
    features: Mapping[str, ArrayLike],
    labels: Sequence[str | int],
    subjects: Sequence[str | int],
) -> tuple[Samples, list[str]]:
    """Check tables of features, and make samples of them: each row is a clip of its own.

    The arguments are as for `cryvision.train_arrays`. The labels become numbers in the alphabetical
    order of their names; beside the samples comes a line for each table with rows that are missing
    in part. A name, a shape or a value that may not be is a ConfigError.
    """
    classes, persons = _texts(labels, "labels"), _texts(subjects, "subjects")
    if len(classes) != len(persons):
        raise ConfigError(
            f"subjects must be one for each label; got {len(persons)} and {len(classes)}"
        )
    if not features:
        raise ConfigError("features must hold at least one array; got none")
    tables = {name: _table(name, values, len(classes)) for name, values in features.items()}
    order = sorted(set(classes))
    if len(order) < 2:
        raise ConfigError(
            f"training needs rows of two classes or more; got {', '.join(order) or 'none'}"
        )
    samples = Samples(
        tables,
        np.array([order.index(label) for label in classes]),
        np.array(persons),
        np.arange(len(classes)).astype(str),
    )
    return samples, [line for name, table in tables.items() for line in _remarks(name, table)]


def _texts(values: Sequence[str | int], what: str) -> list[str]:
    """Names as texts; whole numbers are names too, but what stands for a missing one is not."""
    if "" in values:
        raise ConfigError(f"{what} must be names or whole numbers; got ''")
    return [str(value) for value in values]


def _table(name: str, values: ArrayLike, n: int) -> np.ndarray:
    taken = name in _OWN or name in HEAD_LAYERS or str(name).startswith(_BRANCH)
    if not isinstance(name, str) or not _NAME.fullmatch(name) or taken:
        own = ", ".join(_OWN)
        raise ConfigError(
            "the name of a feature must be lower-case letters, digits, '-' and '_', at most 50, "
            f"and not one of the package's own ({own}); got {name!r:.80}"
        )
    try:
        with np.errstate(over="ignore"):  # too large for float32: infinite, and refused
            # What a mask hides is missing.
            table = np.ma.filled(np.ma.asarray(values).astype(np.float32), np.nan)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the feature {name!r} must hold numbers only: {error}") from error
    if table.ndim != 2 or len(table) != n or not table.shape[1]:
        raise ConfigError(
            f"the feature {name!r} must have shape ({n}, d), d at least 1; got {table.shape}"
        )
    if np.isinf(table).any() or np.isnan(table).any(axis=1).all():
        raise ConfigError(
            f"the feature {name!r} must hold finite numbers, and NaN in rows that lack it; "
            f"got {'infinity' if np.isinf(table).any() else 'no row without NaN'}"
        )
    return table


def _remarks(name: str, table: np.ndarray) -> list[str]:
    missing = np.isnan(table)
    n_partly = int(np.count_nonzero(missing.any(axis=1) & ~missing.all(axis=1)))
    if not n_partly:
        return []
    return [
        f"{name}: {n_partly} of {len(table)} rows hold NaN in part and count as missing; fill "
        "them, or divide the feature into sets that are missing together"
    ]
