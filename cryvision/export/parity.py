"""Do two runtimes agree on one model? Numbers, and a failure that cannot pass unseen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cryvision.errors import CryvisionError


def check_outputs(
    reference: Mapping[str, np.ndarray], candidate: Mapping[str, np.ndarray], where: str
) -> None:
    """Make sure that two sets of outputs by name, shape (n, ...), can be compared.

    Outputs that are missing, empty, of another shape or not finite are a CryvisionError.
    """
    if set(reference) != set(candidate):
        raise CryvisionError(
            f"{where}: outputs must be {', '.join(sorted(reference))}; "
            f"got {', '.join(sorted(candidate)) or 'none'}"
        )
    for name, expected in reference.items():
        got = candidate[name]
        if expected.shape != got.shape or expected.size == 0:
            raise CryvisionError(
                f"{where}: {name} must have shape {expected.shape} and hold something; "
                f"got {got.shape}"
            )
        # Checked first: max() and <= ignore NaN.
        if not (np.isfinite(expected).all() and np.isfinite(got).all()):
            raise CryvisionError(f"{where}: {name} holds values that are not finite")


def max_differences(
    reference: Mapping[str, np.ndarray],
    candidate: Mapping[str, np.ndarray],
    tolerance: float,
    where: str,
) -> dict[str, float]:
    """Give the largest absolute difference of each output of two runtimes on the same samples.

    One above the tolerance is a CryvisionError.
    """
    check_outputs(reference, candidate, where)
    differences = {}
    for name, expected in reference.items():
        difference = float(np.abs(expected.astype(np.float64) - candidate[name]).max())
        if difference > tolerance:
            raise CryvisionError(
                f"{where}: {name} must agree within {tolerance:g}; differs by {difference:.3g}"
            )
        differences[name] = difference
    return differences


def scaled_differences(
    reference: Mapping[str, np.ndarray], candidate: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Give the largest difference of each output, relative to values that are larger than one.

    Probabilities are compared as they are; logits and decibels, which float16 holds to 11 bits,
    in proportion.
    """
    return {
        name: float(
            (
                np.abs(expected.astype(np.float64) - candidate[name])
                / np.maximum(1.0, np.abs(expected))
            ).max()
        )
        for name, expected in reference.items()
    }
