"""The way from waveform to model input as part of the model, in operations that every runtime has.

The values are those of `cryvision.inputs.audio.sound_feature` and of `cryvision.inputs.logmel`,
computed in float32. Three choices make that precise enough, small and fast:

- The lowest sample of the span is taken off before anything else. Subtracting two float32 numbers
  is exact to the last bit of the result, so an offset far above the sound costs nothing. The mean
  goes off after the scaling; neither reaches a bin that is kept. (Log-mel frames are not scaled:
  the mean of each spectrum goes off it, as in the package.)
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

from cryvision.config import FaceConfig, LogMelConfig, SoundConfig
from cryvision.errors import ConfigError
from cryvision.inputs import audio, logmel
from cryvision.inputs.pictures import backbone

if TYPE_CHECKING:
    import keras

FRONT_END = "waveform_front_end"
"""Name of the model before the network: its operations are known by it in a converted file."""

_DECIBELS = 10.0 / math.log(10.0)
_LEVEL_FLOOR = 10.0 ** (audio.LEVEL_FLOOR_DBFS / 10.0)


@dataclass(frozen=True)
class BandDft:
    """Constant matrices that transform frames of ``rows * columns`` = ``n_fft`` samples.

    Sample ``columns * a + b`` stands in row a and column b; rows without samples need not be there.
    Bin ``k`` belongs to the group ``min(k % rows, rows - k % rows)``: what the first step gives for
    both is the same number or its conjugate.

    ``first``, shape (2 * n_groups, rows), is applied to the rows and gives real and imaginary part
    of each group. ``second``, shape (n_groups, 2 * columns, 2 * n_slots), is applied to the columns
    of each group: real parts of its bins, then imaginary parts; a group with fewer bins has zeros
    in the slots left over. ``positions`` is where each bin of the band stands among the ``n_groups
    * n_slots`` results.
    """

    rows: int
    columns: int
    first: np.ndarray
    second: np.ndarray
    positions: np.ndarray


def band_dft(n: int, bins: np.ndarray) -> BandDft:
    """Split the transform of ``n`` samples, for some of its bins; int, shape (n_bins,)."""
    rows = max(d for d in range(1, math.isqrt(n) + 1) if n % d == 0)
    columns, n_groups = n // rows, rows // 2 + 1
    group = np.minimum(bins % rows, -bins % rows)
    slot = np.array([np.count_nonzero(group[:i] == g) for i, g in enumerate(group)])
    n_slots = int(slot.max()) + 1

    phase = 2.0 * np.pi * np.outer(np.arange(n_groups), np.arange(rows)) / rows
    first = np.stack([np.cos(phase), -np.sin(phase)], axis=1).reshape(2 * n_groups, rows)

    sign = np.where(bins % rows == group, 1.0, -1.0)  # -1: the conjugate of the first step's
    phase = 2.0 * np.pi * np.outer(bins, np.arange(columns)) / n
    second = np.zeros((n_groups, 2, columns, 2, n_slots))
    second[group, 0, :, 0, slot] = np.cos(phase)
    second[group, 1, :, 0, slot] = np.sin(phase) * sign[:, None]
    second[group, 0, :, 1, slot] = -np.sin(phase)
    second[group, 1, :, 1, slot] = np.cos(phase) * sign[:, None]
    matrices = second.reshape(n_groups, 2 * columns, 2 * n_slots)
    return BandDft(rows, columns, first, matrices, group * n_slots + slot)


def build_front_end(config: SoundConfig, name: str) -> keras.Model:
    """Build the model that turns waveform into the input of another model.

    It goes from spans of 16 kHz sound, float32, shape (n, config.span_samples), to two tensors: the
    model input, shape (n, config.n_frames, n_features), as `cryvision.inputs.audio.sound_feature`
    defines it; and the level of the window without its context, shape (n, 1), in dB relative to
    full scale, as `cryvision.inputs.features.SoundWindows` has it.
    """
    import keras
    from keras import ops

    bins = audio.band_bins(config)
    dft = band_dft(config.n_fft, np.arange(bins.start, bins.stop))
    waveform = keras.Input((config.span_samples,), name="waveform")
    above = waveform - ops.min(waveform, axis=-1, keepdims=True)
    width = ops.max(above, axis=-1, keepdims=True)
    scaled = above / ops.maximum(width, np.float32(audio.CONSTANT_RANGE))
    scaled = scaled - ops.mean(scaled, axis=-1, keepdims=True)
    power = _power(_frames(scaled, config, dft), dft)
    active = ops.cast(width > audio.CONSTANT_RANGE, "float32")[:, :, None]
    feature = _feature(_spectra(power, config, dft), config) * active
    return keras.Model(waveform, [feature, _level(power, width, config, dft)], name=name)


def build_log_mel_front_end(config: LogMelConfig, n_frames: int) -> keras.Model:
    """Build the model that turns waveform into log-mel frames; of ``config`` the spectrum counts.

    It goes from a list of two, spans of 16 kHz sound, which reach beyond the frames by
    `cryvision.inputs.logmel.reach_samples` on both sides, and the numbers of frames at the start
    and at the end of each that lie outside its stream, float32, shape (n, 2); to a list of two, as
    `cryvision.inputs.logmel.Frames` has them: ``log_power``, shape (n, n_frames, n_mels), and
    ``mean_square``, shape (n, n_frames). Frames outside the stream are silence.
    """
    import keras
    from keras import ops

    filters, weights = logmel.mel_filters(config), logmel.band_weights(config)
    bins = np.flatnonzero(filters.any(axis=1) | (weights > 0))
    dft = band_dft(config.n_fft, bins)
    reach = 2 * logmel.reach_samples(config)
    waveform = keras.Input((n_frames * config.frame_samples + reach,), name="waveform")
    silent = keras.Input((2,), name="silent_frames")
    half, length = config.frame_samples // 2, config.spectrum_samples
    segments = _overlapping(waveform, 2 * n_frames, length, half)
    segments = (segments - ops.mean(segments, axis=-1, keepdims=True)) * _float32(
        audio.hann(length)
    )
    n_rows = -(-length // dft.columns)
    segments = ops.pad(segments, ((0, 0), (0, 0), (0, n_rows * dft.columns - length)))
    power = _power(ops.reshape(segments, (-1, 2 * n_frames, n_rows, dft.columns)), dft)
    power = ops.mean(ops.reshape(power, (-1, n_frames, 2, power.shape[-1])), axis=2)

    frame = np.arange(n_frames, dtype=np.float32)
    inside = ops.logical_and(silent[:, :1] <= frame, n_frames - silent[:, 1:] > frame)
    power = power * ops.cast(inside, "float32")[:, :, None]
    bands = ops.matmul(power, _placed(filters[bins], dft))
    mean_square = ops.matmul(power, _placed(weights[bins, None], dft))[:, :, 0]
    log_power = ops.log(bands + np.float32(logmel.FLOOR_POWER))
    return keras.Model([waveform, silent], [log_power, mean_square], name="log_mel")


def scaled_frames(log_power: Any, config: LogMelConfig) -> Any:
    """Scale log-mel frames as a model takes them: `cryvision.inputs.logmel.model_input`."""
    from keras import ops

    if config.relative:
        loudest = ops.max(log_power, axis=(1, 2), keepdims=True)
        log_power = ops.maximum(
            log_power - (loudest - logmel.LOUDEST), logmel.LOUDEST - logmel.RANGE
        )
    return (log_power + logmel.OFFSET) / logmel.SCALE


def frame_levels(mean_square: Any, n_each: int) -> Any:
    """Level of every ``n_each`` frames in dB relative to full scale, shape (n, n_levels)."""
    from keras import ops

    groups = ops.reshape(mean_square, (-1, mean_square.shape[1] // n_each, n_each))
    return _decibels(ops.mean(groups, axis=2), _LEVEL_FLOOR)


def build_face_front_end(config: FaceConfig) -> keras.Model:
    """Build the frozen backbone that turns crops of faces into embeddings.

    It goes from RGB crops, float32 from 0 to 255, shape (n, size, size, 3), to float32, shape (n,
    config.embedding_width), as `cryvision.inputs.pictures.embedding.Embedder` gives them.
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


