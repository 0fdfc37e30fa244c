"""What a benchmark ran on, what is demanded of its numbers, and where they go."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryvision.bundle import Bundle

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
SEED = 0
"""Of the noise in the synthetic clips."""


@dataclass(frozen=True)
class Demand:
    """A number that the project promises."""

    what: str
    value: float
    at_most: float

    @property
    def met(self) -> bool:
        return self.value <= self.at_most


def parser(description: str | None, repeats: int) -> argparse.ArgumentParser:
    """Return a parser with the options of every benchmark."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--bundle", metavar="DIR", help="default: the one shipped")
    options.add_argument("--repeats", type=int, default=repeats, help=f"default: {repeats}")
    return options


def finish(
    name: str, bundle: Bundle, result: dict[str, Any], demands: list[Demand], seed: int = SEED
) -> int:
    """Write a benchmark's JSON, print its demands, and return the exit status."""
    # The folders of scripts are no packages; they share one way of writing results.
    sys.path.insert(0, str(ROOT / "experiments"))
    from record import write_result

    facts = {
        "machine": {
            "cores": os.cpu_count(),
            "load": os.getloadavg()[0],
            "platform": f"{platform.system()} {platform.machine()}",
        },
        "bundle": {"name": bundle.name, "sha256": bundle.sha256},
        "demands": [{**asdict(demand), "met": demand.met} for demand in demands],
    }
    write_result(name, seed, {**facts, **result}, RESULTS)
    for demand in demands:
        verdict = "met" if demand.met else "NOT MET"
        print(f"{demand.what}: {demand.value:.3g}, at most {demand.at_most:g}: {verdict}")
    return 0 if all(demand.met for demand in demands) else 1
