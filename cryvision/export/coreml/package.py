"""Models as Core ML packages (ML Program, iOS 16 and later)."""

from __future__ import annotations

import contextlib
import io
import platform
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryvision.errors import CryvisionError, MissingDependencyError
from cryvision.export.coreml.block_lstm import without_loops
from cryvision.export.frontend import FRONT_END
from cryvision.export.graph import PROBABILITIES, concrete_function
from cryvision.layers import install_command
from cryvision.runtime.session import line

if TYPE_CHECKING:
    import keras

LABEL = "label"

LEARNED = frozenset({"conv", "linear", "matmul", "lstm"})
"""Operations with learned weights. In float16, all from the first of them on is float16; decibels,
their squares and what else comes before do not fit into it."""

QUANTIZED_FROM_WEIGHTS = 512
"""Smaller arrays of weights stay as they are under int8."""


def require() -> Any:
    """Import coremltools; a MissingDependencyError where it is not installed."""
    try:
        with _quiet():
            import coremltools
    except ImportError as error:
        raise MissingDependencyError(
            "Core ML packages are made with coremltools, on macOS and on Linux x86_64 only "
            f"({install_command('export')}); this is {platform.system()} "
            f"{platform.machine()}, without it"
        ) from error
    return coremltools


def write(
    model: keras.Model,
    path: Path,
    precision: str,
    output_names: Sequence[str],
    labels: Sequence[str],
    description: Mapping[str, str | Mapping[str, str]],
) -> None:
    """Convert a model and save it, as a classifier where it gives ``probabilities``.

    The model goes from named inputs to a dict of outputs, of which ``probabilities`` come first;
    ``labels`` are what their columns are. Nothing must be at the path, which ends in
    ``.mlpackage``. ``int8`` stores the large arrays of weights in 8 bits and computes as ``fp16``.
    The description is for Xcode: attributes of a package, or what to put into one of them. A model
    that cannot be converted is a CryvisionError.
    """
    coremltools = require()
    looped = without_loops(model)
    try:
        with _quiet():
            program = _convert(coremltools, looped, precision, output_names)
            if precision == "int8":
                program = _quantize(coremltools, program)
            if PROBABILITIES in output_names:
                package = _as_classifier(coremltools, program, labels)
            else:
                package = _as_package(coremltools, program)
            for name, value in description.items():
                if isinstance(value, str):
                    setattr(package, name, value)
                else:
                    for key, text in value.items():
                        getattr(package, name)[key] = text
            package.save(str(path))
    except OSError:
        raise
    except Exception as error:  # the converter raises any kind
        shutil.rmtree(path, ignore_errors=True)
        raise CryvisionError(f"the model cannot be written for Core ML: {line(error)}") from error


def _convert(
    coremltools: Any, model: keras.Model, precision: str, output_names: Sequence[str]
) -> Any:
    """Give the converted program; its outputs are float32 and bear our names."""
    import numpy as np

    function = concrete_function(model, output_names)
    compute = coremltools.precision.FLOAT32
    if precision != "fp32":
        compute = coremltools.transform.FP16ComputePrecision(op_selector=_Float16Operations())
    program = coremltools.convert(
        [function],
        source="tensorflow",
        convert_to="milinternal",
        minimum_deployment_target=coremltools.target.iOS16,
        compute_precision=compute,
        inputs=[_input_type(coremltools, tensor) for tensor in model.inputs],
        outputs=[
            coremltools.TensorType(name=tensor.name.split(":")[0], dtype=np.float32)
            for tensor in function.outputs
        ],
    )
    main = program.functions["main"]
    for variable, name in zip(main.outputs, output_names, strict=True):
        # The classifier's dict of probabilities takes over the name of its tensor later.
        variable.name = f"{name}_tensor" if name == PROBABILITIES else name
    return program


def _input_type(coremltools: Any, tensor: Any) -> Any:
    """An image where a crop goes in, else an array."""
    import numpy as np

    shape = (1, *tensor.shape[1:])
    if len(shape) == 4 and shape[-1] == 3:
        layout = coremltools.colorlayout.RGB
        return coremltools.ImageType(name=tensor.name, shape=shape, color_layout=layout)
    return coremltools.TensorType(name=tensor.name, shape=shape, dtype=np.float32)


class _Float16Operations:
    """Decides which operations are computed in float16: from the first learned one on."""

    def __init__(self) -> None:
        self._in_float16: dict[Any, bool] = {}

    def __call__(self, op: Any) -> bool:
        if op not in self._in_float16:
            learned = op.op_type in LEARNED and FRONT_END not in op.name
            self._in_float16[op] = learned or any(
                self(variable.op) for variable in _input_values(op) if variable.op is not None
            )
        return self._in_float16[op]


def _input_values(op: Any) -> Iterator[Any]:
    for value in op.inputs.values():
        yield from value if isinstance(value, (list, tuple)) else [] if value is None else [value]


def _as_package(coremltools: Any, program: Any, **options: Any) -> Any:
    program.functions["main"].set_output_types(None)  # they are those of the program
    return coremltools.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=coremltools.target.iOS16,
        compute_precision=coremltools.precision.FLOAT32,  # as the program is: nothing changes
        skip_model_load=True,
        **options,
    )


def _quantize(coremltools: Any, program: Any) -> Any:
    """Store the large arrays of weights in 8 bits, those of the front end excepted.

    Before the program becomes a classifier: coremltools 9 cannot write its list of labels again.
    """
    from coremltools.converters.mil.frontend.milproto.load import load

    package = _as_package(coremltools, program)
    optimize = coremltools.optimize.coreml
    weights = optimize.get_weights_metadata(package, weight_threshold=QUANTIZED_FROM_WEIGHTS)
    in_float = {
        name: None
        for name, weight in weights.items()
        if any(FRONT_END in child.name for child in weight.child_ops)
    }
    linear = optimize.OpLinearQuantizerConfig(
        mode="linear_symmetric", weight_threshold=QUANTIZED_FROM_WEIGHTS
    )
    config = optimize.OptimizationConfig(global_config=linear, op_name_configs=in_float)
    package = optimize.linear_quantize_weights(package, config)
    spec = package.get_spec()
    return load(spec, spec.specificationVersion, package.weights_dir)


def _as_classifier(coremltools: Any, program: Any, labels: Sequence[str]) -> Any:
    """Give the package of a program, its label and probabilities first.

    In a step of its own: converted at once, a classifier with further outputs fails in
    coremltools 9, which counts the types of the outputs before it adds one.
    """
    package = _as_package(
        coremltools,
        program,
        classifier_config=coremltools.ClassifierConfig(
            list(labels),
            predicted_feature_name=LABEL,
            predicted_probabilities_output=f"{PROBABILITIES}_tensor",
        ),
    )
    spec = package.get_spec()
    coremltools.utils.rename_feature(spec, f"{LABEL}_probs", PROBABILITIES)
    return coremltools.models.MLModel(spec, weights_dir=package.weights_dir, skip_model_load=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep progress bars and warnings of versions that were not tested to ourselves."""
    with (
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield
