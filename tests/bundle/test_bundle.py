"""Bundles: saved whole or not at all, read back as they were, and refused when anything is off."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from bundles import BUNDLE_V1, SOUND, mel_samples, save_tiny
from hostile import edit, keras_with, put, refusal, zip_of

from cryvision.bundle import Bundle, Part, saving
from cryvision.config import GateConfig
from cryvision.errors import BundleError, ConfigError
from cryvision.runtime import safe_load

V1_PROBABILITIES = [0.41574919, 0.08802426, 0.32147044, 0.32298622]
"""What the first bundle gave for ``mel_samples(4)`` when it was saved."""
SAME_MODEL = 1e-5
"""Float32 sums in another order, on other processors and library versions."""
LOAD_SECONDS = 0.02
"""Reading a small bundle must not be felt at start-up."""

V1_FILES = {runtime: BUNDLE_V1 / f"detector.{runtime}" for runtime in ("keras", "onnx")}
V1_AGREEMENT = {
    "max_difference": {"logits": 0.0, "probabilities": 0.0},
    "n_samples": 8,
    "tolerance": 1e-4,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the first bundle that a test may spoil."""
    return Path(shutil.copytree(BUNDLE_V1, tmp_path / "bundle"))


class TestReading:
    @pytest.mark.parametrize("runtime", ["onnx", "keras"])
    def test_the_first_bundle_ever_saved_still_gives_its_numbers(self, runtime: str) -> None:
        model = Bundle.load(BUNDLE_V1).model("detector", runtime)
        probabilities = model.predict({"mel": mel_samples(4)})
        assert probabilities.dtype == np.float32
        assert probabilities.shape == (4, 1)
        np.testing.assert_allclose(probabilities[:, 0], V1_PROBABILITIES, atol=SAME_MODEL)

    def test_everything_that_was_saved_is_there(self) -> None:
        bundle = Bundle.load(BUNDLE_V1)
        text = (BUNDLE_V1 / "bundle.json").read_bytes()
        assert bundle.sha256 == hashlib.sha256(text).hexdigest()
        assert bundle.labels == ("no cry", "cry")
        assert bundle.detector is bundle.part("detector")
        assert bundle.part("detector").sound == SOUND
        assert bundle.gate == GateConfig()
        assert bundle.skill[0]["figures"]["balanced_accuracy"]["interval"] == [0.4, 0.6]

    def test_the_description_is_plain_json(self) -> None:
        facts = json.loads(json.dumps(Bundle.load(BUNDLE_V1).describe(), allow_nan=False))
        assert facts["path"] == str(BUNDLE_V1)
        assert facts["format_version"] == 1
        assert facts["parts"][0]["sound"]["feature"] == "mel"

    def test_a_zip_is_the_same_bundle(self, folder: Path, tmp_path: Path) -> None:
        zipped = Bundle.load(zip_of(folder, tmp_path / "bundle.zip"))
        assert zipped.sha256 == Bundle.load(folder).sha256
        probabilities = zipped.model("detector").predict({"mel": mel_samples(4)})
        np.testing.assert_allclose(probabilities[:, 0], V1_PROBABILITIES, atol=SAME_MODEL)

    def test_reading_loads_neither_keras_nor_onnx(self) -> None:
        code = (
            "import sys; from cryvision.bundle import Bundle;"
            f"bundle = Bundle.load({str(BUNDLE_V1)!r});"
            "heavy = {'keras', 'tensorflow', 'onnx', 'google.protobuf', 'h5py'};"
            "assert not heavy & set(sys.modules), heavy & set(sys.modules);"
            "assert 'onnxruntime' not in sys.modules;"
            "bundle.model('detector');"
            "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], check=True)

    def test_reading_is_not_felt(self) -> None:
        best = math.inf
        for _ in range(5):
            start = time.perf_counter()
            Bundle.load(BUNDLE_V1)
            best = min(best, time.perf_counter() - start)
        assert best < LOAD_SECONDS

    def test_unknown_parts_and_runtimes_are_named(self) -> None:
        bundle = Bundle.load(BUNDLE_V1)
        with pytest.raises(ConfigError, match="parts are detector; got 'reason'"):
            bundle.model("reason")
        with pytest.raises(ConfigError, match=r"runtime must be one of .*; got 'torch'"):
            bundle.model("detector", "torch")

    def test_a_file_that_changes_after_loading_is_not_run(self, folder: Path) -> None:
        bundle = Bundle.load(folder)
        with (folder / "detector.onnx").open("ab") as file:
            file.write(b"\0")
        with pytest.raises(BundleError, match=r"detector\.onnx: .*sha256"):
            bundle.model("detector")


class TestRefusedDescriptions:
    def test_nothing_there(self, tmp_path: Path) -> None:
        assert "no bundle there" in refusal(tmp_path / "none")

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        assert "'bundle.json' is missing" in refusal(tmp_path)

    @pytest.mark.parametrize("version", [0, 3, 1.5, "1", True, None])
    def test_format_versions_that_cannot_be_read(self, folder: Path, version: object) -> None:
        edit(folder, lambda d: d.update(format_version=version))
        assert "readable format versions are 1, 2;" in refusal(folder)

    @pytest.mark.parametrize(
        ("text", "named"),
        [
            (b"", "not JSON"),
            (b"\xff\xfe", "not JSON"),
            (b"[" * 100_000, "not JSON"),
            (b'{"format_version": 1, "format_version": 1}', "twice"),
            (b'{"format_version": NaN}', "not a finite number"),
            (b'{"format_version": 1e999}', "not a finite number"),
            (b"[]", "format versions"),
            (b'{"format_version": 1}', "'name' is missing"),
        ],
    )
    def test_what_is_not_a_description(self, folder: Path, text: bytes, named: str) -> None:
        (folder / "bundle.json").write_bytes(text)
        assert named in refusal(folder)

    @pytest.mark.parametrize(
        ("field", "value", "named"),
        [
            ("surprise", 1, "no field 'surprise'"),
            ("labels", [], "labels must be one or more"),
            ("labels", ["cry", "cry"], "different names"),
            ("labels", [1], "texts only"),
            ("parts", [], "must have a part"),
            ("parts", ["detector"], "must be an object"),
            ("gate", {"enter": 2.0}, "0 < leave <= enter < 1"),
            ("gate", {"surprise": 2.0}, "no field 'surprise'"),
            ("smooth_seconds", 0, "smooth_seconds must be positive"),
            ("smooth_seconds", True, "wrong type"),
            ("seed", 0.5, "seed has the wrong type"),
            ("skill", [{"part": "detector"}], "'modalities' is missing"),
            ("sources", [{"name": "x", "licence": 1, "url": "", "changes": ""}], "wrong type"),
            ("versions", {"keras": 3}, "texts only"),
        ],
    )
    def test_fields(self, folder: Path, field: str, value: object, named: str) -> None:
        edit(folder, lambda d: d.update({field: value}))
        assert named in refusal(folder)

    @pytest.mark.parametrize(
        ("field", "value", "named"),
        [
            ("name", "../evil", "lower-case"),
            ("name", "mel", "name of its own"),
            ("kind", "oracle", "kind must be one of"),
            ("inputs", ["smell"], "got 'smell'"),
            ("inputs", [], "one or more"),
            ("inputs", ["mfcc"], "sound must describe"),
            ("sound", None, "sound must describe"),
            (
                "sound",
                {"feature": "mel", "window_seconds": 1e300},
                "window_seconds must be 0 to 3600",
            ),
            ("sound", {"feature": "mel", "n_fft": 0.5}, "n_fft must be a whole number"),
            ("files", {}, "a file for each of"),
        ],
    )
    def test_parts(self, folder: Path, field: str, value: object, named: str) -> None:
        edit(folder, lambda d: d["parts"][0].update({field: value}))
        assert named in refusal(folder)

    def test_two_parts_of_one_name(self, folder: Path) -> None:
        edit(folder, lambda d: d["parts"].append(d["parts"][0]))
        assert "name of its own" in refusal(folder)

    def test_an_ensemble_of_parts_that_are_not_there(self, folder: Path) -> None:
        def add(description: dict[str, Any]) -> None:
            part = dict(description["parts"][0], name="vote", kind="ensemble", sound=None)
            description["parts"].append({**part, "inputs": ["detector", "face_branch"]})

        edit(folder, add)
        assert "got 'face_branch'" in refusal(folder)

    def test_an_agreement_beyond_its_own_tolerance(self, folder: Path) -> None:
        edit(folder, lambda d: d["parts"][0]["agreement"]["max_difference"].update(logits=0.1))
        assert "must differ by at most 0.0001" in refusal(folder)

    @pytest.mark.parametrize(
        "path",
        [
            "/etc/detector.onnx",
            "../detector.onnx",
            "models/../../detector.onnx",
            "C:/detector.onnx",
            "models\\detector.onnx",
            "./detector.onnx",
            "models//detector.onnx",
            "detector\x00.onnx",
        ],
    )
    def test_paths_that_leave_the_folder(self, folder: Path, path: str) -> None:
        edit(folder, lambda d: d["parts"][0]["files"]["onnx"].update(path=path))
        assert "not a plain path inside" in refusal(folder)


class TestRefusedFiles:
    def test_a_link_out_of_the_folder(self, folder: Path, tmp_path: Path) -> None:
        outside = (folder / "detector.onnx").rename(tmp_path / "outside.onnx")
        try:
            (folder / "detector.onnx").symlink_to(outside)
        except OSError:
            pytest.skip("this account may not make symbolic links")
        assert "'detector.onnx' leads out of the folder" in refusal(folder)

    def test_a_missing_file(self, folder: Path) -> None:
        (folder / "detector.keras").unlink()
        assert "'detector.keras' is missing" in refusal(folder)

    @pytest.mark.parametrize("name", ["detector.keras", "detector.onnx"])
    def test_one_changed_byte(self, folder: Path, name: str) -> None:
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(bytes(data))
        message = refusal(folder)
        assert name in message
        assert "sha256" in message

    @pytest.mark.parametrize("name", ["w.pkl", "w.PICKLE", "w.joblib", "w.npy", "w.npz", "w.h5"])
    def test_pickles_and_what_may_hold_them(self, folder: Path, name: str) -> None:
        (folder / "more").mkdir()
        (folder / "more" / name).write_bytes(b"\x80\x04.")
        message = refusal(folder)
        assert "must not hold pickles" in message
        assert name in message

    def test_a_pickle_in_the_place_of_a_model(self, folder: Path) -> None:
        edit(folder, lambda d: d["parts"][0]["files"]["onnx"].update(path="detector.pkl"))
        assert "must not hold pickles" in refusal(folder)

    @pytest.mark.parametrize(
        ("name", "named"),
        [("detector.keras", "not a readable zip"), ("detector.onnx", "not an ONNX model")],
    )
    def test_a_pickle_renamed_as_a_model(self, folder: Path, name: str, named: str) -> None:
        put(folder, name, b"\x80\x04K\x01.")
        message = refusal(folder)
        assert named in message
        assert name in message

    def test_more_than_a_bundle_may_hold(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "padding.bin").write_bytes(bytes(100_000))
        monkeypatch.setattr(safe_load, "MAX_UNPACKED_BYTES", 90_000)
        assert "at most 90000 bytes" in refusal(folder)


class TestRefusedKerasFiles:
    """Each change is one that Keras itself would act on, or once did."""

    @pytest.mark.parametrize(
        ("layer", "named"),
        [
            ({"module": "keras.layers", "class_name": "Lambda"}, "Lambda layers can run code"),
            ({"module": "keras.layers", "class_name": "TFSMLayer"}, "TFSMLayer layers can run"),
            ({"module": "keras.layers", "class_name": "TorchModuleWrapper"}, "TorchModuleWrapper"),
            ({"module": "keras.layers", "class_name": "StringLookup"}, "StringLookup"),
            ({"module": "keras.utils", "class_name": "get_file"}, "'get_file'"),
            ({"module": "keras.layers", "class_name": "deserialize"}, "'deserialize'"),
            ({"module": "keras.src.layers.core.lambda_layer", "class_name": "Dense"}, "outside"),
            ({"module": "os", "class_name": "Popen"}, "'Popen' of module 'os'"),
            ({"module": "subprocess", "class_name": "Popen"}, "module 'subprocess'"),
            ({"class_name": "Dense"}, "of module None"),
            ({"module": "keras", "class_name": "Pickle"}, "'Pickle'"),
            ({"module": None, "class_name": "L", "registered_name": "evil>L"}, "'evil>L'"),
            ({"module": "keras.layers", "class_name": "Dense", "registered_name": "e>L"}, "'e>L'"),
            ({"module": "builtins", "class_name": "function", "config": "exec"}, "'exec'"),
            ({"module": "os", "class_name": "function", "config": "system"}, "'system' of module"),
            ({"class_name": "__lambda__", "config": {"value": "4wA="}}, "functions are not loaded"),
            ({"class_name": "__typespec__", "module": "os"}, "'__typespec__'"),
            ({"class_name": ["Lambda"], "module": "keras.layers"}, "names a class by"),
        ],
    )
    @pytest.mark.parametrize("depth", ["layer", "argument", "compile"])
    def test_objects_that_run_code_or_come_from_elsewhere(
        self, folder: Path, layer: dict[str, Any], named: str, depth: str
    ) -> None:
        def spoil(config: dict[str, Any]) -> None:
            planted = {"config": {}, **layer}
            if depth == "layer":
                config["config"]["layers"].append(planted)
            elif depth == "argument":
                config["config"]["layers"][1]["config"]["scale"] = [{"deep": planted}]
            else:
                config["compile_config"] = {"loss": planted}

        put(folder, "detector.keras", keras_with(spoil))
        message = refusal(folder)
        assert named in message
        assert "detector.keras" in message

    @pytest.mark.parametrize("member", ["weights__pkl", "assets/run__py", "model__weights__npz"])
    def test_members_that_do_not_belong(self, folder: Path, member: str) -> None:
        put(folder, "detector.keras", keras_with(**{member: b"x"}))
        message = refusal(folder)
        assert "detector.keras" in message
        assert member.replace("__", ".") in message

    def test_a_configuration_that_is_missing_or_not_json(self, folder: Path) -> None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("model.weights.h5", b"x")
        put(folder, "detector.keras", buffer.getvalue())
        assert "'config.json' is missing" in refusal(folder)
        with zipfile.ZipFile(buffer, "a") as archive:
            archive.writestr("config.json", b"{")
        put(folder, "detector.keras", buffer.getvalue())
        assert "config.json is not JSON" in refusal(folder)

    def test_weights_that_lie_elsewhere(self, folder: Path, tmp_path: Path) -> None:
        """Keras 3.12 read the file that such weights name."""
        import h5py

        (tmp_path / "secret").write_bytes(bytes(8))
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            outside = [(str(tmp_path / "secret"), 0, 8)]
            file.create_dataset("layers/dense_1/vars/0", (2,), "f4", external=outside)
        spoiled = keras_with(model__weights__h5=buffer.getvalue())
        put(folder, "detector.keras", spoiled)
        message = refusal(folder)
        assert "detector.keras: the weights must be plain arrays" in message

    def test_a_change_that_does_no_harm_passes(self, folder: Path) -> None:
        put(folder, "detector.keras", keras_with(lambda c: c["config"].update(name="renamed")))
        Bundle.load(folder)


class TestRefusedOnnxFiles:
    @staticmethod
    def spoiled(change: Callable[[onnx.ModelProto], object]) -> bytes:
        model = onnx.load(V1_FILES["onnx"])
        change(model)
        return bytes(model.SerializeToString())

    def test_weights_outside_the_file(self, folder: Path) -> None:
        def move_out(model: onnx.ModelProto) -> None:
            tensor = model.graph.initializer[0]
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="../secret")

        put(folder, "detector.onnx", self.spoiled(move_out))
        assert "must hold its weights itself" in refusal(folder)

    def test_weights_outside_the_file_in_a_nested_graph(self, folder: Path) -> None:
        def nest(model: onnx.ModelProto) -> None:
            tensor = onnx.TensorProto(name="t", data_location=onnx.TensorProto.EXTERNAL)
            inner = onnx.helper.make_graph([], "inner", [], [], initializer=[tensor])
            node = onnx.helper.make_node("If", ["c"], ["y"], then_branch=inner)
            model.graph.node.append(node)

        put(folder, "detector.onnx", self.spoiled(nest))
        assert "must have no loops and branches" in refusal(folder)

    def test_operators_of_another_domain(self, folder: Path) -> None:
        def rename(model: onnx.ModelProto) -> None:
            model.graph.node[0].domain = "com.evil"

        put(folder, "detector.onnx", self.spoiled(rename))
        assert "got 'com.evil'" in refusal(folder)

    def test_imports_of_another_domain(self, folder: Path) -> None:
        extra = onnx.helper.make_opsetid("com.microsoft", 1)
        put(folder, "detector.onnx", self.spoiled(lambda m: m.opset_import.append(extra)))
        assert "got 'com.microsoft'" in refusal(folder)

    def test_functions_of_its_own(self, folder: Path) -> None:
        function = onnx.FunctionProto(name="f", domain="com.evil")
        put(folder, "detector.onnx", self.spoiled(lambda m: m.functions.append(function)))
        assert "must not bring functions" in refusal(folder)

    def test_any_truncation(self, folder: Path) -> None:
        data = V1_FILES["onnx"].read_bytes()
        for length in range(0, len(data) - 1, 101):
            put(folder, "detector.onnx", data[:length])
            with pytest.raises(BundleError, match=r"detector\.onnx"):
                Bundle.load(folder).model("detector")


