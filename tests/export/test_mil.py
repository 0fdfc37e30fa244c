"""The interpreter of saved Core ML programs, operation by operation."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cryvision.errors import CryvisionError
from cryvision.export.coreml import mil_interpreter
from cryvision.export.coreml.mil_interpreter import OPERATIONS

FLOAT32 = 2e-5
"""Float32 in another order, on values of about one."""

RNG = np.random.default_rng(0)


def draw(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


class TestLayers:
    @pytest.mark.parametrize("padding", ["same", "valid"])
    @pytest.mark.parametrize(
        ("strides", "dilations"), [((1, 1), (1, 1)), ((2, 3), (1, 1)), ((1, 1), (2, 3))]
    )
    def test_convolutions_are_tensorflows(
        self, padding: str, strides: tuple[int, int], dilations: tuple[int, int]
    ) -> None:
        import tensorflow as tf

        x, w, b = draw(2, 11, 12, 4), draw(3, 2, 4, 6), draw(6)
        expected = tf.nn.conv2d(x, w, strides, padding.upper(), dilations=dilations) + b
        found = OPERATIONS["conv"](
            x=x.transpose(0, 3, 1, 2),
            weight=w.transpose(3, 2, 0, 1),
            bias=b,
            strides=strides,
            dilations=dilations,
            pad_type=padding,
        )
        np.testing.assert_allclose(found.transpose(0, 2, 3, 1), expected, atol=FLOAT32)

    def test_grouped_convolutions_split_the_channels(self) -> None:
        x, w = draw(1, 4, 9), draw(6, 2, 3)
        found = OPERATIONS["conv"](x=x, weight=w, groups=2)
        halves = [
            OPERATIONS["conv"](x=x[:, i : i + 2], weight=w[3 * i // 2 : 3 * i // 2 + 3])
            for i in (0, 2)
        ]
        np.testing.assert_allclose(found, np.concatenate(halves, axis=1), atol=FLOAT32)

    def test_explicit_padding_stands_before_and_after(self) -> None:
        x, w = draw(1, 1, 5), np.ones((1, 1, 1), np.float32)
        found = OPERATIONS["conv"](x=x, weight=w, pad_type="custom", pad=[2, 1])
        np.testing.assert_array_equal(found[0, 0], [0, 0, *x[0, 0], 0])

    @pytest.mark.parametrize("kind", ["max", "avg"])
    @pytest.mark.parametrize("padding", ["same", "valid"])
    def test_pooling_is_tensorflows(self, kind: str, padding: str) -> None:
        import tensorflow as tf

        x = draw(1, 7, 9, 3)
        pool = {"max": tf.nn.max_pool2d, "avg": tf.nn.avg_pool2d}[kind]
        expected = pool(x, (3, 2), (2, 2), padding.upper())
        more = {"exclude_padding_from_average": True} if kind == "avg" else {}
        found = OPERATIONS[f"{kind}_pool"](
            x=x.transpose(0, 3, 1, 2),
            kernel_sizes=(3, 2),
            strides=(2, 2),
            pad_type=padding,
            **more,
        )
        np.testing.assert_allclose(found.transpose(0, 2, 3, 1), expected, atol=FLOAT32)

    @pytest.mark.parametrize("direction", ["forward", "reverse"])
    def test_an_lstm_is_kerass(self, direction: str) -> None:
        import keras

        layer = keras.layers.LSTM(
            3, return_sequences=True, go_backwards=direction == "reverse", bias_initializer="normal"
        )
        x = draw(1, 6, 4)
        expected = np.asarray(layer(x))
        if direction == "reverse":
            expected = expected[:, ::-1]  # Keras leaves the newest first

        def gates(weights: np.ndarray) -> np.ndarray:
            i, f, c, o = np.split(weights, 4, axis=-1)
            return np.concatenate([i, f, o, c], axis=-1).T

        kernel, recurrent, bias = layer.get_weights()
        sequence, last, _ = OPERATIONS["lstm"](
            x=x.transpose(1, 0, 2),
            initial_h=np.zeros((1, 3), np.float32),
            initial_c=np.zeros((1, 3), np.float32),
            weight_ih=gates(kernel),
            weight_hh=gates(recurrent),
            bias=gates(bias),
            direction=direction,
            output_sequence=True,
        )
        np.testing.assert_allclose(sequence.transpose(1, 0, 2), expected, atol=FLOAT32)
        at = -1 if direction == "forward" else 0
        np.testing.assert_allclose(last, expected[:, at], atol=FLOAT32)

    def test_normalisations_are_their_formulas(self) -> None:
        x, mean, variance = draw(2, 3, 5), draw(3), draw(3) ** 2
        gamma, beta = draw(3), draw(3)
        found = OPERATIONS["batch_norm"](
            x=x, mean=mean, variance=variance, gamma=gamma, beta=beta, epsilon=1e-3
        )
        scale = (gamma / np.sqrt(variance + 1e-3))[:, None]
        np.testing.assert_allclose(found, (x - mean[:, None]) * scale + beta[:, None], atol=FLOAT32)
        found = OPERATIONS["layer_norm"](x=x, axes=[-1], epsilon=1e-3)
        expected = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-3)
        np.testing.assert_allclose(found, expected, atol=FLOAT32)

    def test_products(self) -> None:
        x, y = draw(2, 3, 4), draw(2, 5, 4)
        found = OPERATIONS["matmul"](x=x, y=y, transpose_y=True)
        np.testing.assert_allclose(found, np.einsum("bik,bjk->bij", x, y), atol=FLOAT32)
        w, b = draw(6, 4), draw(6)
        found = OPERATIONS["linear"](x=x, weight=w, bias=b)
        np.testing.assert_allclose(found, np.einsum("bik,jk->bij", x, w) + b, atol=FLOAT32)

    def test_softmax_of_large_numbers_is_finite(self) -> None:
        found = OPERATIONS["softmax"](x=np.array([[1e4, 1e4 - 1.0]], np.float32))
        np.testing.assert_allclose(found, [[1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))]], atol=1e-6)

    def test_eight_bits_are_unpacked_along_their_axis(self) -> None:
        packed = np.array([[1, -2], [3, 4]], np.int8)
        found = OPERATIONS["constexpr_affine_dequantize"](
            quantized_data=packed,
            zero_point=np.array([0, 1], np.int8),
            scale=np.array([0.5, 2.0], np.float16),
            axis=0,
        )
        np.testing.assert_array_equal(found, [[0.5, -1.0], [4.0, 6.0]])


class TestElementwise:
    @pytest.mark.parametrize(
        ("name", "reference"),
        [
            ("sigmoid", lambda x: 1 / (1 + np.exp(-x))),
            ("silu", lambda x: x / (1 + np.exp(-x))),
            ("softplus", lambda x: np.log1p(np.exp(x))),
            ("relu6", lambda x: np.minimum(np.maximum(x, 0), 6)),
            ("square", lambda x: x * x),
            ("sign", lambda x: (x > 0) * 1.0 - (x < 0)),
        ],
    )
    def test_functions(self, name: str, reference: Any) -> None:
        x = np.linspace(-8, 8, 41, dtype=np.float32)
        np.testing.assert_allclose(OPERATIONS[name](x=x), reference(x), rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("mode", ["EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"])
    def test_gelu_and_its_approximations(self, mode: str) -> None:
        import keras

        x = np.linspace(-3, 3, 31, dtype=np.float32)
        exact = np.asarray(keras.ops.gelu(x, approximate=mode == "TANH_APPROXIMATION"))
        tolerance = 0.025 if mode == "SIGMOID_APPROXIMATION" else 1e-5  # what that one misses
        np.testing.assert_allclose(OPERATIONS["gelu"](x=x, mode=mode), exact, atol=tolerance)

    def test_reductions_keep_axes_where_asked(self) -> None:
        x = draw(2, 3, 4)
        assert OPERATIONS["reduce_mean"](x=x, axes=[1], keep_dims=True).shape == (2, 1, 4)
        assert OPERATIONS["reduce_max"](x=x).shape == ()
        np.testing.assert_allclose(
            OPERATIONS["reduce_sum_square"](x=x, axes=[-1]), (x**2).sum(-1), rtol=1e-5
        )


class TestShapes:
    def test_slices_take_masks_strides_and_single_places(self) -> None:
        x = np.arange(24).reshape(2, 3, 4)
        found = OPERATIONS["slice_by_index"](
            x=x,
            begin=[1, 9, 3],
            end=[9, 9, 0],
            stride=[1, 1, -2],
            begin_mask=[False, True, False],
            end_mask=[False, True, False],
            squeeze_mask=[True, False, False],
        )
        np.testing.assert_array_equal(found, x[1, :, 3:0:-2])
        sized = OPERATIONS["slice_by_size"](x=x, begin=[0, 1, 2], size=[-1, 2, 1])
        np.testing.assert_array_equal(sized, x[:, 1:3, 2:3])

    def test_cropping_cuts_rows_and_columns_at_both_ends(self) -> None:
        x = np.arange(40).reshape(2, 4, 5)
        found = OPERATIONS["crop"](x=x, crop_height=[1, 0], crop_width=[0, 2])
        np.testing.assert_array_equal(found, x[:, 1:, :3])

    def test_reshaping_keeps_an_axis_of_zero(self) -> None:
        assert OPERATIONS["reshape"](x=draw(2, 3, 4), shape=[0, -1]).shape == (2, 12)

    def test_joining_and_taking_apart(self) -> None:
        x, y = draw(2, 3), draw(2, 3)
        mixed = OPERATIONS["concat"](values=[x, y], axis=1, interleave=True)
        np.testing.assert_array_equal(mixed[:, ::2], x)
        np.testing.assert_array_equal(mixed[:, 1::2], y)
        parts = OPERATIONS["split"](x=draw(2, 6), axis=1, split_sizes=[1, 2, 3])
        assert [part.shape[1] for part in parts] == [1, 2, 3]
        padded = OPERATIONS["pad"](x=x, pad=[1, 2], constant_val=7.0)
        np.testing.assert_array_equal(padded[:, [0, -1]], 7.0)
        np.testing.assert_array_equal(
            OPERATIONS["gather"](x=x, indices=[2, 0], axis=1), x[:, [2, 0]]
        )

    @pytest.mark.parametrize("ascending", [False, True])
    def test_the_best_values_come_first_and_with_their_places(self, ascending: bool) -> None:
        x = draw(2, 7)
        values, places = OPERATIONS["topk"](x=x, k=3, axis=1, ascending=ascending, sort=True)
        expected = np.sort(x, axis=1)[:, :3] if ascending else -np.sort(-x, axis=1)[:, :3]
        np.testing.assert_array_equal(values, expected)
        np.testing.assert_array_equal(np.take_along_axis(x, places, axis=1), expected)


class TestPrograms:
    def test_results_are_rounded_to_the_stated_type(self) -> None:
        types = pytest.importorskip("coremltools.converters.mil.mil.types")
        half = SimpleNamespace(name="half", dtype=types.fp16, shape=(1,))
        found = mil_interpreter._as_stated(np.array([1 / 3], np.float32), half)
        assert found.dtype == np.float16

    def test_another_shape_than_stated_fails(self) -> None:
        types = pytest.importorskip("coremltools.converters.mil.mil.types")
        stated = SimpleNamespace(name="hidden", dtype=types.fp32, shape=(1, 2))
        with pytest.raises(CryvisionError, match=r"hidden.*\(1, 2\); computed \(2,\)"):
            mil_interpreter._as_stated(np.zeros(2), stated)

    def test_an_unknown_operation_is_named(self, tmp_path: Path) -> None:
        coremltools = pytest.importorskip("coremltools")
        from coremltools.converters.mil.mil import Builder

        @Builder.program(input_specs=[Builder.TensorSpec(shape=(4,))])
        def program(x: Any) -> Any:
            return Builder.cumsum(x=x, axis=0, name="sums")

        model = coremltools.convert(program, skip_model_load=True)
        model.save(str(tmp_path / "sums.mlpackage"))
        with pytest.raises(CryvisionError, match="'cumsum'"):
            mil_interpreter.SavedProgram(tmp_path / "sums.mlpackage")
