"""Which network of a training is fitted now: a line in the log, and a run of learning curves."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from cryvision.training.tensorboard import CurveLog

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitLog:
    """Logs the fits of a stack.

    Attributes
    ----------
    fold : int, optional
        Number of the fold that the stack is tested on, from 1 on; None for the stack of all clips.
    curves : CurveLog, optional
        Gets a run for each fit.
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
