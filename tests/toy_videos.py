"""Tiny labelled videos in which a tone and a colour tell the class, and a backbone for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cryvision.config import FaceConfig

SIDE_PX = 32
SUBJECT_PATTERN = r"(baby\d)"

SIGHTS = {"dim": "0x302010", "bright": "0xe0c8a8"}
SOUNDS = {"low": 350, "high": 1100}
"""What a clip shows, and the tone in Hz that it sings."""

MakeMedia = Callable[..., Path]


def write_backbone(path: Path) -> Path:
    """Write a backbone as ONNX: a crop's mean red, green and blue, 0 to 255."""
    from onnx import TensorProto, helper, save

    nodes = [
        helper.make_node("Cast", ["crops"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["numbers"], ["means"], axes=[1, 2], keepdims=0),
    ]
    crops = helper.make_tensor_value_info("crops", TensorProto.UINT8, ["n", SIDE_PX, SIDE_PX, 3])
    means = helper.make_tensor_value_info("means", TensorProto.FLOAT, ["n", 3])
    graph = helper.make_graph(nodes, "means", [crops], [means])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def face_config(folder: Path, **changes: object) -> FaceConfig:
    """Take the middle of each tenth frame for a face, and describe it by its mean colour."""
    path = folder / "means.onnx"
    settings = {
        "mode": "center",
        "crop_size_px": SIDE_PX,
        "embed_every_frames": 10,
        "backbone_weights": str(path if path.exists() else write_backbone(path)),
        "embedding_width": 3,
    }
    return FaceConfig(**{**settings, **changes})  # type: ignore[arg-type]


def make_clip(
    make_media: MakeMedia, name: str, sight: str | None, sound: str | None, pitch: float = 1.0
) -> Path:
    """Make a clip of 2.6 s: a colour, a tone with an overtone, or both."""
    given: list[str] = []
    if sight:
        picture = f"color=c={SIGHTS[sight]}:s={SIDE_PX}x{SIDE_PX}:r=30:d=2.6"
        given += ["-f", "lavfi", "-i", picture, "-c:v", "mpeg4", "-q:v", "3"]
    if sound:
        hz = SOUNDS[sound] * pitch
        tone = f"aevalsrc=0.2*sin(2*PI*{hz}*t)+0.1*sin(4*PI*{hz}*t)+0.01*random(0):s=16000:d=2.6"
        codec = ["-c:a", "aac"] if sight else ["-c:a", "pcm_s16le"]
        inputs = [*given[:4], "-f", "lavfi", "-i", tone]
        given = [*inputs, *given[4:], *codec]
    return make_media(name, *given)
