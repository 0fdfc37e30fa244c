"""What the JSON beside an exported file lets a device say."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from cryvision.bundle import Bundle
from cryvision.export import sidecar
from cryvision.export.graph import Graph


@pytest.fixture(scope="module")
def graphs(toy: Bundle, graph_of: Callable[[Bundle, str], Graph]) -> dict[str, Graph]:
    return {choice: graph_of(toy, choice) for choice in ("all", "detector")}


def skill(part: str, unit: str, **changes: Any) -> dict[str, Any]:
    """An entry that says: better than chance and than the prior, on babies not heard before."""
    entry = {
        "part": part,
        "modalities": ["sound"],
        "unit": unit,
        "protocol": "grouped",
        "subjects": "pattern",
        "figures": {
            "balanced_accuracy": {"value": 0.6, "interval": [0.5, 0.7]},
            "log_loss": {"value": 0.9},
        },
        "chance": 0.34,
        "prior": {"log_loss": 1.1},
    }
    return {**entry, **changes}


@pytest.mark.parametrize(
    ("choice", "entry", "sure"),
    [
        ("detector", skill("detector", "window"), True),
        ("detector", skill("detector", "window", subjects="file"), False),
        ("detector", skill("ensemble", "clip"), False),
        ("all", skill("ensemble", "clip"), True),
        ("all", skill("ensemble", "window"), False),
        ("all", skill("ensemble", "clip", modalities=["sound", "face"]), False),
        ("all", skill("detector", "window"), False),
    ],
)
def test_a_label_may_be_named_where_classify_names_it(
    toy: Bundle, graphs: dict[str, Graph], choice: str, entry: dict[str, Any], sure: bool
) -> None:
    bundle = dataclasses.replace(toy, skill=[entry])
    facts = sidecar.describe(bundle, graphs[choice], kind="onnx", precision="fp32")
    assert facts["label_policy"]["has_skill"] == sure
    assert (facts["label_policy"]["says"] == "not sure") == (not sure)
    assert facts["skill"] == [entry]
