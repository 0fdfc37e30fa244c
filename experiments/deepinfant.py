"""DeepInfant's networks under protocols that leak, and with phones kept apart.

Run ``python experiments/deepinfant.py`` (about an hour on one core); it writes
``results/deepinfant.json``. Its repository (skytells-research/DeepInfant, README) states an
accuracy of 89 % for V2 and no protocol; its scripts divide files at random, generated copies and
files that lie in two classes among them. V2 is asked for nine classes too, as it was published.
"""

from __future__ import annotations

from pathlib import Path

from published_networks import WIDTH, study, study_uploads
from record import write_result

from cryvision.training.systems import system

SEED = 0
NETWORKS = [
    system(name).with_network(width=WIDTH)
    for name in ("deepinfant-v2", "deepinfant-v1", "deepinfant-vggish")
]
PUBLISHED = {"deepinfant-v2": 0.89}
DEMANDED = {"leak-duplicate": {"deepinfant-v2": 0.75}}
"""What a leak must reach, or this would not show what explains a figure."""


def main() -> None:
    found = study(NETWORKS, SEED, PUBLISHED, DEMANDED)
    nine = study_uploads(NETWORKS[0], SEED)
    write_result(Path(__file__).stem, SEED, {**found, "nine_classes": nine})


if __name__ == "__main__":
    main()
