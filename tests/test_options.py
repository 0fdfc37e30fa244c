"""Options of public functions: type checkers know each of them, and unknown ones are refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cryvision
from cryvision.batch.options import BatchOptions, BatchValues
from cryvision.detector_training.options import DetectorOptions, DetectorValues
from cryvision.export.options import ExportOptions, ExportValues
from cryvision.inference.options import Options
from cryvision.training.options import SoundOptions, SoundValues, VideoOptions, VideoValues


@pytest.mark.parametrize(
    ("values", "options"),
    [
        (BatchValues, (BatchOptions, Options)),
        (DetectorValues, (DetectorOptions,)),
        (ExportValues, (ExportOptions,)),
        (SoundValues, (SoundOptions,)),
        (VideoValues, (VideoOptions,)),
    ],
)
def test_type_checkers_know_every_option(values: type, options: tuple[Any, ...]) -> None:
    fields = [field.name for kind in options for field in dataclasses.fields(kind)]
    assert sorted(values.__annotations__) == sorted(fields)


@pytest.mark.parametrize(
    "function",
    [
        *(cryvision.export, cryvision.score),
        *(cryvision.train, cryvision.train_audio_only, cryvision.train_detector),
    ],
)
def test_an_option_that_does_not_exist_is_refused_by_name(
    function: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(TypeError, match="'epoch'"):
        function(tmp_path, tmp_path / "out.onnx", epoch=3)
    assert list(tmp_path.iterdir()) == []
