"""Branches that are one network on the windows of a feature, as the deep published systems are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision.argument_types import check_types
from cryvision.errors import ConfigError
from cryvision.models.picture_network import build_optimizer, build_picture_network
from cryvision.training import branches as fitting
from cryvision.training.branches import Branch, Curves, Rows

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Network:
    """How a network on a feature is built and fitted.

    ``build(picture, width)`` makes its layers, as `build_picture_network` takes them. ``width`` is
    theirs: all sizes are in proportion, and weights and time go with the square. There are at most
    so many ``epochs``; fitting stops when the validation loss no longer falls. The learning rate of
    Adam, ``rate``, is constant; or with ``highest_rate`` as the middle it goes in cycles of
    ``cycle_epochs``.
    """

    feature: str
    build: Callable[[Any, int], Any] = field(compare=False)
    width: int
    epochs: int = 50
    batch_size: int = 32
    rate: float = 1e-3
    highest_rate: float | None = None
    cycle_epochs: int = 4

    def __post_init__(self) -> None:
        check_types(self)
        if self.width < 1 or self.epochs < 1 or self.batch_size < 1:
            raise ConfigError(
                "width, epochs and batch_size of a network must be at least 1; got "
                f"{self.width}, {self.epochs} and {self.batch_size}"
            )
        if not 0 < self.rate < float("inf"):
            raise ConfigError(f"a learning rate must be positive; got {self.rate:g}")

    def branch(self) -> Branch:
        """Give the branch of a stack that fits this network."""
        return Branch(f"branch_{self.feature}", self.feature, self.fit)

    def untrained(self, rows: Rows, n_classes: int, seed: int) -> tuple[keras.Model, Rows]:
        """Build the network for some rows, their columns standardised by them; give both.

        The rows then are float32. Those that are too small for its layers are a ConfigError.
        """
        fitting.begin(seed)
        rows = replace(rows, inputs=np.asarray(rows.inputs, np.float32))
        scaling = fitting.scaling_for(rows.train_rows.inputs)
        n_frames, n_columns = rows.inputs.shape[1:]
        try:
            model = build_picture_network(
                self.build, scaling, n_frames, n_columns, n_classes, self.feature, self.width
            )
        except ValueError as error:  # pooling has left nothing
            raise ConfigError(
                f"a window must have more than {n_frames} frames of {n_columns} columns for the "
                "layers of this network"
            ) from error
        return model, rows

    def fit(self, rows: Rows, n_classes: int, seed: int) -> tuple[keras.Model, Curves]:
        """Build and fit; see `cryvision.training.branches.FitBranch`."""
        model, ready = self.untrained(rows, n_classes, seed)
        steps = -(-len(rows.labels) // self.batch_size)
        how = fitting.Fitting(
            self.epochs,
            optimizer=build_optimizer(self.rate, self.highest_rate, self.cycle_epochs * steps),
            n_batch=self.batch_size,
        )
        return model, fitting.fit_early_stopped(model, ready, rows.labels, seed, how)

    def facts(self) -> dict[str, Any]:
        """Describe this network as plain JSON data that no other network has."""
        plain = {name: value for name, value in vars(self).items() if name != "build"}
        build = getattr(self.build, "func", self.build)  # of functools.partial
        return {**plain, "build": build.__name__, **getattr(self.build, "keywords", {})}
