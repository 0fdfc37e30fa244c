"""The way from waveform to model input as part of the model, in operations that every runtime has.

The values are those of `cryvision.inputs.audio.sound_feature`, computed in float32. Three choices
make that precise enough, small and fast:

- The lowest sample of the span is taken off before anything else. Subtracting two float32 numbers
  is exact to the last bit of the result, so an offset far above the sound costs nothing. The mean
  goes off after the scaling; neither reaches a bin that is kept.
- The discrete Fourier transform is two multiplications by small constant matrices instead of one
  by a large one: the first step of Cooley and Tukey ("An algorithm for the machine calculation of
  complex Fourier series", 1965), only for the bins of the band. For 1024 points it is a sixth of
  the work and a tenth of the size of a single matrix.
- Everything stays in float32 whatever the precision of the network behind it: decibels of powers
  from 1e-10 to 1e5 do not fit into float16.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision.config import FaceConfig, SoundConfig
from cryvision.errors import ConfigError
from cryvision.inputs import audio, backbone

if TYPE_CHECKING:
    import keras

FRONT_END = "waveform_front_end"
"""Name of the model before the network: its operations are known by it in a converted file."""

_DECIBELS = 10.0 / math.log(10.0)


@dataclass(frozen=True)
class BandDft:
    """Constant matrices that transform frames of ``rows * columns`` samples.

    Sample ``columns * a + b`` stands in row a and column b. Bin ``k`` belongs to the group
    ``min(k % rows, rows - k % rows)``: what the first step gives for both is the same number or
    its conjugate.

    Attributes
    ----------
    rows, columns : int
        Their product is ``n_fft``.
    first : ndarray of float64, shape (2 * n_groups, rows)
        Applied to the rows: real and imaginary part of each group.
    second : ndarray of float64, shape (n_groups, 2 * columns, 2 * n_places)
        Applied to the columns of each group: real parts of its bins, then imaginary parts. A
        group with fewer bins has zeros in the places left over.
    places : ndarray of int, shape (n_bins_in_band,)
        Where each bin of the band stands among the ``n_groups * n_places`` results.
    """

    rows: int
    columns: int
    first: np.ndarray
    second: np.ndarray
    places: np.ndarray


def band_dft(config: SoundConfig) -> BandDft:
    """Split the transform of a frame, for the bins of the configured band.

    Raises
    ------
    ConfigError
        If the band is not possible.
    """
    n = config.n_fft
    rows = max(d for d in range(1, math.isqrt(n) + 1) if n % d == 0)
    columns, n_groups = n // rows, rows // 2 + 1
    kept = audio.band_bins(config)
    bins = np.arange(kept.start, kept.stop)
    group = np.minimum(bins % rows, -bins % rows)
    place = np.array([np.count_nonzero(group[:i] == g) for i, g in enumerate(group)])
    n_places = int(place.max()) + 1

    phase = 2.0 * np.pi * np.outer(np.arange(n_groups), np.arange(rows)) / rows
    first = np.stack([np.cos(phase), -np.sin(phase)], axis=1).reshape(2 * n_groups, rows)

    sign = np.where(bins % rows == group, 1.0, -1.0)  # -1: the conjugate of the first step's
    phase = 2.0 * np.pi * np.outer(bins, np.arange(columns)) / n
    second = np.zeros((n_groups, 2, columns, 2, n_places))
    second[group, 0, :, 0, place] = np.cos(phase)
    second[group, 1, :, 0, place] = np.sin(phase) * sign[:, None]
    second[group, 0, :, 1, place] = -np.sin(phase)
    second[group, 1, :, 1, place] = np.cos(phase) * sign[:, None]
    matrices = second.reshape(n_groups, 2 * columns, 2 * n_places)
    return BandDft(rows, columns, first, matrices, group * n_places + place)


def build_front_end(config: SoundConfig, name: str) -> keras.Model:
    """Build the model that turns waveform into the input of another model.

    Parameters
    ----------
    config : SoundConfig
        What to compute.
    name : str
        Of the model.

    Returns
    -------
    keras.Model
        From spans of 16 kHz sound, float32, shape (n, config.span_samples), to two tensors: the
        model input, shape (n, config.n_frames, n_features), as
        `cryvision.inputs.audio.sound_feature` defines it; and the level of the window without
        its context, shape (n, 1), in dB relative to full scale, as
        `cryvision.inputs.features.SoundWindows` has it.

    Raises
    ------
    ConfigError
        If the band or the number of coefficients is not possible.
    """
    import keras
    from keras import ops

    dft = band_dft(config)
    waveform = keras.Input((config.span_samples,), name="waveform")
    above = waveform - ops.min(waveform, axis=-1, keepdims=True)
    width = ops.max(above, axis=-1, keepdims=True)
    scaled = above / ops.maximum(width, np.float32(audio.CONSTANT_RANGE))
    scaled = scaled - ops.mean(scaled, axis=-1, keepdims=True)
    power = _power(_frames(scaled, config, dft), config, dft)
    active = ops.cast(width > audio.CONSTANT_RANGE, "float32")[:, :, None]
    feature = _feature(_spectra(power, config, dft), config) * active
    return keras.Model(waveform, [feature, _level(power, width, config, dft)], name=name)


def build_face_front_end(config: FaceConfig) -> keras.Model:
    """Build the frozen backbone that turns crops of faces into embeddings.

    Returns
    -------
    keras.Model
        From RGB crops, float32 from 0 to 255, shape (n, size, size, 3), to float32, shape
        (n, config.embedding_width), as `cryvision.inputs.embedding.Embedder` gives them.

    Raises
    ------
    ConfigError
        If the backbone is a ready ONNX file.
    MissingDependencyError
        If its weights are not on this machine.
    """
    import keras

    _, weights = backbone.find_weights(config)
    if weights is not None and weights.suffix == ".onnx":
        raise ConfigError(
            f"{weights}: a backbone that is an ONNX file cannot become part of another file; "
            "export with features"
        )
    network = backbone.build_backbone(config, weights).layers[-1]
    crops = keras.Input((config.crop_size_px, config.crop_size_px, 3), name="face")
    offset = [-mean for mean in backbone.IMAGENET_MEAN_BGR]
    centred = keras.layers.Rescaling(1.0, offset=offset)(keras.ops.flip(crops, axis=-1))
    return keras.Model(crops, network(centred), name="face_backbone")


def _frames(span: Any, config: SoundConfig, dft: BandDft) -> Any:
    """Overlapping frames under the window, as pictures: shape (n, n_frames, rows, columns)."""
    from keras import ops

    step = math.gcd(config.n_fft, config.frame_hop_samples)
    n_used = (config.n_frames - 1) * config.frame_hop_samples + config.n_fft
    pieces = ops.reshape(span[:, :n_used], (-1, n_used // step, step))
    starts = np.arange(config.n_frames) * (config.frame_hop_samples // step)
    wanted = starts[:, None] + np.arange(config.n_fft // step)
    frames = ops.take(pieces, wanted.astype(np.int32), axis=1)
    frames = ops.reshape(frames, (-1, config.n_frames, dft.rows, dft.columns))
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(config.n_fft) / config.n_fft)
    return frames * _float32(hann.reshape(dft.rows, dft.columns))


def _power(frames: Any, config: SoundConfig, dft: BandDft) -> Any:
    """``|X|**2`` of each frame, shape (n, n_frames, n_groups * n_places)."""
    from keras import ops

    n_groups, two_columns, two_places = dft.second.shape
    n_places = two_places // 2
    groups = ops.matmul(_float32(dft.first), frames)
    groups = ops.reshape(groups, (-1, config.n_frames, n_groups, two_columns))
    groups = ops.transpose(groups, (0, 2, 1, 3))
    # One matrix for all groups must be one of two axes: with a third of length 1, TensorFlow 2.21
    # gives wrong products or crashes (its oneDNN kernel).
    second = _float32(dft.second[0] if n_groups == 1 else dft.second)
    squares = ops.square(ops.matmul(groups, second))
    power = squares[..., :n_places] + squares[..., n_places:]
    power = ops.transpose(power, (0, 2, 1, 3))
    return ops.reshape(power, (-1, config.n_frames, n_groups * n_places))


def _spectra(power: Any, config: SoundConfig, dft: BandDft) -> list[Any]:
    """Power in bins, in mel bands, or in both: what is cut at a level of its own."""
    from keras import ops

    found = []
    if config.feature in ("stft", "hybrid"):
        found.append(ops.take(power, dft.places.astype(np.int32), axis=-1))
    if config.feature != "stft":
        found.append(ops.matmul(power, _placed(audio.mel_filters(config).T, dft)))
    return found


def _feature(spectra: list[Any], config: SoundConfig) -> Any:
    """Decibels of each spectrum, cut, and what is computed from the last of them."""
    from keras import ops

    cut = [_decibels(bands) for bands in spectra]
    if config.feature in ("mfcc", "hybrid"):
        cepstrum = ops.matmul(cut[-1], _float32(audio.dct_matrix(config).T))
        cut = [cepstrum] if config.feature == "mfcc" else [*cut, cepstrum]
    return ops.concatenate(cut, axis=-1) if len(cut) > 1 else cut[0]


def _decibels(bands: Any) -> Any:
    from keras import ops

    decibels = ops.log(ops.maximum(bands, audio.AMIN_POWER)) * _DECIBELS
    loudest = ops.max(decibels, axis=(1, 2), keepdims=True)
    return ops.maximum(decibels, loudest - audio.TOP_DB)


def _level(power: Any, width: Any, config: SoundConfig, dft: BandDft) -> Any:
    """Level of the frames after the context, before the scaling."""
    from keras import ops

    weights = audio.band_mean_square(np.eye(len(dft.places)), config)[:, None]
    first = -(-config.context_samples // config.frame_hop_samples)
    mean_square = ops.mean(ops.matmul(power[:, first:], _placed(weights, dft)), axis=1)
    floor = 10.0 ** (audio.LEVEL_FLOOR_DBFS / 10.0)
    return ops.log(ops.maximum(mean_square * ops.square(width), floor)) * _DECIBELS


def _placed(by_bin: np.ndarray, dft: BandDft) -> np.ndarray:
    """Rows by bin become rows by place; places left over are zero."""
    n_groups, _, two_places = dft.second.shape
    rows = np.zeros((n_groups * two_places // 2, by_bin.shape[1]), np.float32)
    rows[dft.places] = by_bin
    return rows


def _float32(array: np.ndarray) -> np.ndarray:
    return np.asarray(array, np.float32)
