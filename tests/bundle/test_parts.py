"""Bundles of version 2: edges and tagger read back as they were, and what is off refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from bundles import BUNDLE_V1
from hostile import edit, refusal
from tolerances import RUNTIME_TOLERANCE
from two_parts import CONTEXT, EDGES, GATE, TAGS, VETO, two_part_bundle

from cryvision.bundle import Bundle, Part, fields
from cryvision.bundle.parts import check_model
from cryvision.config import SoundConfig
from cryvision.errors import BundleError
from cryvision.runtime.loading import load_model


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return two_part_bundle(tmp_path_factory)


@pytest.fixture
def folder(bundle: Bundle, tmp_path: Path) -> Path:
    """A copy of the bundle that a test may spoil."""
    return Path(shutil.copytree(bundle.folder, tmp_path / "bundle"))


class TestReading:
    def test_everything_that_was_saved_is_there(self, bundle: Bundle) -> None:
        assert json.loads((bundle.folder / "bundle.json").read_text())["format_version"] == 2
        edges, tagger = bundle.detector, bundle.tagger
        assert edges is not None
        assert tagger is not None
        assert (edges.logmel, edges.tags, edges.sound) == (EDGES, (), None)
        assert (tagger.logmel, tagger.tags, tagger.sound) == (CONTEXT, TAGS, None)
        assert (bundle.gate, bundle.veto, bundle.format_version) == (GATE, VETO, 2)
        assert edges.lookahead_samples == 4 * 320

    def test_version_1_has_neither_tagger_nor_veto(self) -> None:
        bundle = Bundle.load(BUNDLE_V1)
        assert (bundle.tagger, bundle.veto, bundle.format_version) == (None, None, 1)
        assert bundle.part("detector").lookahead_samples == 0
        assert bundle.describe()["format_version"] == 1

    @pytest.mark.parametrize("runtime", ["onnx", "keras"])
    def test_a_frame_network_takes_sound_of_any_length(self, bundle: Bundle, runtime: str) -> None:
        model = bundle.model("edges", runtime)
        assert model.inputs == {"logmel": (None, 64)}
        assert (model.output, model.n_outputs) == ((None, 1), 1)
        for n_frames, n_steps in ((14, 1), (15, 1), (40, 14)):
            frames = np.zeros((2, n_frames, 64), np.float32)
            assert model.predict({"logmel": frames}).shape == (2, n_steps, 1)
        assert model.predict({"logmel": frames[:0]}).shape == (0, 0, 1)

    def test_both_runtimes_agree(self, bundle: Bundle) -> None:
        frames = np.random.default_rng(0).normal(size=(3, 50, 64)).astype(np.float32)
        for name in ("edges", "tagger"):
            onnx, keras = (
                bundle.model(name, runtime).predict({"logmel": frames})
                for runtime in ("onnx", "keras")
            )
            assert np.ptp(onnx) > 0.01
            np.testing.assert_allclose(keras, onnx, atol=RUNTIME_TOLERANCE)


class TestRefused:
    @pytest.mark.parametrize(
        ("part", "field", "value", "named"),
        [
            (0, "logmel", None, "logmel must describe the input 'logmel'"),
            (0, "logmel", {"window_frames": 14, "hop_frames": 0}, "hop_frames must be 1 to 3000"),
            (0, "logmel", {"window_frames": 1234567, "hop_frames": 1}, "3000; got 1234567"),
            (0, "logmel", {"window_frames": 14, "hop_frames": 2, "x": 1}, "no field 'x'"),
            (0, "logmel", {"window_frames": 3000, "hop_frames": 2, "frame_samples": 400}, "60 s"),
            (
                0,
                "logmel",
                {"window_frames": 14, "hop_frames": 2, "lookahead_frames": 13},
                "must hold the hop that its output is about",
            ),
            (0, "logmel", {"window_frames": 14, "hop_frames": 2, "relative": True}, "not relative"),
            (0, "inputs", ["mel"], "logmel must describe|sound must describe"),
            (0, "inputs", ["logmel", "mel"], "got 'mel'"),
            (0, "tags", ["cry"], "tags must name the outputs of a tagger, and of nothing else"),
            (0, "kind", "branch", "logmel must describe"),
            (1, "tags", [], "tags must name the outputs of a tagger"),
            (1, "tags", ["music", "cry"], "the first 'cry'"),
            (1, "tags", ["cry", "cry"], "different names"),
            (1, "tags", ["cry", "Bad Tag"], "lower-case letters"),
            (1, "tags", ["cry", 2], "texts only"),
            (1, "inputs", ["mel"], r"inputs of a tagger are features \(logmel\)"),
            (
                1,
                "logmel",
                {"window_frames": 50, "hop_frames": 12, "lookahead_frames": 2},
                "lookahead_frames must be 0",
            ),
            (1, "kind", "detector", "tags must name"),
            (1, "name", "logmel", "name of its own"),
        ],
    )
    def test_parts(self, folder: Path, part: int, field: str, value: object, named: str) -> None:
        edit(folder, lambda d: d["parts"][part].update({field: value}))
        with pytest.raises(BundleError, match=named):
            Bundle.load(folder)

    @pytest.mark.parametrize("field", ["logmel", "tags", "face"])
    def test_fields_of_a_part_that_are_missing(self, folder: Path, field: str) -> None:
        edit(folder, lambda d: d["parts"][1].pop(field))
        assert f"the field {field!r} is missing" in refusal(folder)

    @pytest.mark.parametrize(
        ("value", "named"),
        [
            ({"normal_at": 0.0}, "normal_at must be above 0"),
            ({"surprise": 1}, "no field 'surprise'"),
            ([], "veto has the wrong type"),
        ],
    )
    def test_a_veto_that_is_none(self, folder: Path, value: object, named: str) -> None:
        edit(folder, lambda d: d.update(veto=value))
        assert named in refusal(folder)

    def test_a_veto_without_a_tagger(self, folder: Path) -> None:
        edit(folder, lambda d: d["parts"].pop())
        assert "a veto needs a tagger" in refusal(folder)
        edit(folder, lambda d: d.update(veto=None))
        assert Bundle.load(folder).tagger is None

    def test_a_tagger_without_edges(self, folder: Path) -> None:
        edit(folder, lambda d: d["parts"].pop(0))
        assert "a tagger needs a detector on logmel" in refusal(folder)

    def test_two_taggers(self, folder: Path) -> None:
        edit(folder, lambda d: d["parts"].append({**d["parts"][1], "name": "second"}))
        assert "at most one tagger" in refusal(folder)

    def test_a_bundle_of_version_1_has_none_of_it(self, folder: Path) -> None:
        edit(folder, lambda d: d.update(format_version=1))
        assert "veto has the wrong type" in refusal(folder)
        edit(folder, lambda d: d.pop("veto"))
        assert "no field 'logmel' in a bundle of version 1" in refusal(folder)
        edit(folder, lambda d: [part.pop("logmel") for part in d["parts"]])
        assert "no field 'tags' in a bundle of version 1" in refusal(folder)
        edit(folder, lambda d: [part.pop("tags") for part in d["parts"]])
        assert "inputs of a detector are features (mel, mfcc" in refusal(folder)


class TestModels:
    def test_a_model_of_windows_is_no_frame_network(self, bundle: Bundle) -> None:
        windows = bundle.model("tagger")
        part = Part("edges", "detector", ("logmel",), None, {}, logmel=CONTEXT)
        with pytest.raises(BundleError, match="must have 1 outputs; got 4"):
            check_model(part, windows, 2, "here")

    def test_a_frame_network_is_no_detector_of_windows(self, bundle: Bundle) -> None:
        part = Part("branch", "branch", ("logmel",), None, {})
        with pytest.raises(BundleError, match=r"the output must have shape \(n, 1\)"):
            check_model(part, bundle.model("edges"), 1, "here")

    def test_an_output_of_a_fixed_number_of_steps_is_refused(self, tmp_path: Path) -> None:
        import keras

        frames = keras.Input((20, 4), name="logmel")
        model = keras.Model(frames, keras.layers.Conv1D(1, 3)(frames))
        model.save(tmp_path / "fixed.keras")
        with pytest.raises(BundleError, match=r"of shape \(n, k\) or \(n, any, k\)"):
            load_model(tmp_path / "fixed.keras", "keras")


def test_a_length_beyond_all_numbers_is_refused_by_the_name_of_its_place() -> None:
    with pytest.raises(BundleError, match=r"^here: "):
        fields.settings(SoundConfig, {"window_seconds": 1e308}, "here")
