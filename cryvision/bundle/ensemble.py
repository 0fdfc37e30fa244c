"""The branches of a bundle and their ensemble, run on rows of features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cryvision.errors import BundleError

if TYPE_CHECKING:
    from cryvision.bundle import Bundle, Part


class StackModels:
    """The branches of a bundle and its ensemble, which several need, from features to classes.

    The output of the `decider` is the prediction: the ensemble, or the only branch.
    """

    def __init__(self, bundle: Bundle, runtime: str = "onnx") -> None:
        self.branches: tuple[Part, ...] = tuple(p for p in bundle.parts if p.kind == "branch")
        ensemble = next((part for part in bundle.parts if part.kind == "ensemble"), None)
        if not self.branches:
            raise BundleError(f"{bundle.folder}: the bundle must have branches; it has none")
        if ensemble is None and len(self.branches) > 1:
            raise BundleError(f"{bundle.folder}: several branches need an ensemble; there is none")
        names = {part.name for part in self.branches}
        for name in () if ensemble is None else ensemble.inputs:
            if name not in names:
                raise BundleError(f"{bundle.folder}: an ensemble must take branches; got {name!r}")
        self.decider: Part = ensemble or self.branches[0]
        self._n_classes = len(bundle.labels)
        self._models = {part.name: bundle.model(part, runtime) for part in self.branches}
        self._ensemble = None if ensemble is None else bundle.model(ensemble, runtime)

    def outputs(self, features: Mapping[str, np.ndarray], n: int) -> dict[str, np.ndarray]:
        """Run each branch on the rows, ``n`` of them, that have its feature.

        A row that a feature, shape (n, ...), is missing for is NaN in it; one that is missing for
        all may be absent. Float32, shape (n, n_classes), by branch: zeros, which no softmax gives,
        where it has no output.
        """
        return {part.name: self._branch(part, features, n) for part in self.branches}

    def fuse(self, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Fuse the outputs; float32, shape (n, n_classes), NaN where no branch has an output."""
        if self._ensemble is None:
            fused: np.ndarray = outputs[self.decider.name].copy()
        else:
            fused = self._ensemble.predict({name: outputs[name] for name in self.decider.inputs})
        fused[~np.stack([has_output(values) for values in outputs.values()]).any(axis=0)] = np.nan
        return fused

    def _branch(self, part: Part, features: Mapping[str, np.ndarray], n: int) -> np.ndarray:
        outputs = np.zeros((n, self._n_classes), np.float32)
        name = part.inputs[0]
        if name not in features or not n:
            return outputs
        present = ~np.isnan(features[name].reshape(n, -1)).any(axis=1)
        if present.any():
            outputs[present] = self._models[part.name].predict({name: features[name][present]})
        return outputs


def has_output(outputs: np.ndarray) -> np.ndarray:
    """Return the rows where a branch has an output; bool, shape (n,)."""
    return np.asarray(outputs.any(axis=1))
