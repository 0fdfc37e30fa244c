"""What the JSON beside an exported file lets a device say."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from cryvision.bundle import Bundle, Part
from cryvision.config import FaceConfig
from cryvision.export import sidecar
from cryvision.export.graph import Graph

FACES = FaceConfig(window_seconds=1.0, hop_seconds=0.5)


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


def with_face(graph: Graph, sound: bool = True) -> Graph:
    """Put a branch on the face beside the branches of sound, or in their place."""
    others = [part for part in graph.parts if sound or part.kind != "branch"]
    branch = Part("branch_face", "branch", ("face",), None, {}, FACES)
    return dataclasses.replace(graph, parts=(branch, *others), face=FACES)


@pytest.mark.parametrize("measured", [["sound"], ["sound", "face"]])
def test_a_file_with_faces_says_what_may_be_named_where_none_is_seen(
    toy: Bundle, graphs: dict[str, Graph], measured: list[str]
) -> None:
    bundle = dataclasses.replace(toy, skill=[skill("ensemble", "clip", modalities=measured)])
    facts = sidecar.describe(bundle, with_face(graphs["all"]), kind="onnx", precision="fp32")
    assert facts["label_policy"]["has_skill"] == (measured == ["sound", "face"])
    assert facts["label_policy"]["without_face"]["has_skill"] == (measured == ["sound"])


def test_a_reason_by_the_face_alone_has_its_window_and_its_skill(
    toy: Bundle, graphs: dict[str, Graph]
) -> None:
    bundle = dataclasses.replace(toy, skill=[skill("ensemble", "clip", modalities=["face"])])
    graph = with_face(graphs["all"], sound=False)
    facts = sidecar.describe(bundle, graph, kind="onnx", precision="fp32")
    assert facts["label_policy"]["has_skill"]
    assert (facts["reason"]["window_samples"], facts["reason"]["hop_samples"]) == (16_000, 8_000)


@pytest.mark.parametrize("measured", [["voice", "skin"], ["voice"]])
def test_features_of_ones_own_have_the_skill_that_was_measured_of_them_together(
    toy: Bundle, graphs: dict[str, Graph], measured: list[str]
) -> None:
    bundle = dataclasses.replace(toy, skill=[skill("ensemble", "clip", modalities=measured)])
    own = tuple(Part(f"branch_{n}", "branch", (n,), None, {}) for n in ("voice", "skin"))
    others = tuple(part for part in graphs["all"].parts if part.kind != "branch")
    graph = dataclasses.replace(graphs["all"], parts=(*own, *others))
    policy = sidecar.describe(bundle, graph, kind="onnx", precision="fp32")["label_policy"]
    assert policy["has_skill"] == (measured == ["voice", "skin"])
    assert "without_face" not in policy


def test_without_a_gate_every_window_of_the_reasons_counts(
    toy: Bundle, graphs: dict[str, Graph]
) -> None:
    for gate, share in ((toy.gate, 0.5), (None, None)):
        bundle = dataclasses.replace(toy, gate=gate)
        facts = sidecar.describe(bundle, graphs["all"], kind="onnx", precision="fp32")
        assert facts["reason"]["min_cry_share"] == share
