"""Copies of a bundle's models for other runtimes, each compared with its Keras original.

The package is callable: ``cryvision.export(bundle, out)`` is `cryvision.export.deploy.export`. A
function of that name would be hidden as soon as anything imports a module from here.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from cryvision.export.deploy import export

        return export(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage
