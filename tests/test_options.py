"""Options of public functions: type checkers know each of them, and unknown ones are refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import cryvision
from cryvision import argument_types, config
from cryvision.annotations import Interval, read_annotations, write_annotations
from cryvision.augmentation.variation import Variation
from cryvision.batch.options import BatchOptions, BatchValues
from cryvision.detector_training.options import DetectorOptions, DetectorValues
from cryvision.errors import ConfigError
from cryvision.evaluation.agreement import CodedClip
from cryvision.evaluation.coded_clips import CodingOptions, find_coded_clips
from cryvision.export.options import ExportOptions, ExportValues
from cryvision.inference.options import Options
from cryvision.inputs.media import probe, read_sound
from cryvision.outputs import stems
from cryvision.start_times import recording_start
from cryvision.training.options import SoundOptions, SoundValues, VideoOptions, VideoValues
from cryvision.training.systems import system


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


SETTINGS = (
    *(BatchOptions, CodingOptions, DetectorOptions, ExportOptions, Options, SoundOptions),
    *(VideoOptions, Variation, config.FaceConfig, config.GateConfig, config.SoundConfig),
    *(config.VetoConfig, partial(config.LogMelConfig, window_frames=9, hop_frames=3)),
)


def fields_of(settings: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(getattr(settings, "func", settings))]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("value", [b"x", object(), [3], {1: 2}, 1j])
def test_a_setting_of_another_type_is_refused_by_name(settings: Any, value: Any) -> None:
    for name in fields_of(settings):
        with pytest.raises(ConfigError, match=f"^{name} must be ") as refusal:
            settings(**{name: value})
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("settings", "field", "rule"),
    [
        (Options, {"threshold": "0.5"}, "threshold must be a number or None; got '0.5'"),
        (Options, {"threshold": True}, "threshold must be a number or None; got True"),
        (Options, {"bout_gap_s": None}, "bout_gap_s must be a number; got None"),
        (Options, {"bout_gap_s": 10**400}, "bout_gap_s must be a number; got 1000"),
        (Options, {"require_face": "no"}, "require_face must be True or False; got 'no'"),
        (BatchOptions, {"workers": 2.5}, "workers must be a whole number or None; got 2.5"),
        (BatchOptions, {"workers": "2"}, "workers must be a whole number or None; got '2'"),
        (BatchOptions, {"formats": "csv"}, "formats must be a list of strings; got 'csv'"),
        (BatchOptions, {"events": b"e.csv"}, "events must be a string or a path or None; got b'e"),
        (SoundOptions, {"n_folds": 5.0}, "n_folds must be a whole number; got 5.0"),
        (CodingOptions, {"tiers": ("a",)}, "tiers must be a list of strings; got"),
        (VideoOptions, {"face": {}}, "face must be a FaceConfig or None; got {}"),
    ],
)
def test_a_refusal_says_what_is_allowed_and_what_came(
    settings: Any, field: dict[str, Any], rule: str
) -> None:
    with pytest.raises(ConfigError) as refusal:
        settings(**field)
    assert rule in str(refusal.value)


def test_numbers_of_numpy_and_whole_ones_are_the_settings_that_they_equal() -> None:
    given = Options(threshold=np.float64(0.5), bout_gap_s=1, require_face=np.bool_(True))  # type: ignore[arg-type]
    assert given == Options(threshold=0.5, bout_gap_s=1.0, require_face=True)
    assert {type(given.threshold), type(given.bout_gap_s), type(given.require_face)} == {
        *(float, bool)
    }
    assert type(SoundOptions(seed=np.int64(3)).seed) is int  # type: ignore[arg-type]


@pytest.mark.parametrize("gather", [list, tuple, np.array, iter])
def test_texts_may_be_in_anything_with_an_order(gather: Callable[[list[str]], Any]) -> None:
    assert BatchOptions(formats=gather(["csv", "vtt"])).formats == ("csv", "vtt")


@pytest.mark.parametrize("formats", [{"csv", "vtt"}, {"csv": 1}, np.array("csv")])
def test_texts_without_an_order_are_no_list(formats: Any) -> None:
    with pytest.raises(ConfigError, match="formats must be a list of strings"):
        BatchOptions(formats=formats)


@pytest.mark.parametrize("number", [np.longdouble(0.5), np.array(0.5), Fraction(1, 2)])
def test_any_real_number_is_a_number(number: Any) -> None:
    assert type(Options(threshold=number).threshold) is float


def of_a_path(path: Any, out: Path) -> list[Callable[[], Any]]:
    return [
        *(lambda: cryvision.classify(path), lambda: cryvision.classify("x.wav", path)),
        *(lambda: cryvision.score(path, out), lambda: cryvision.score([path], out)),
        *(lambda: cryvision.score("x.wav", path), lambda: cryvision.score("x", out, bundle=path)),
        *(lambda: cryvision.evaluate(None, path), lambda: cryvision.audit(path)),
        *(lambda: cryvision.export(None, path), lambda: cryvision.train(path, out)),
        *(lambda: cryvision.train_audio_only(".", path), lambda: cryvision.train("x", path)),
        *(lambda: cryvision.train_detector(path, out), lambda: cryvision.Bundle.load(path)),
        *(lambda: read_sound(path), lambda: probe(path), lambda: read_annotations(path)),
        *(lambda: recording_start(path), lambda: find_coded_clips("x", path)),
    ]


@pytest.mark.parametrize("path", [b"x.wav", 3, 0.5, object()])
def test_what_is_no_path_is_refused_by_name(path: Any, tmp_path: Path) -> None:
    for call in of_a_path(path, tmp_path / "out.csv"):
        with pytest.raises(ConfigError, match=r"(path|bundle|source|out|corpus|second).* must be"):
            call()
    assert list(tmp_path.iterdir()) == []


def test_clips_to_score_may_come_from_a_search(tmp_path: Path) -> None:
    with pytest.raises(cryvision.CryvisionError, match=r"nothing-1\.wav: there is no such"):
        cryvision.score((f"nothing-{n}.wav" for n in (1, 2)), tmp_path / "out.csv")


@pytest.mark.parametrize(
    ("call", "rule"),
    [
        (lambda: system("deepinfant-v1").with_window("1"), "window_seconds must be a number"),
        (lambda: system("deepinfant-v1").with_window(float("nan")), "window_seconds must be 0"),
        (lambda: system("deepinfant-v1").with_rate(None), "rate must be a number; got None"),
        (lambda: system("deepinfant-v1").with_network(width="8"), "width must be a whole number"),
        (lambda: cryvision.Bundle.load().model(3), "part must be a Part or a string; got 3"),  # type: ignore[arg-type]
        (lambda: stems("abc"), "paths must be a list of strings or paths; got 'abc'"),
        (lambda: CodedClip("a", "s", [(0, 1)], np.zeros((0, 2)), 9.0), "first must be an ndarray"),  # type: ignore[arg-type]
        (lambda: write_annotations([3], "x.csv", "csv"), "intervals must be a list of Intervals"),  # type: ignore[list-item]
        (
            lambda: write_annotations([Interval(0, 1, 3)], "x.csv", "csv"),  # type: ignore[arg-type]
            "label must be a string; got 3",
        ),
    ],
)
def test_values_that_functions_take_are_checked_as_settings_are(
    call: Callable[[], Any], rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=rule):
        call()
    assert list(tmp_path.iterdir()) == []


def test_functions_keep_their_names_and_signatures() -> None:
    @argument_types.typed
    def twice(number: float) -> float:
        """Double a number."""
        return 2 * number

    assert (twice.__name__, twice.__doc__, twice(2)) == ("twice", "Double a number.", 4.0)
    with pytest.raises(ConfigError, match="number must be a number; got '2'"):
        twice("2")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"twice\(\) got an unexpected keyword argument 'other'"):
        twice(other=3)  # type: ignore[call-arg]


def test_any_value_is_taken_where_any_is_allowed() -> None:
    @argument_types.typed
    def same(value: Any) -> Any:
        return value

    assert same({1}) == {1}


def test_what_only_looks_like_a_number_of_numpy_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="seed must be a whole number"):
        SoundOptions(seed=SimpleNamespace(item=3))  # type: ignore[arg-type]
