"""The description of all addresses as a page of plain HTML: no script, no file of another host."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any


def openapi_html(schema: Mapping[str, Any]) -> str:
    """Write an OpenAPI description as HTML.

    Parameters
    ----------
    schema : mapping
        As FastAPI makes it.
    """
    info = schema["info"]
    parts = [
        "<!doctype html>",
        '<html lang="en"><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(info['title'])}: addresses</title>",
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>",
        f"<p>{escape(info.get('description', ''))}",
        'The same for programs: <a href="/openapi.json">openapi.json</a>.</p>',
    ]
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            parts.append(f"<h2><code>{method.upper()} {escape(path)}</code></h2>")
            text = operation.get("description", operation.get("summary", ""))
            parts += [f"<p>{escape(' '.join(text.split()))}</p>", *_parameters(operation)]
    return "\n".join([*parts, "</html>", ""])


def _parameters(operation: Mapping[str, Any]) -> list[str]:
    parameters = operation.get("parameters", ())
    rows = [
        f"<li><code>{escape(one['name'])}</code> ({escape(one['in'])}"
        f"{', required' if one.get('required') else ''}): {escape(_kind(one['schema']))}</li>"
        for one in parameters
    ]
    return ["<ul>", *rows, "</ul>"] if rows else []


def _kind(schema: Mapping[str, Any]) -> str:
    kinds = [one.get("type") for one in schema.get("anyOf", ())] or [schema.get("type")]
    words = " or ".join(str(kind) for kind in kinds if kind and kind != "null") or "any"
    words += f", at least {schema['minimum']}" if "minimum" in schema else ""
    words += f", at most {schema['maximum']}" if "maximum" in schema else ""
    return words + (f"; default {schema['default']}" if "default" in schema else "")