class TestRefusedZips:
    @pytest.mark.parametrize(
        "name", ["../evil.txt", "/evil.txt", "C:/evil.txt", "a/../../evil.txt", "a\\evil.txt"]
    )
    def test_members_that_leave_the_folder(self, folder: Path, tmp_path: Path, name: str) -> None:
        path = zip_of(folder, tmp_path / "b.zip", (name, b"x"))
        assert "not a plain path inside" in refusal(path)
        assert not (tmp_path / "evil.txt").exists()

    def test_links(self, folder: Path, tmp_path: Path) -> None:
        link = zipfile.ZipInfo("notes.txt")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        path = zip_of(folder, tmp_path / "b.zip", (link, b"/etc/passwd"))
        assert "'notes.txt' is a link" in refusal(path)

    def test_encrypted_members(self, folder: Path, tmp_path: Path) -> None:
        path = zip_of(folder, tmp_path / "b.zip")
        data = bytearray(path.read_bytes())
        data[data.rfind(b"PK\x01\x02") + 8] |= 1  # the flags in the central directory
        path.write_bytes(bytes(data))
        assert "is encrypted" in refusal(path)

    def test_pickles(self, folder: Path, tmp_path: Path) -> None:
        path = zip_of(folder, tmp_path / "b.zip", ("more/w.pkl", b"x"))
        assert "'more/w.pkl'" in refusal(path)

    def test_a_name_that_is_there_twice(self, folder: Path, tmp_path: Path) -> None:
        with pytest.warns(UserWarning, match="Duplicate name"):
            path = zip_of(folder, tmp_path / "b.zip", ("bundle.json", b"{}"))
        assert "'bundle.json' twice" in refusal(path)

    def test_other_compressions(self, folder: Path, tmp_path: Path) -> None:
        info = zipfile.ZipInfo("notes.txt")
        info.compress_type = zipfile.ZIP_BZIP2
        with zipfile.ZipFile(zip_of(folder, tmp_path / "b.zip"), "a") as archive:
            archive.writestr(info, b"x", zipfile.ZIP_BZIP2)
        assert "must be stored or deflated" in refusal(tmp_path / "b.zip")

    def test_bombs(self, folder: Path, tmp_path: Path) -> None:
        path = tmp_path / "b.zip"
        with (
            zipfile.ZipFile(zip_of(folder, path), "a", zipfile.ZIP_DEFLATED) as archive,
            archive.open("zeros.txt", "w") as member,
        ):
            for _ in range(safe_load.MAX_UNPACKED_BYTES // 10_000_000 + 1):
                member.write(bytes(10_000_000))
        assert path.stat().st_size < 1_000_000
        assert f"at most {safe_load.MAX_UNPACKED_BYTES} bytes" in refusal(path)

    def test_bombs_inside_a_keras_file(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("config.json", bytes(2_000_000))
        put(folder, "detector.keras", buffer.getvalue())
        monkeypatch.setattr(safe_load, "MAX_UNPACKED_BYTES", 1_000_000)
        assert "detector.keras: must unpack to at most" in refusal(folder)

    @pytest.mark.parametrize("inside", [False, True])
    def test_more_members_than_any_bundle_has(
        self, folder: Path, tmp_path: Path, inside: bool
    ) -> None:
        """They are counted in the record at the end, before a list of them is made."""
        path = tmp_path / "many.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for number in range(20_000):
                archive.writestr(f"{number}.txt", b"")
        if inside:
            put(folder, "detector.keras", path.read_bytes())
        assert f"at most {safe_load.MAX_MEMBERS} members" in refusal(folder if inside else path)

    def test_more_files_than_any_bundle_has(self, folder: Path) -> None:
        for number in range(safe_load.MAX_MEMBERS):
            (folder / f"{number}.txt").touch()
        assert f"at most {safe_load.MAX_MEMBERS} files" in refusal(folder)

    @pytest.mark.parametrize("name", ["bundle.json", "config.json"])
    def test_json_that_would_fill_the_memory(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setattr(safe_load, "MAX_JSON_BYTES", 4_000)
        if name == "config.json":
            description = (folder / "bundle.json").stat().st_size
            monkeypatch.setattr(safe_load, "MAX_JSON_BYTES", description + 500)
            put(folder, "detector.keras", keras_with(lambda c: c.update(more="x" * 9_000)))
        else:
            edit(folder, lambda d: d.update(notes="x" * 9_000))
        assert f"{name}: must be at most" in refusal(folder)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
    def test_a_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "b.zip")
        assert "not a regular file" in refusal(tmp_path / "b.zip")

    def test_what_is_no_zip_or_damaged(self, folder: Path, tmp_path: Path) -> None:
        path = tmp_path / "b.zip"
        path.write_bytes(b"PK\x03\x04 and no more")
        assert "not a readable zip" in refusal(path)
        data = bytearray(zip_of(folder, path).read_bytes())
        at = data.find(b'"format_version"')
        data[at] ^= 1
        path.write_bytes(bytes(data))
        assert "'bundle.json' is damaged" in refusal(path)


class TestSaving:
    @pytest.mark.parametrize("name", ["bundle", "bundle.zip", "über uns/Babys Weinen.zip"])
    def test_what_is_saved_is_read_back(self, tmp_path: Path, name: str) -> None:
        out = save_tiny(tmp_path / name, V1_FILES, V1_AGREEMENT, texts={"NOTICE": "sources"})
        saved = Bundle.load(out)
        assert saved.parts[0].files == Bundle.load(BUNDLE_V1).parts[0].files
        assert saved.versions["numpy"] == np.__version__
        assert [p.name for p in out.parent.iterdir()] == [out.name]

    def test_an_existing_target_is_left_alone(self, tmp_path: Path, folder: Path) -> None:
        before = Bundle.load(folder).sha256
        with pytest.raises(BundleError, match="exists already"):
            save_tiny(folder, V1_FILES, V1_AGREEMENT)
        assert Bundle.load(folder).sha256 == before

    @pytest.mark.parametrize("name", ["b", "b.zip"])
    def test_overwriting_replaces_the_whole_bundle(self, tmp_path: Path, name: str) -> None:
        out = save_tiny(tmp_path / name, V1_FILES, V1_AGREEMENT, texts={"OLD.md": "old"})
        save_tiny(out, V1_FILES, V1_AGREEMENT, overwrite=True, seed=7)
        assert Bundle.load(out).seed == 7
        assert not (out / "OLD.md").exists()
        assert [p.name for p in tmp_path.iterdir()] == [name]

    def test_only_a_bundle_is_overwritten(self, tmp_path: Path) -> None:
        for name in ("letter", "letter.zip"):
            (tmp_path / name).write_text("dear")
            with pytest.raises(BundleError, match="only a bundle is overwritten"):
                save_tiny(tmp_path / name, V1_FILES, V1_AGREEMENT, overwrite=True)
            assert (tmp_path / name).read_text() == "dear"
        (tmp_path / "thesis").mkdir()
        (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
        with pytest.raises(BundleError, match="only a bundle is overwritten"):
            save_tiny(tmp_path / "thesis", V1_FILES, V1_AGREEMENT, overwrite=True)
        assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"

    @pytest.mark.parametrize("name", ["b", "b.zip"])
    @pytest.mark.parametrize("overwrite", [False, True])
    @pytest.mark.parametrize(
        "trouble", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
    )
    def test_a_save_that_fails_leaves_all_as_it_was(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        name: str,
        overwrite: bool,
        trouble: BaseException,
    ) -> None:
        out = tmp_path / name
        if overwrite:
            save_tiny(out, V1_FILES, V1_AGREEMENT)
        write = saving._write

        def write_half(place: Path, contents: dict[str, bytes], zipped: bool) -> None:
            write(place, dict(list(contents.items())[:1]), zipped)
            raise trouble

        monkeypatch.setattr(saving, "_write", write_half)
        expected = BundleError if isinstance(trouble, OSError) else KeyboardInterrupt
        with pytest.raises(expected, match=r"No space|^$"):
            save_tiny(out, V1_FILES, V1_AGREEMENT, seed=7, overwrite=overwrite)
        assert [p.name for p in tmp_path.iterdir()] == ([name] if overwrite else [])
        if overwrite:
            assert Bundle.load(out).seed == 0

    def test_a_failed_swap_brings_the_old_bundle_back(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rename = os.rename

        def refuse_partial(source: Path, target: Path) -> None:
            if str(source).endswith(".partial"):
                raise PermissionError(errno.EACCES, "Permission denied")
            rename(source, target)

        before = Bundle.load(folder).sha256
        monkeypatch.setattr(os, "rename", refuse_partial)
        with pytest.raises(BundleError, match="Permission denied"):
            save_tiny(folder, V1_FILES, V1_AGREEMENT, overwrite=True)
        assert Bundle.load(folder).sha256 == before
        assert [p.name for p in folder.parent.iterdir()] == [folder.name]

    @pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
    def test_a_killed_save_is_never_half_there(self, tmp_path: Path) -> None:
        code = (
            "import os, signal, sys; from pathlib import Path;"
            f"sys.path.insert(0, {str(Path(__file__).parents[1])!r});"
            "from cryvision.bundle import saving; import bundles;"
            "saving._write = lambda place, contents, zipped: ("
            "place.mkdir(), (place / 'bundle.json').write_bytes(contents['bundle.json']),"
            "os.kill(os.getpid(), signal.SIGKILL));"
            f"files = {{k: bundles.BUNDLE_V1 / f'detector.{{k}}' for k in ('keras', 'onnx')}};"
            f"bundles.save_tiny(Path({str(tmp_path / 'b')!r}), files, {V1_AGREEMENT!r})"
        )
        ended = subprocess.run([sys.executable, "-c", code], check=False)
        assert ended.returncode == -signal.SIGKILL
        assert not (tmp_path / "b").exists()
        Bundle.load(save_tiny(tmp_path / "b", V1_FILES, V1_AGREEMENT))

    @pytest.mark.parametrize("name", ["b", "b.zip"])
    def test_of_saves_at_once_one_wins_and_the_others_are_told(
        self, tmp_path: Path, name: str
    ) -> None:
        outcomes = self.save_at_once(tmp_path / name, overwrite=False)
        refused = "exists already; nothing was written"
        assert sorted(outcomes) == [refused, refused, "saved"]
        Bundle.load(tmp_path / name)
        assert [p.name for p in tmp_path.iterdir()] == [name]

    @pytest.mark.parametrize("name", ["b", "b.zip"])
    def test_overwrites_at_once_leave_one_whole_bundle(self, tmp_path: Path, name: str) -> None:
        save_tiny(tmp_path / name, V1_FILES, V1_AGREEMENT)
        assert self.save_at_once(tmp_path / name, overwrite=True) == ["saved"] * 3
        assert Bundle.load(tmp_path / name).seed in (1, 2, 3)
        assert [p.name for p in tmp_path.iterdir()] == [name]

    @staticmethod
    def save_at_once(out: Path, overwrite: bool) -> list[str]:
        """Save from three threads that meet between looking at the target and moving there."""
        meeting = threading.Barrier(3, timeout=20)
        outcomes = []
        write = saving._write

        def write_and_meet(place: Path, contents: dict[str, bytes], zipped: bool) -> None:
            write(place, contents, zipped)
            meeting.wait()

        def run(seed: int) -> None:
            try:
                save_tiny(out, V1_FILES, V1_AGREEMENT, seed=seed, overwrite=overwrite)
                outcomes.append("saved")
            except BundleError as error:
                outcomes.append(str(error).rpartition(": ")[2])

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(saving, "_write", write_and_meet)
            threads = [threading.Thread(target=run, args=(seed,)) for seed in (1, 2, 3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        return outcomes

    def test_what_could_not_be_loaded_is_not_saved(self, tmp_path: Path) -> None:
        lambda_file = tmp_path / "ready.keras"
        planted = {"module": "keras.layers", "class_name": "Lambda", "config": {}}
        lambda_file.write_bytes(keras_with(lambda c: c["config"]["layers"].append(planted)))
        with pytest.raises(BundleError, match="Lambda"):
            save_tiny(tmp_path / "b", {**V1_FILES, "keras": lambda_file}, V1_AGREEMENT)
        with pytest.raises(BundleError, match=r"needs a \.onnx file"):
            save_tiny(tmp_path / "b", {"keras": V1_FILES["keras"]}, V1_AGREEMENT)
        with pytest.raises(BundleError, match="not plain JSON"):
            save_tiny(tmp_path / "b", V1_FILES, V1_AGREEMENT, smooth_seconds=math.nan)
        with pytest.raises(BundleError, match="a text must end in"):
            save_tiny(tmp_path / "b", V1_FILES, V1_AGREEMENT, texts={"../x.md": ""})
        assert [p.name for p in tmp_path.iterdir()] == ["ready.keras"]

    def test_a_model_that_does_not_fit_its_part_is_not_run(self, tmp_path: Path) -> None:
        part = Part("reason", "branch", ("mel",), SOUND, V1_AGREEMENT)
        out = save_tiny(
            tmp_path / "b",
            {},
            V1_AGREEMENT,
            parts=[part],
            models={"reason": V1_FILES},
            labels=["hunger", "tired"],
            skill=[],
        )
        assert Bundle.load(out).detector is None
        with pytest.raises(BundleError, match="must have 2 outputs; got 1"):
            Bundle.load(out).model("reason")


def test_what_was_trained_on_is_named_by_its_folder_and_by_its_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / "train.csv").touch()
    monkeypatch.chdir(lab)
    assert saving.source_name(".") == saving.source_name(lab) == "lab"
    assert saving.source_name("train.csv") == "lab/train.csv"
