"""Edges, and a tagger beside them, become a bundle."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryvision.bundle import Bundle, Part
from cryvision.bundle.saving import Description, save
from cryvision.detector_training.calibration import Calibration, gate_for
from cryvision.detector_training.skill import DETECTOR
from cryvision.inputs.logmel import model_input
from cryvision.models.frame_network import EDGES
from cryvision.models.tagger import CONTEXT, TAGS

if TYPE_CHECKING:
    import keras

TAGGER = "tagger"
PARITY_PIECES = 300

_LOGMEL = "logmel"


def save_detector(
    edges: keras.Model,
    calibration: Calibration,
    log_power: np.ndarray,
    out: str | os.PathLike[str],
    description: Description,
    *,
    tagger: keras.Model | None = None,
    base: Bundle | None = None,
    overwrite: bool = False,
) -> Bundle:
    """Calibrate edges and save them as a bundle, perhaps beside a tagger.

    Keras and ONNX must agree on frames of pieces of real sound, shape (n, n_frames, n_mels), some
    of which are drawn. The description is that of the detector but its parts and labels. Its gate
    is by default that of the calibration's threshold, and its command that of this process; without
    ``veto`` a tagger decides no events. Without ``tagger`` that of ``base`` is copied, where that
    has one; with it, it has the tags and windows of that one, or by default
    `cryvision.models.tagger.TAGS` and ``CONTEXT``.
    """
    bias = np.array([calibration.bias])
    edges.get_layer("calibration").set_calibration(calibration.temperature, bias)
    rows = np.linspace(0, len(log_power) - 1, min(PARITY_PIECES, len(log_power))).astype(int)
    pieces = log_power[rows].astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        edges_part = Part(DETECTOR, "detector", (_LOGMEL,), None, {}, logmel=EDGES)
        saved = [_new_part(edges_part, edges, pieces, Path(folder))]
        copied = None if base is None else base.tagger
        if tagger is not None:
            tagger_part = Part(TAGGER, TAGGER, (_LOGMEL,), None, {}, logmel=CONTEXT, tags=TAGS)
            saved.append(_new_part(copied or tagger_part, tagger, pieces, Path(folder)))
        elif base is not None and copied is not None:
            saved.append((copied, base.copy_files(copied, Path(folder))))
        description = replace(
            description,
            labels=("no cry", "cry"),
            parts=[part for part, _ in saved],
            gate=description.gate or gate_for(calibration.threshold),
            command=description.command or _command(),
        )
        return save(out, description, {part.name: files for part, files in saved}, overwrite)


def _new_part(
    part: Part, model: keras.Model, pieces: np.ndarray, folder: Path
) -> tuple[Part, dict[str, Path]]:
    """Write the files of a part; give it with the agreement of both."""
    from cryvision.export.onnx.parts import part_files

    config = part.logmel or CONTEXT
    if part.kind == TAGGER:
        pieces = pieces[:, -config.window_frames :]
    samples = {_LOGMEL: model_input(pieces, config)}
    files, agreement = part_files(model, folder, part.name, samples)
    return replace(part, agreement=agreement, files={}), files


def _command() -> str:
    """What was run: the command line of cryvision, or a script that uses it."""
    program = Path(sys.argv[0]).name
    return shlex.join(["cryvision" if program == "__main__.py" else program, *sys.argv[1:]])
