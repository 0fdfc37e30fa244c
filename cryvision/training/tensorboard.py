"""Learning curves for TensorBoard, written while they grow."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryvision.errors import CryvisionError

SCALARS = "scalars"
"""The part of TensorBoard that shows single numbers over steps."""


class CurveLog:
    """Event files in a folder: a run, which is a folder in it, for each network that is fitted.

    TensorFlow alone writes them; to look at them takes the package tensorboard.

    Parameters
    ----------
    folder : path
        Made if it is not there. What other trainings wrote there stays.

    Raises
    ------
    CryvisionError
        If the folder cannot be made.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self._run = "training"
        self._writer: Any = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CryvisionError(
                f"{folder}: learning curves go into a folder; it cannot be made: {error.strerror}"
            ) from error

    def begin(self, run: str) -> None:
        """Name the network that is fitted next; its folder is made with its first values."""
        self._run = run
        self._writer = None

    def write(self, stage: str, curves: Mapping[str, Sequence[float]]) -> None:
        """Write the newest value of each curve.

        Parameters
        ----------
        stage : str
            What the network is fitted to, if one network is fitted to several things in turn.
        curves : mapping of str to sequence of float
            All of the same length, a value each epoch.
        """
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
