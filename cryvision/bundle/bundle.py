"""A bundle: the saved models of a classifier with all that is needed to use and to assess them.

A bundle is a folder or a zip with ``bundle.json`` and, per part, a ``.keras`` original and an ONNX
copy. Reading one runs no code from it and loads neither Keras nor onnx. `Bundle.load` checks
every file; whatever is wrong is refused by name.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryvision.argument_types import typed
from cryvision.bundle.parts import Part, check_model
from cryvision.bundle.schema import FORMAT_VERSION, parse
from cryvision.config import GateConfig, VetoConfig, check_choice
from cryvision.errors import BundleError, ConfigError
from cryvision.runtime import loading as runtimes
from cryvision.runtime import safe_load

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

SHIPPED = Path(__file__).parents[1] / "bundles"
"""The folder of the bundles that ship."""

DESCRIPTION = "bundle.json"


@dataclass(frozen=True)
class Bundle:
    """A verified bundle.

    Attributes
    ----------
    folder : Path
        The folder or the zip.
    name : str
    labels : tuple of str
        The classes in the one order that every runtime uses.
    parts : tuple of Part
        A part stands after the parts it takes its inputs from.
    gate : GateConfig or None
        How cry scores become events; None where nothing is gated.
    smooth_seconds : float
        Length of the rolling mean over predictions.
    skill : list of dict
        What was measured on subjects the training had not seen: ``part``, ``modalities``,
        ``unit`` (clip, event or window), ``protocol``, ``subjects`` (how they are known),
        ``figures`` (with intervals), ``chance`` and ``prior``.
    sources : list of dict
        Training data: ``name``, ``licence``, ``url``, ``changes``.
    versions : dict of str to str
        Of the libraries that made the bundle.
    seed : int
    command : str
        What made the bundle.
    created : str
        When, in UTC.
    notes : str
        Remarks for people.
    sha256 : str
        Of ``bundle.json``, which holds the sums of all model files: it identifies the bundle.
    veto : VetoConfig or None
        How the tagger decides which events stand; None where it is not used, or there is none.
    format_version : int
        Of the file that was read.
    """

    folder: Path
    name: str
    labels: tuple[str, ...]
    parts: tuple[Part, ...]
    gate: GateConfig | None
    smooth_seconds: float
    skill: list[dict[str, Any]]
    sources: list[dict[str, str]]
    versions: dict[str, str]
    seed: int
    command: str
    created: str
    notes: str
    sha256: str
    veto: VetoConfig | None = None
    format_version: int = FORMAT_VERSION

    @classmethod
    @typed
    def load(cls, path: str | os.PathLike[str] | None = None) -> Bundle:
        """Read and verify a bundle.

        Parameters
        ----------
        path : path, optional
            A folder or a zip; the embedded default where it is not given.

        Raises
        ------
        BundleError
            If there is none, or anything in it is damaged, unknown or unsafe to read.
        """
        folder = SHIPPED / "default" if path is None else Path(path)
        return read(safe_load.Files(folder))

    @property
    def detector(self) -> Part | None:
        """The part that scores crying, if there is one."""
        return next((part for part in self.parts if part.kind == "detector"), None)

    @property
    def tagger(self) -> Part | None:
        """The part that scores the tags, if there is one."""
        return next((part for part in self.parts if part.kind == "tagger"), None)

    def part(self, name: str) -> Part:
        """Give a part by name; ConfigError if there is none."""
        for part in self.parts:
            if part.name == name:
                return part
        names = ", ".join(part.name for part in self.parts)
        raise ConfigError(f"{self.folder}: the parts are {names}; got {name!r}")

    @typed
    def model(self, part: Part | str, runtime: str = "onnx") -> runtimes.Model:
        """Load the model of a part from bytes whose hash is checked once more.

        Parameters
        ----------
        part : Part or str
        runtime : str
            ``onnx`` or ``keras``.

        Raises
        ------
        BundleError
            If the file changed since the bundle was loaded, or the model's inputs or outputs
            are not those of the part.
        ConfigError
            On an unknown part or runtime.
        """
        part = self.part(part) if isinstance(part, str) else part
        check_choice("runtime", runtime, part.files)
        where = self.folder / part.files[runtime]["path"]
        data = _read_model(safe_load.Files(self.folder), part, runtime)
        model = runtimes.load_model(where, runtime, data)
        check_model(part, model, len(self.labels), str(where))
        return model

    def keeping_models(self) -> Bundle:
        """Give the same bundle, which loads each model once: for many clips in one process."""
        models: dict[tuple[str, str], runtimes.Model] = {}

        class KeepingBundle(Bundle):
            def model(self, part: Part | str, runtime: str = "onnx") -> runtimes.Model:
                key = (part if isinstance(part, str) else part.name, runtime)
                if key not in models:
                    models[key] = super().model(part, runtime)
                return models[key]

        return KeepingBundle(**vars(self))

    def predict_arrays(
        self, features: Mapping[str, ArrayLike], runtime: str = "onnx"
    ) -> np.ndarray:
        """Predict from rows of features, for bundles made by `cryvision.train_arrays`.

        Parameters
        ----------
        features : mapping of str to array_like of float, shape (n, d)
            By the names that the branches were trained on; NaN where a row lacks one. A set may
            be left out where all rows lack it.
        runtime : {"onnx", "keras"}

        Returns
        -------
        ndarray of float32, shape (n, n_classes)
            Probabilities in the order of ``labels``; NaN for rows that lack everything.

        Raises
        ------
        ConfigError
            If the features do not fit the bundle or each other, or hold infinity.
        """
        import numpy as np

        from cryvision.bundle.ensemble import StackModels

        models = StackModels(self, runtime)
        names = [part.inputs[0] for part in models.branches]
        try:
            with np.errstate(over="ignore"):  # too large for float32: infinite, and refused
                tables = {
                    # What a mask hides is missing.
                    name: np.ma.filled(np.ma.asarray(values, np.float32), np.nan)
                    for name, values in features.items()
                }
        except (TypeError, ValueError) as error:
            raise ConfigError(f"features must hold numbers only: {error}") from error
        if not tables or not set(tables) <= set(names):
            raise ConfigError(
                f"the bundle's features are {', '.join(names)}; got {', '.join(tables) or 'none'}"
            )
        lengths = {len(table) if table.ndim > 1 else -1 for table in tables.values()}
        if len(lengths) != 1 or -1 in lengths:
            raise ConfigError("features must have a row for each sample, the same number in all")
        infinite = [name for name, table in tables.items() if np.isinf(table).any()]
        if infinite:
            raise ConfigError(
                f"the feature {infinite[0]!r} must hold finite numbers, and NaN in rows that lack "
                "it; got infinity"
            )
        return models.fuse(models.outputs(tables, lengths.pop()))

    def copy_files(self, part: Part, folder: Path) -> dict[str, Path]:
        """Write the files of a part into a folder; give them by runtime, as `save` takes them."""
        copies = {}
        for runtime in part.files:
            copies[runtime] = folder / f"{part.name}.{runtime}"
            data = _read_model(safe_load.Files(self.folder), part, runtime)
            copies[runtime].write_bytes(data)
        return copies

    def describe(self) -> dict[str, Any]:
        """The full description of the bundle, as plain JSON data."""
        facts = dataclasses.asdict(self)
        version = facts.pop("format_version")
        return {"path": str(facts.pop("folder")), "format_version": version, **facts}


def read(files: safe_load.Files) -> Bundle:
    """Build a bundle from its files once each of them was checked."""
    text = files.read(DESCRIPTION)
    fields = parse(text, str(files.shown / DESCRIPTION))
    files.check_members()
    for part in fields["parts"]:
        for runtime in part.files:
            _read_model(files, part, runtime)
    return Bundle(folder=files.shown, sha256=hashlib.sha256(text).hexdigest(), **fields)


def _read_model(files: safe_load.Files, part: Part, runtime: str) -> bytes:
    """Bytes of one model file: of the right hash, and safe to give to its runtime."""
    path, stated = part.files[runtime]["path"], part.files[runtime]["sha256"]
    where = str(files.shown / path)
    data = files.read(path)
    digest = hashlib.sha256(data).hexdigest()
    if digest != stated:
        raise BundleError(
            f"{where}: the file is not the one that was saved: sha256 must be {stated[:12]}...; "
            f"got {digest[:12]}..."
        )
    check = safe_load.check_keras if runtime == "keras" else safe_load.check_onnx
    check(data, where)
    return data
