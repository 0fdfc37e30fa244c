"""Where the classification of a long recording stands, on disk, so that it can go on from there.

The file is a pickle, as the state is spread over a few dozen objects. Only what this user has saved
on this machine is read: it is signed with a key in the user's cache. And nothing but the classes
listed here, arrays and plain data comes out of it.
"""

from __future__ import annotations

import contextlib
import hmac
import io
import logging
import pickle
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from cryvision.atomic import staged
from cryvision.bundle import Bundle
from cryvision.download import cache_folder
from cryvision.inputs.frame_rows import RowFiles

log = logging.getLogger(__name__)

_STATE = "state.pickle"
_KEY = "state.key"
_HASH, _SIGNATURE_BYTES = "sha256", 32

# fmt: off
_CLASSES = {
    "cryvision.bundle.ensemble": {"StackModels"},
    "cryvision.bundle.parts": {"Part"},
    "cryvision.config": {"GateConfig", "LogMelConfig", "SoundConfig", "VetoConfig"},
    "cryvision.inference.branch_inputs": {"BranchInputs"},
    "cryvision.inference.class_stream": {"ReasonStream"},
    "cryvision.inference.classifier": {"StreamClassifier"},
    "cryvision.inference.crying": {"CryStream"},
    "cryvision.inference.detector": {"CryDetector", "_StepSource", "_WindowSource"},
    "cryvision.inference.events": {"EventStream"},
    "cryvision.inference.gated_windows": {"CryGate", "WindowClock"},
    "cryvision.inference.kept_events": {"KeptEvents"},
    "cryvision.inference.options": {"Options"},
    "cryvision.inference.smoothing": {"EventFollower", "RollingPrediction", "_Bout"},
    "cryvision.inference.steps": {"StepScorer", "Steps"},
    "cryvision.inference.tags": {"TagScorer"},
    "cryvision.inference.timeline": {"HeldPredictions"},
    "cryvision.inference.veto": {"EventFilter", "_Candidate"},
    "cryvision.inputs.features": {"SoundFeatureStream", "WindowFeatures"},
    "cryvision.inputs.frame_rows": {"FrameRows"},
    "cryvision.inputs.logmel": {"LogMelStream"},
    "cryvision.inputs.mixing": {"Downmix"},
    "cryvision.inputs.pitch": {"PitchStream"},
    "cryvision.inputs.quality": {"MinuteQuality", "QualityStream"},
    "cryvision.inputs.resampling": {"Resampler"},
    "cryvision.inputs.shared_spectrum": {"SharedSpectrum"},
    "cryvision.result": {"Event"},
    "array": {"array", "_array_reconstructor"},
    "collections": {"deque"},
    "numpy": {"dtype", "ndarray"},
    **{
        f"numpy.{core}.{module}": {"_frombuffer", "_reconstruct", "scalar"}
        for core in ("core", "_core") for module in ("numeric", "multiarray")
    },
}
# fmt: on


class Checkpoint:
    """The saved state of one recording, in a folder of its own.

    Parameters
    ----------
    folder : Path
        Made when something is saved.
    bundle : Bundle
        With the user's thresholds, as the streams have it. It is not saved, nor are its models.
    runtime : {"onnx", "keras"}

    Attributes
    ----------
    files : RowFiles
        For the streams whose state is saved.
    """

    def __init__(self, folder: Path, bundle: Bundle, runtime: str) -> None:
        self._folder = folder
        self.files = RowFiles(folder)
        self._shared: dict[str, object] = {"bundle": bundle, "files": self.files}
        for part in bundle.parts:
            self._shared[f"model {part.name}"] = bundle.model(part, runtime)

    def save(self, position: int, spent_s: float, streams: Sequence[object]) -> None:
        """Save what the streams hold after ``position`` samples and ``spent_s`` seconds of work."""
        try:
            self._folder.mkdir(0o700, parents=True, exist_ok=True)
            with staged(self._folder / _STATE, overwrite=True) as path:
                path.touch(0o600)
                with path.open("r+b") as file:
                    signed = _Signed(file)
                    _Pickler(signed, self._shared).dump((position, spent_s, *streams))
                    signed.finish()
        except OSError as error:  # the recording can be scored all the same
            log.info("%s: the state cannot be saved: %s", self._folder, error)

    def load(self, kinds: Sequence[type]) -> tuple[int, float, list[Any]] | None:
        """Return position, seconds spent and streams of these kinds; None where none are saved."""
        try:
            signed = (self._folder / _STATE).read_bytes()
            signature, data = signed[:_SIGNATURE_BYTES], signed[_SIGNATURE_BYTES:]
            if not hmac.compare_digest(signature, hmac.digest(_key(), data, _HASH)):
                raise pickle.UnpicklingError("another user, or on another machine, saved it")
            position, spent_s, *streams = _Unpickler(io.BytesIO(data), self._shared).load()
            found = type(position), type(spent_s), *map(type, streams)
            if found != (int, float, *kinds) or position < 0:
                raise pickle.UnpicklingError("it holds other streams")
        except FileNotFoundError:
            return None
        except Exception as error:  # a damaged pickle raises any kind
            self.discard(error)
            return None
        return position, spent_s, streams

    def discard(self, error: Exception) -> None:
        """Take no more notice of the state, which cannot be used."""
        log.info("%s: not used, the recording is read anew: %s", self._folder, error)
        with contextlib.suppress(OSError):
            (self._folder / _STATE).unlink()


class _Signed:
    """A file behind its signature; what is written goes to the disk at once, for it is long."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._mac = hmac.new(_key(), digestmod=_HASH)
        file.write(bytes(_SIGNATURE_BYTES))

    def write(self, data: bytes) -> int:
        self._mac.update(data)
        return self._file.write(data)

    def finish(self) -> None:
        self._file.seek(0)
        self._file.write(self._mac.digest())


def _key() -> bytes:
    """Return a key that only this user can read; it is made when it is first needed."""
    path = cache_folder() / _KEY
    if not path.exists():
        with contextlib.suppress(FileExistsError), staged(path) as place:
            place.touch(0o600)
            place.write_bytes(secrets.token_bytes(_SIGNATURE_BYTES))
    return path.read_bytes()


class _Pickler(pickle.Pickler):
    def __init__(self, file: _Signed, shared: dict[str, object]) -> None:
        super().__init__(file, protocol=5)
        self._names = {id(value): name for name, value in shared.items()}

    def persistent_id(self, value: object) -> str | None:
        # Each stream has one of its own, with the same settings.
        return "bundle" if isinstance(value, Bundle) else self._names.get(id(value))


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, shared: dict[str, object]) -> None:
        super().__init__(file)
        self._shared = shared

    def persistent_load(self, name: str) -> object:
        return self._shared[name]

    def find_class(self, module: str, name: str) -> Any:
        if name not in _CLASSES.get(module, ()):
            raise pickle.UnpicklingError(f"{module}.{name} must not be in it")
        return super().find_class(module, name)
