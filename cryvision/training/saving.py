"""A fitted stack becomes a bundle, behind the detector of another or without one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cryvision.bundle import Bundle, Part
from cryvision.bundle.saving import Description, save
from cryvision.config import FaceConfig, SoundConfig
from cryvision.errors import ConfigError
from cryvision.training.branches import Branch, rows_at_once
from cryvision.training.stacking import Samples, Stack

PARITY_ROWS = 300


class Trained(NamedTuple):
    """A bundle, a line on each clip that could not be used, and the folder of a report, if any.

    ``clips`` are the paths of a detector's recordings that were used.
    """

    bundle: Bundle
    left_out: tuple[str, ...]
    report: Path | None = None
    clips: tuple[str, ...] = ()


Settings = Mapping[str, SoundConfig | FaceConfig]
"""How each feature is computed, by its name; a laboratory's own features have none."""


def save_stack(
    stack: Stack,
    recipe: Sequence[Branch],
    settings: Settings,
    samples: Samples,
    out: str | os.PathLike[str],
    description: Description,
    gate: Bundle | None = None,
    overwrite: bool = False,
) -> Bundle:
    """Save a stack as a bundle, each ONNX copy compared with Keras.

    ``samples`` are real rows on which both must agree; up to ``PARITY_ROWS`` are drawn for each
    part. The new bundle carries the detector and the tagger of ``gate``, with their gate, veto and
    skill.
    """
    with tempfile.TemporaryDirectory() as folder:
        parts, models = _stack_parts(stack, recipe, settings, samples, Path(folder))
        description = replace(description, parts=parts)
        if gate is not None:
            detectors = _detector_parts(gate)
            models |= {part.name: gate.copy_files(part, Path(folder)) for part in detectors}
            names = [part.name for part in detectors]
            carried = [entry for entry in gate.skill if entry["part"] in names]
            description = replace(
                description,
                parts=[*detectors, *parts],
                gate=gate.gate,
                veto=gate.veto,
                smooth_seconds=gate.smooth_seconds,
                skill=[*carried, *description.skill],
            )
        return save(out, description, models, overwrite)


def _detector_parts(gate: Bundle) -> list[Part]:
    """Detector and tagger of a bundle, which the tagger may be missing from."""
    if gate.detector is None:
        raise ConfigError(f"the gate must be a bundle with a detector; {gate.folder} has none")
    return [part for part in (gate.detector, gate.tagger) if part is not None]


def _stack_parts(
    stack: Stack, recipe: Sequence[Branch], settings: Settings, samples: Samples, folder: Path
) -> tuple[list[Part], dict[str, dict[str, Path]]]:
    from cryvision.export.onnx.parts import part_files

    parts, models = [], {}
    for branch in recipe:
        model = stack.branches[branch.name]
        rows = _drawn(samples.has(branch.feature), rows_at_once(model))
        inputs = {branch.feature: samples.features[branch.feature][rows].astype(np.float32)}
        models[branch.name], agreement = part_files(model, folder, branch.name, inputs)
        config = settings.get(branch.feature)
        parts.append(
            Part(
                branch.name,
                "branch",
                (branch.feature,),
                config if isinstance(config, SoundConfig) else None,
                agreement,
                config if isinstance(config, FaceConfig) else None,
            )
        )
    outputs = stack.outputs(recipe, samples[_drawn(np.ones(len(samples), bool))])
    models["ensemble"], agreement = part_files(stack.ensemble, folder, "ensemble", outputs)
    parts.append(Part("ensemble", "ensemble", tuple(outputs), None, agreement))
    return parts, models


def _drawn(there: np.ndarray, most: int = PARITY_ROWS) -> np.ndarray:
    """Numbers of some of the rows that are there, from the first to the last."""
    rows = np.flatnonzero(there)
    indices = np.linspace(0, len(rows) - 1, min(PARITY_ROWS, most, len(rows))).astype(int)
    return np.asarray(rows[indices])
