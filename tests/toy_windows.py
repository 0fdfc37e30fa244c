"""Windows without any sound behind them: small, and with a score that is easily learnt."""

from __future__ import annotations

import numpy as np

from cryvision.learning.windows import Windows

N_FRAMES, N_BANDS = 24, 4


def toy_windows(
    cry: np.ndarray, subject: np.ndarray | str = "ada", seed: int = 0, **columns: object
) -> Windows:
    """One window a label, 0.1 s apart in each clip; band 1 stands out at the end of those that cry.

    Parameters
    ----------
    cry : ndarray of float, shape (n,)
    subject : ndarray of str, shape (n,), or str
        Each subject's windows are one clip, so they must follow one another.
    columns
        Other columns of the windows, or one value for all of them.
    """
    n = len(cry)
    inputs = np.random.default_rng(seed).normal(-40, 5, (n, N_FRAMES, N_BANDS))
    inputs[cry >= 0.5, -8:, 1] += 30
    subjects = np.array(np.broadcast_to(np.array(subject, object), n))
    end_s = np.concatenate(
        [0.5 + 0.1 * np.arange(np.sum(subjects == name)) for name in dict.fromkeys(subjects)]
    )
    facts: dict[str, object] = {
        "inputs": inputs.astype(np.float16),
        "cry": np.asarray(cry, np.float32),
        "end_s": end_s,
        "level_dbfs": np.float32(-20),
        "subject": subjects,
        "noise_subject": "",
        "source": "own",
        "clip": subjects,
    } | columns
    for name in ("level_dbfs", "noise_subject", "source", "clip"):
        kind = np.float32 if name == "level_dbfs" else object
        facts[name] = np.array(np.broadcast_to(np.array(facts[name], kind), n))
    return Windows(**facts)  # type: ignore[arg-type]