def _overlapping(span: Any, n_frames: int, length: int, hop: int) -> Any:
    """Frames of a span, shape (n, n_frames, length), each ``hop`` samples after the last."""
    from keras import ops

    step = math.gcd(length, hop)
    n_used = (n_frames - 1) * hop + length
    pieces = ops.reshape(span[:, :n_used], (-1, n_used // step, step))
    starts = np.arange(n_frames) * (hop // step)
    indices = starts[:, None] + np.arange(length // step)
    frames = ops.take(pieces, indices.astype(np.int32), axis=1)
    return ops.reshape(frames, (-1, n_frames, length))


def _frames(span: Any, config: SoundConfig, dft: BandDft) -> Any:
    """Overlapping frames under the window, as pictures: shape (n, n_frames, rows, columns)."""
    from keras import ops

    frames = _overlapping(span, config.n_frames, config.n_fft, config.frame_hop_samples)
    frames = ops.reshape(frames, (-1, config.n_frames, dft.rows, dft.columns))
    return frames * _float32(audio.hann(config.n_fft).reshape(dft.rows, dft.columns))


def _power(frames: Any, dft: BandDft) -> Any:
    """``|X|**2`` of each frame, shape (n, n_frames, n_groups * n_slots)."""
    from keras import ops

    n_frames, n_rows = frames.shape[1:3]
    n_groups, two_columns, two_slots = dft.second.shape
    n_slots = two_slots // 2
    groups = ops.matmul(_float32(dft.first[:, :n_rows]), frames)
    groups = ops.reshape(groups, (-1, n_frames, n_groups, two_columns))
    groups = ops.transpose(groups, (0, 2, 1, 3))
    # One matrix for all groups must be one of two axes: with a third of length 1, TensorFlow 2.21
    # gives wrong products or crashes (its oneDNN kernel).
    second = _float32(dft.second[0] if n_groups == 1 else dft.second)
    squares = ops.square(ops.matmul(groups, second))
    power = squares[..., :n_slots] + squares[..., n_slots:]
    power = ops.transpose(power, (0, 2, 1, 3))
    return ops.reshape(power, (-1, n_frames, n_groups * n_slots))


def _spectra(power: Any, config: SoundConfig, dft: BandDft) -> list[Any]:
    """Power in bins, in mel bands, or in both: what is cut at a level of its own."""
    from keras import ops

    spectra = []
    if config.feature in ("stft", "hybrid"):
        spectra.append(ops.take(power, dft.positions.astype(np.int32), axis=-1))
    if config.feature != "stft":
        spectra.append(ops.matmul(power, _placed(audio.mel_filters(config).T, dft)))
    return spectra


def _feature(spectra: list[Any], config: SoundConfig) -> Any:
    """Decibels of each spectrum, cut, and what is computed from the last of them."""
    from keras import ops

    cut = [_cut(bands) for bands in spectra]
    if config.feature in ("mfcc", "hybrid"):
        cepstrum = ops.matmul(cut[-1], _float32(audio.dct_matrix(config).T))
        cut = [cepstrum] if config.feature == "mfcc" else [*cut, cepstrum]
    return ops.concatenate(cut, axis=-1) if len(cut) > 1 else cut[0]


def _decibels(power: Any, least: float) -> Any:
    from keras import ops

    return ops.log(ops.maximum(power, least)) * _DECIBELS


def _cut(bands: Any) -> Any:
    from keras import ops

    decibels = _decibels(bands, audio.AMIN_POWER)
    loudest = ops.max(decibels, axis=(1, 2), keepdims=True)
    return ops.maximum(decibels, loudest - audio.TOP_DB)


def _level(power: Any, width: Any, config: SoundConfig, dft: BandDft) -> Any:
    """Level of the frames after the context, before the scaling."""
    from keras import ops

    weights = audio.band_mean_square(np.eye(len(dft.positions)), config)[:, None]
    first = -(-config.context_samples // config.frame_hop_samples)
    mean_square = ops.mean(ops.matmul(power[:, first:], _placed(weights, dft)), axis=1)
    return _decibels(mean_square * ops.square(width), _LEVEL_FLOOR)


def _placed(by_bin: np.ndarray, dft: BandDft) -> np.ndarray:
    """Reorder rows by bin as rows by slot; slots left over are zero."""
    n_groups, _, two_slots = dft.second.shape
    rows = np.zeros((n_groups * two_slots // 2, by_bin.shape[1]), np.float32)
    rows[dft.positions] = by_bin
    return rows


def _float32(array: np.ndarray) -> np.ndarray:
    return np.asarray(array, np.float32)
