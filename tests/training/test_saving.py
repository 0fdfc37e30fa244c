"""A fitted stack becomes a bundle that carries all of its gate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bundles import REASON_SOUNDS, REASONS, glides, reasons_bundle, untrained_branch
from two_parts import GATE, TAGS, VETO, tones, two_part_bundle

from cryvision.bundle import Bundle
from cryvision.bundle.saving import Description
from cryvision.inference.classifier import StreamClassifier
from cryvision.inputs.features import sound_windows
from cryvision.training.branches import Branch
from cryvision.training.saving import save_stack
from cryvision.training.stacking import Samples, Stack


def saved(folder: Path, gate: Bundle | None) -> Bundle:
    """An untrained stack of one branch, behind a gate."""
    from cryvision.models.cha_bae import build_ensemble

    sound = REASON_SOUNDS["mfcc"]
    inputs = sound_windows(glides(6.0), sound).inputs
    n = len(inputs)
    samples = Samples(
        {"mfcc": inputs}, np.arange(n) % 3, np.full(n, "a baby"), np.full(n, "a clip")
    )

    def unfitted(*given: object) -> None:
        raise AssertionError("nothing is fitted here")

    recipe = [Branch("branch_mfcc", "mfcc", unfitted)]  # type: ignore[arg-type]
    models = {"branch_mfcc": untrained_branch("mfcc", inputs, len(REASONS))}
    ensemble = build_ensemble(["branch_mfcc"], len(REASONS))
    stack = Stack(models, ensemble, {"temperature": 1.0, "bias": np.zeros(3)}, {})
    description = Description("tones", REASONS)
    return save_stack(stack, recipe, {"mfcc": sound}, samples, folder, description, gate)


def test_edges_and_tagger_are_carried_with_their_gate_and_veto(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    gate = two_part_bundle(tmp_path_factory)
    bundle = saved(tmp_path / "b", gate)
    assert [part.name for part in bundle.parts] == ["edges", "tagger", "branch_mfcc", "ensemble"]
    assert (bundle.gate, bundle.veto) == (GATE, VETO)
    assert bundle.tagger is not None
    assert bundle.tagger.tags == TAGS
    for name in ("edges", "tagger"):
        assert bundle.part(name).files == gate.part(name).files
    stream = StreamClassifier(bundle)
    stream.push(tones(4.0, edges=[(0.5, 2.5), (3.0, 3.5)], cry=[(0.5, 2.5)]))
    result = stream.finish()
    assert result.veto == "normal"
    assert np.isfinite(result.timeline["hungry"]).any()


def test_a_detector_of_windows_is_carried_alone(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    gate = reasons_bundle(tmp_path_factory)
    bundle = saved(tmp_path / "b", gate)
    assert [part.name for part in bundle.parts] == ["detector", "branch_mfcc", "ensemble"]
    assert (bundle.gate, bundle.veto) == (gate.gate, None)


def test_without_a_gate_nothing_is(tmp_path: Path) -> None:
    bundle = saved(tmp_path / "b", None)
    assert (bundle.detector, bundle.tagger, bundle.gate, bundle.veto) == (None,) * 4
