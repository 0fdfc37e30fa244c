"""Judges each corpus by networks that never met it, with the rules that ship.

Run after `parts.py` and `scores.py` on the jobs ``edges-without-CORPUS`` and
``tagger-without-CORPUS``::

    python experiments/left_out.py SCORES

It takes the rules from ``results/detector.json`` and writes ``results/left_out.json``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from detector import Rules, without_corpora
from record import RESULTS, write_result

from cryvision.config import VetoConfig


def main() -> None:
    shipped = json.loads((RESULTS / "detector.json").read_text())["shipped"]
    rules = Rules(**{**shipped, "veto": VetoConfig(**shipped["veto"])})
    write_result(
        Path(__file__).stem,
        0,
        {
            "protocol": "networks trained on all but one corpus; thresholds, calibration and veto "
            "as shipped",
            "corpora": without_corpora(Path(sys.argv[1]), rules),
        },
    )


if __name__ == "__main__":
    main()
