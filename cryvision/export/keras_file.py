"""A model as a ``.keras`` file that older versions of Keras read too."""

from __future__ import annotations

import inspect
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

_CONFIG = "config.json"


def save(model: keras.Model, path: Path) -> None:
    """Write a model without what only training needs, into a file that ends in ``.keras``.

    Keras writes all arguments of a layer down, and a version without one of them reads
    none of the file. So arguments that are at their default are left out. The stem of the path
    becomes the model's name.
    """
    import keras

    # Rebuilt, the model carries no optimizer and no loss.
    keras.Model(model.inputs, model.outputs, name=path.stem).save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = _without_defaults(json.loads(members[_CONFIG]))
    members[_CONFIG] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def _without_defaults(node: Any) -> Any:
    """Drop the arguments of Keras' own layers and initializers that are at their default."""
    if isinstance(node, list):
        return [_without_defaults(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {name: _without_defaults(value) for name, value in node.items()}
    defaults = _defaults(node)
    if defaults:
        node["config"] = {
            name: value
            for name, value in node["config"].items()
            if name not in defaults or value != defaults[name]
        }
    return node


def _defaults(node: dict[str, Any]) -> dict[str, Any]:
    """Arguments with a default of the layer or initializer that a piece of JSON describes."""
    import keras

    modules = {"keras.layers": keras.layers, "keras.initializers": keras.initializers}
    module = modules.get(str(node.get("module")))
    kind = getattr(module, str(node.get("class_name")), None)
    if kind is None or not isinstance(node.get("config"), dict):
        return {}
    parameters = inspect.signature(kind.__init__).parameters
    return {
        name: parameter.default
        for name, parameter in parameters.items()
        if parameter.default is not parameter.empty
    }
