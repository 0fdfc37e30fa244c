"""Embeddings are those of Keras, from whichever weights are named, and never of other weights."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryvision.config import FaceConfig
from cryvision.errors import BundleError, ConfigError, CryvisionError, MissingDependencyError
from cryvision.inputs.pictures import embedding
from cryvision.inputs.pictures.backbone import cache_weights, imagenet_path
from cryvision.inputs.pictures.embedding import Embedder, prepare

AGREES = 1e-3  # what is promised: the largest difference from Keras in any number
SAME = 1e-5  # float32, for one crop in batches of different lengths

SMALL = 64  # pixels: the smallest crops that leave SqueezeNet something to pool, for speed


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache of our own, and no weights in Keras' cache."""
    monkeypatch.setenv("CRYVISION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise AssertionError("nothing is to be downloaded here")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def small(**settings: Any) -> FaceConfig:
    """SqueezeNet on small crops."""
    return FaceConfig(
        **{"backbone": "squeezenet", "embedding_width": 512, "crop_size_px": SMALL, **settings}
    )


def crops(n: int, size: int = SMALL) -> np.ndarray:
    coarse = np.random.default_rng(3).integers(0, 256, (n, 8, 8, 3), np.uint8)
    return coarse.repeat(size // 8, axis=1).repeat(size // 8, axis=2)


def as_keras(network: Any, pictures: np.ndarray) -> np.ndarray:
    """What Keras gives with its own preprocessing, and nothing of ours."""
    import keras

    ready = keras.applications.resnet50.preprocess_input(pictures.astype(np.float32))
    return keras.ops.convert_to_numpy(network(ready, training=False))


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


# --- weights that are not there -------------------------------------------------------------------


def test_without_imagenet_weights_the_remedy_is_named_and_nothing_downloaded(cache: Path):
    with pytest.raises(MissingDependencyError, match="cryvision fetch backbone") as caught:
        Embedder(FaceConfig())
    assert len(str(caught.value).splitlines()) == 1
    assert str(imagenet_path()) in str(caught.value)
    assert not cache.exists()


def test_a_path_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(MissingDependencyError, match=r"mine\.h5"):
        Embedder(FaceConfig(backbone_weights=str(tmp_path / "mine.h5")))


def test_a_file_of_an_unknown_kind_is_refused(tmp_path: Path):
    (tmp_path / "mine.pkl").write_bytes(b"x")
    with pytest.raises(ConfigError, match=r"ends in \.h5"):
        Embedder(FaceConfig(backbone_weights=str(tmp_path / "mine.pkl")))


def test_damaged_imagenet_weights_are_not_used(cache: Path):
    imagenet_path().parent.mkdir(parents=True)
    imagenet_path().write_bytes(b"half a download")
    with pytest.raises(MissingDependencyError, match=r"damaged.*cryvision fetch backbone"):
        Embedder(FaceConfig())
    assert not files_in(cache)


# --- a file of one's own that is ONNX already -----------------------------------------------------


def write_means(path: Path, width: int = 3, domain: str = "", element: int | None = None) -> Path:
    """A backbone as ONNX that gives the mean of each colour."""
    from onnx import TensorProto, helper, save

    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT, domain=domain),
        helper.make_node("ReduceMean", ["f"], ["y"], axes=[1, 2], keepdims=0),
    ]
    kind = TensorProto.UINT8 if element is None else element
    graph = helper.make_graph(
        nodes,
        "means",
        [helper.make_tensor_value_info("x", kind, ["n", SMALL, SMALL, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", width])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    save(model, path)
    return path


def means(path: Path, **settings: Any) -> FaceConfig:
    return FaceConfig(
        **{"backbone_weights": str(path), "embedding_width": 3, "crop_size_px": SMALL, **settings}
    )


def test_a_ready_onnx_file_is_run_as_it_is(tmp_path: Path, cache: Path):
    path = write_means(tmp_path / "means.onnx")
    embedder = Embedder(means(path))
    assert embedder.width == 3
    assert embedder.weights == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    expected = crops(19).mean(axis=(1, 2))
    np.testing.assert_allclose(embedder.embed(crops(19)), expected, rtol=SAME)
    assert prepare(means(path)) == path
    assert not cache.exists()


def test_how_crops_are_gathered_does_not_matter(tmp_path: Path):
    embedder = Embedder(means(write_means(tmp_path / "means.onnx")))
    whole = embedder.embed(crops(19))
    one_by_one = np.concatenate([embedder.embed(crop[None]) for crop in crops(19)])
    np.testing.assert_allclose(one_by_one, whole, atol=SAME)
    nothing = embedder.embed(crops(0))
    assert nothing.shape == (0, 3)
    assert nothing.dtype == np.float32


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((2, SMALL, SMALL, 3), np.float32),
        np.zeros((SMALL, SMALL, 3), np.uint8),
        np.zeros((2, 32, 32, 3), np.uint8),
    ],
)
def test_other_crops_are_refused(tmp_path: Path, wrong: np.ndarray):
    with pytest.raises(ConfigError, match="crops must be uint8 of shape"):
        Embedder(means(write_means(tmp_path / "means.onnx"))).embed(wrong)


def test_a_file_that_does_not_fit_the_settings_is_refused(tmp_path: Path):
    path = write_means(tmp_path / "means.onnx")
    for settings in ({"embedding_width": 4}, {"crop_size_px": 224}):
        with pytest.raises(ConfigError, match=r"means\.onnx: a backbone must have one uint8 input"):
            Embedder(means(path, **settings))
    with pytest.raises(ConfigError, match="one uint8 input"):
        Embedder(means(write_means(tmp_path / "float.onnx", element=1)))


def test_a_backbone_is_loaded_once_for_all_clips_of_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    loaded: list[Path] = []
    session = embedding._session

    def spy(path: Path, model: Any) -> Any:
        loaded.append(path)
        return session(path, model)

    monkeypatch.setattr(embedding, "_session", spy)
    path = write_means(tmp_path / "means.onnx")
    for _ in range(3):
        assert Embedder(means(path)).embed(crops(2)).shape == (2, 3)
    assert loaded == [path]
    # Other settings and another process's fork may not share it.
    with pytest.raises(ConfigError, match="one uint8 input"):
        Embedder(means(path, embedding_width=4))
    monkeypatch.setattr(embedding.os, "getpid", lambda: -1)
    Embedder(means(path))
    assert loaded == [path] * 3


def test_a_file_of_weights_that_has_changed_is_read_anew(tmp_path: Path):
    path = write_means(tmp_path / "mine.onnx")
    half = np.zeros((1, SMALL, SMALL, 3), np.uint8)
    half[:, ::2] = 1
    before = Embedder(means(path))
    path.write_bytes(path.read_bytes().replace(b"ReduceMean", b"ReduceProd"))
    after = Embedder(means(path))
    assert before.embed(half) == pytest.approx(0.5)
    assert after.embed(half) == pytest.approx(0)
    assert after.weights != before.weights


def test_a_file_that_reaches_beyond_standard_operators_is_refused(tmp_path: Path):
    with pytest.raises(BundleError, match="standard ONNX operators"):
        Embedder(means(write_means(tmp_path / "odd.onnx", domain="evil.ops")))


# --- weights for Keras, turned into ONNX once -----------------------------------------------------


def rewriting(made: Path) -> Callable[[Any, Path, Path], None]:
    """An exporter that writes what was written before."""

    def export(model: Any, written: Path, target: Path) -> None:
        shutil.copy(made, written)

    return export


def test_embeddings_are_those_of_keras(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    from cryvision.models.squeezenet import build_squeezenet

    network = build_squeezenet(SMALL)
    network.get_layer("conv1").kernel.assign(100 * network.get_layer("conv1").kernel)
    pictures = crops(11)
    expected = as_keras(network, pictures)
    assert expected.std() > 0.1
    for suffix in (".weights.h5", ".keras"):
        path = tmp_path / f"mine{suffix}"
        network.save(path) if suffix == ".keras" else network.save_weights(path)
        embedder = Embedder(small(backbone_weights=str(path)))
        assert np.abs(embedder.embed(pictures) - expected).max() <= AGREES
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert embedder.weights == f"sha256:{digest}"
        (copy,) = files_in(cache)
        assert digest in copy.name
        # The exporter is slow. What it wrote is compared with the weights of the next file, too.
        made = copy.rename(tmp_path / "made.onnx")
        monkeypatch.setattr(embedding, "_export", rewriting(made))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the copy of ``small(backbone_weights="random")``."""
    folder = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRYVISION_CACHE", str(folder))
        prepare(small(backbone_weights="random"))
    return folder


@contextlib.contextmanager
def settings_of_a_program() -> Iterator[None]:
    """Set a seed and a precision, and see that they are left as they are."""
    import keras

    keras.utils.set_random_seed(2)
    keras.config.set_dtype_policy("mixed_float16")
    before = np.random.get_state()[1].copy()
    try:
        yield
        assert keras.config.dtype_policy().name == "mixed_float16"
    finally:
        keras.config.set_dtype_policy("float32")
    assert (np.random.get_state()[1] == before).all()


@pytest.mark.slow
def test_random_weights_are_written_the_same_again_whatever_the_program_has_set(
    prepared: Path, cache: Path
):
    shutil.copytree(prepared, cache)
    first = Embedder(small(backbone_weights="random"))
    assert first.weights == "random:0"
    shutil.rmtree(cache)
    with settings_of_a_program():
        again = Embedder(small(backbone_weights="random"))
    np.testing.assert_allclose(again.embed(crops(4)), first.embed(crops(4)), atol=SAME)
    other = Embedder(small(backbone_weights="random", backbone_seed=1)).embed(crops(4))
    assert np.abs(other - first.embed(crops(4))).max() > 100 * SAME


def test_the_copy_is_run_without_keras(prepared: Path, cache: Path):
    shutil.copytree(prepared, cache)
    before = [(path, path.stat().st_mtime_ns) for path in files_in(cache)]
    code = (
        "import sys\n"
        "for name in ('keras', 'tensorflow', 'onnx', 'tf2onnx'): sys.modules[name] = None\n"
        "import numpy as np\n"
        "from cryvision.config import FaceConfig\n"
        "from cryvision.inputs.pictures.embedding import Embedder\n"
        f"embedder = Embedder({small(backbone_weights='random')!r})\n"
        f"print(embedder.embed(np.zeros((2, {SMALL}, {SMALL}, 3), np.uint8)).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "(2, 512)", done.stderr
    assert [(path, path.stat().st_mtime_ns) for path in files_in(cache)] == before


@pytest.fixture
def exported(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Have the exporter write what it wrote before, at once; gives where it was told to."""
    (made,) = files_in(prepared)
    targets: list[Path] = []

    def export(model: Any, written: Path, target: Path) -> None:
        targets.append(target)
        shutil.copy(made, written)

    monkeypatch.setattr(embedding, "_export", export)
    return targets


def test_random_weights_are_those_of_their_seed_whatever_the_program_has_set(exported: list[Path]):
    """They agree with what was written before, or there would be no embedder."""
    with settings_of_a_program():
        embedder = Embedder(small(backbone_weights="random"))
    assert embedder.weights == "random:0"
    assert len(exported) == 1


def test_a_copy_that_disagrees_is_not_kept(exported: list[Path], cache: Path):
    # The exporter's file is of another seed.
    with pytest.raises(CryvisionError, match=r"must agree within 0\.001"):
        Embedder(small(backbone_weights="random", backbone_seed=1))
    assert exported
    assert not files_in(cache)


def test_another_process_that_was_faster_is_no_trouble(
    exported: list[Path], monkeypatch: pytest.MonkeyPatch, cache: Path
):
    agree = embedding._check_agreement

    def overtaken(reference: np.ndarray, copy: np.ndarray, target: Path) -> None:
        agree(reference, copy, target)
        (place,) = files_in(cache)
        shutil.copy(place, target)

    monkeypatch.setattr(embedding, "_check_agreement", overtaken)
    embedder = Embedder(small(backbone_weights="random"))
    assert embedder.embed(crops(2)).shape == (2, 512)
    assert files_in(cache) == exported


def test_a_damaged_copy_says_what_to_do(prepared: Path, cache: Path):
    shutil.copytree(prepared, cache)
    (path,) = files_in(cache)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CryvisionError, match="damaged; delete it") as caught:
        Embedder(small(backbone_weights="random"))
    assert str(path) in str(caught.value)


def test_weights_of_another_network_are_refused_in_one_line(tmp_path: Path, cache: Path):
    import keras

    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save_weights(
        tmp_path / "other.weights.h5"
    )
    (tmp_path / "junk.h5").write_bytes(b"no HDF5")
    for name in ("other.weights.h5", "junk.h5"):
        with pytest.raises(ConfigError, match=f"{name}: must hold weights of squeezenet") as caught:
            Embedder(small(backbone_weights=str(tmp_path / name)))
        assert len(str(caught.value).splitlines()) == 1
    assert not files_in(cache)


def test_a_cache_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("CRYVISION_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(CryvisionError, match="cannot be written"):
        Embedder(small(backbone_weights="random"))


def test_weights_that_are_not_complete_are_refused(tmp_path: Path, cache: Path):
    import h5py

    from cryvision.models.squeezenet import build_squeezenet

    network = build_squeezenet(SMALL)
    path = tmp_path / "part.weights.h5"
    network.save_weights(path)
    with h5py.File(path, "r+") as file:
        layers = file["layers"]
        del layers[next(name for name in layers if len(layers[name]["vars"]))]
    with pytest.raises(ConfigError, match=r"part\.weights\.h5: must hold"):
        Embedder(small(backbone_weights=str(path)))
    network.get_layer("conv1").bias.assign([np.nan] * 64)
    network.save_weights(path)
    with pytest.raises(ConfigError, match="finite numbers; conv1/bias"):
        Embedder(small(backbone_weights=str(path)))
    assert not files_in(cache)


@pytest.mark.slow
@pytest.mark.corpus
def test_a_trained_backbone_knows_a_face_again(corpus: Path):
    from skimage import data

    from cryvision.inputs.pictures.faces import Face, crop
    from cryvision.models.squeezenet import build_squeezenet

    path = corpus / "models" / "squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    config = small(crop_size_px=224, backbone_weights=str(path))

    def cut(picture: np.ndarray, x: float, y: float) -> np.ndarray:
        return crop(picture, Face((x, y, 180.0, 180.0), 0, 1.0, 0.0, 180.0), 224)

    face = data.astronaut()
    pictures = np.stack(
        [cut(face, 130, 20), cut(face, 136, 25), cut(data.coffee(), 100, 100), cut(face, 0, 300)]
    )
    rows = Embedder(config).embed(pictures)
    network = build_squeezenet(224)
    network.load_weights(path)
    assert np.abs(rows - as_keras(network, pictures)).max() <= AGREES
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    likeness = unit[1:] @ unit[0]
    assert likeness[0] > 0.8 > likeness[1:].max()


@pytest.mark.slow
def test_resnet50_embeddings_are_those_of_keras(tmp_path: Path):
    import keras

    network = keras.applications.ResNet50(
        include_top=False, weights=None, input_shape=(224, 224, 3), pooling="avg"
    )
    path = tmp_path / "resnet50.weights.h5"
    network.save_weights(path)
    embedder = Embedder(FaceConfig(backbone_weights=str(path)))
    pictures = crops(3, 224)
    rows = embedder.embed(pictures)
    assert rows.shape == (3, 2048)
    expected = as_keras(network, pictures)
    assert expected.std() > 0.1
    assert np.abs(rows - expected).max() <= AGREES


# --- weights by their hash, as a bundle names them ------------------------------------------------


def test_weights_of_ones_own_are_kept_under_their_hash(tmp_path: Path, cache: Path):
    path = write_means(tmp_path / "means.onnx")
    named = cache_weights(means(path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert named == means(path, backbone_weights=f"sha256:{digest}")
    expected = Embedder(means(path)).embed(crops(2))
    path.unlink()
    embedder = Embedder(named)
    assert embedder.weights == f"sha256:{digest}"
    np.testing.assert_array_equal(embedder.embed(crops(2)), expected)
    assert cache_weights(named) == named


def test_a_hash_that_is_not_on_this_machine_says_where_its_file_goes(tmp_path: Path, cache: Path):
    path = write_means(tmp_path / "means.onnx")
    named = cache_weights(means(path))
    kept = files_in(cache)[0]
    kept.unlink()
    with pytest.raises(MissingDependencyError, match="not on this machine; copy") as caught:
        Embedder(named)
    place = str(caught.value).split("copy their file to ")[1].split(" ")[0]
    shutil.copyfile(path, place + ".onnx")
    assert Embedder(named).width == 3


def test_a_kept_file_that_has_changed_is_not_used(tmp_path: Path, cache: Path):
    named = cache_weights(means(write_means(tmp_path / "means.onnx")))
    with files_in(cache)[0].open("ab") as file:
        file.write(b"\0")
    with pytest.raises(MissingDependencyError, match="not on this machine"):
        Embedder(named)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "w.onnx")
    with pytest.raises(ConfigError, match="must be a regular file"):
        Embedder(means(tmp_path / "w.onnx"))


def test_a_backbone_that_misbehaves_is_named(tmp_path: Path, cache: Path):
    from onnx import load, save

    model = load(write_means(tmp_path / "means.onnx"))
    model.graph.node[1].op_type = "ReduceLogSum"  # minus infinity for black
    save(model, tmp_path / "means.onnx")
    embedder = Embedder(means(tmp_path / "means.onnx"))
    with pytest.raises(CryvisionError, match=r"means\.onnx: a backbone must give 3 finite"):
        embedder.embed(np.zeros((1, SMALL, SMALL, 3), np.uint8))
