"""``cryvision features``: write what the models see of a clip, to share in place of it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryvision.commands.terminal import EXIT_DONE, log, show
from cryvision.commands.train import add_face_options, face_settings
from cryvision.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from cryvision.bundle import Bundle
    from cryvision.config import FaceConfig, SoundConfig

METADATA_VERSION = 1


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "features",
        help="write the features of a clip, window by window",
        description="Write the features that branches learn from, window by window, as a NumPy "
        "file of arrays: end_s, the end of each window; mfcc and stft, a table each; face, a row "
        "each, NaN where no face is seen; and metadata, JSON text with all settings. The recording "
        "and its name are not in it, but much of the sound can be rebuilt from mfcc and stft, "
        "speech too: give them only to those who may listen to it.",
    )
    parser.add_argument("clip", metavar="CLIP", help="a video or sound file")
    parser.add_argument(
        "--out", required=True, metavar="X.npz", help="the file to write; replaced if it is there"
    )
    parser.add_argument(
        "--bundle",
        metavar="BUNDLE",
        help="take the settings of this bundle's branches, and the windows that its detector calls "
        "crying (default: the settings of cryvision train, and all windows)",
    )
    add_face_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    import json

    out = Path(options.out)
    from cryvision import __version__
    from cryvision.atomic import check_place, check_suffix
    from cryvision.bundle import Bundle
    from cryvision.config import to_json

    check_suffix("--out", out, ".npz")
    check_place(out, file=True)
    bundle = None if options.bundle is None else Bundle.load(options.bundle)
    sounds, face = _settings(options, bundle)
    gate = bundle if bundle is not None and bundle.detector is not None else None
    end_s, features, backbone = _windows(options, sounds, face, gate)
    settings = {name: to_json(config) for name, config in sounds.items()}
    if face is not None and backbone is not None:
        # A path on this machine means nothing elsewhere; the hash of the weights does.
        settings["face"] = {**to_json(face), "backbone_weights": backbone}
    metadata = {
        "format_version": METADATA_VERSION,
        "cryvision": __version__,
        "settings": settings,
        "gate_sha256": None if gate is None else gate.sha256,
    }
    _write(out, {"end_s": end_s, **features}, json.dumps(metadata))
    shapes = ", ".join(f"{name} {array.shape}" for name, array in features.items())
    show(f"{out}: {len(end_s)} windows; {shapes}")
    return EXIT_DONE


def _settings(
    options: argparse.Namespace, bundle: Bundle | None
) -> tuple[Mapping[str, SoundConfig], FaceConfig | None]:
    """How sound and faces are described: as a bundle has it, or as training does."""
    if bundle is None:
        from cryvision.config import FaceConfig
        from cryvision.training.systems import CHA_BAE_SOUNDS

        return CHA_BAE_SOUNDS, FaceConfig(**face_settings(options))
    if face_settings(options):
        raise ConfigError("--bundle states how faces are described; give no more options for that")
    branches = [part for part in bundle.parts if part.kind == "branch"]
    sounds = {part.sound.feature: part.sound for part in branches if part.sound is not None}
    face = next((part.face for part in branches if part.face is not None), None)
    if options.require_face and face is None:
        raise ConfigError(f"{bundle.folder}: faces are required and the bundle has no face branch")
    if not sounds and face is None:
        raise ConfigError(f"{bundle.folder}: must have branches on sound or face; it has none")
    return sounds, face


def _windows(
    options: argparse.Namespace,
    sounds: Mapping[str, SoundConfig],
    face: FaceConfig | None,
    gate: Bundle | None,
) -> tuple[np.ndarray, dict[str, np.ndarray], str | None]:
    """Give the ends of windows in seconds, their features, and which weights the backbone has."""
    from cryvision.config import SAMPLE_RATE_HZ
    from cryvision.datasets.labelled import LabelledClip
    from cryvision.inputs.pictures.embedding import Embedder
    from cryvision.training.clip_features import clip_windows

    clip = LabelledClip(Path(options.clip), label="", subject="", subject_source="file")
    backbone = None
    try:
        embedder = None if face is None else Embedder(face)
        ends, features = clip_windows(clip, sounds, face, gate, embedder)
        backbone = None if embedder is None else embedder.weights
    except MissingDependencyError as error:
        if face is None or options.require_face or not sounds:
            raise
        log(f"the faces are left out: {error}")
        ends, features = clip_windows(clip, sounds, None, gate)
    return ends / SAMPLE_RATE_HZ, features, backbone


def _write(out: Path, arrays: Mapping[str, np.ndarray], metadata: str) -> None:
    import numpy as np

    from cryvision.atomic import replacing

    with replacing(out) as path, path.open("wb") as file:
        np.savez_compressed(file, metadata=np.array(metadata), **arrays)  # type: ignore[arg-type]
