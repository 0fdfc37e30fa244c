"""Which network of a training is fitted now: a line in the log, and curves for TensorBoard."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryvision.os_errors import os_errors

log = logging.getLogger(__name__)

SCALARS = "scalars"
"""The part of TensorBoard that shows single numbers over steps."""


class CurveLog:
    """Event files in a folder: a run, which is a folder in it, for each network that is fitted.

    TensorFlow alone writes them; to look at them takes the package tensorboard. The folder is made
    if it is not there; what other trainings wrote there stays.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self._run = "training"
        self._writer: Any = None
        with os_errors(f"{folder}: learning curves go into a folder; it cannot be made"):
            self._folder.mkdir(parents=True, exist_ok=True)

    def begin(self, run: str) -> None:
        """Name the network that is fitted next; its folder is made with its first values."""
        self._run = run
        self._writer = None

    def write(self, stage: str, curves: Mapping[str, Sequence[float]]) -> None:
        """Write the newest value of each curve; the stage is which of several fits it is."""
        import tensorflow as tf

        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self._folder / self._run))
        # As tf.summary.scalar does, which needs the package tensorboard.
        metadata = tf.compat.v1.SummaryMetadata()
        metadata.plugin_data.plugin_name = SCALARS
        with self._writer.as_default():
            for name, values in curves.items():
                tag = f"{stage} {name}".strip()
                value = tf.constant(values[-1], tf.float32)
                tf.summary.write(tag, value, step=len(values) - 1, metadata=metadata)
        self._writer.flush()


@dataclass(frozen=True)
class FitLog:
    """Logs the fits of a stack.

    ``fold`` is the number of the fold that the stack is tested on, from 1 on, None for the stack of
    all clips; ``curves`` gets a run for each fit.
    """

    fold: int | None = None
    curves: CurveLog | None = None

    def info(self, message: str, *values: object) -> None:
        prefix = "" if self.fold is None else f"fold {self.fold}: "
        log.info(prefix + message, *values)

    def begin(self, branch: str, inner_fold: int | None = None, n_inner_folds: int = 0) -> None:
        """Log that a branch is fitted, on all rows of the stack or without an inner fold."""
        run = [] if self.fold is None else [f"fold-{self.fold}"]
        run.append(branch)
        if inner_fold is None:
            self.info("%s", branch)
        else:
            self.info("%s, inner fold %d of %d", branch, inner_fold, n_inner_folds)
            run.append(f"inner-fold-{inner_fold}-of-{n_inner_folds}")
        if self.curves is not None:
            self.curves.begin("-".join(run))
