"""Directives that write parts of the pages from the code and from the committed results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import architecture
import data_dictionary
import detector_tables
import floors
from command_reference import command_reference
from docutils import nodes
from measurements import NoResultsError, describe_result, find_results
from reproductions import RESULTS, TABLES, read_results
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from cryvision.cli import build_parser

ROOT = Path(__file__).resolve().parents[2]


class Architecture(SphinxDirective):
    """``architecture PART``: the figure of the floors, their table, or the way of a clip."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        modules = floors.read_modules(ROOT / floors.NAME)
        for module in modules:
            self.env.note_dependency(str(ROOT / floors.NAME / f"{module.name}.py"))
        part = self.arguments[0]
        if part == "figure":
            figure = architecture.draw_floors(floors.room_imports(modules))
            alt = "The modules and packages of cryvision on their floors, joined by their imports"
            return [nodes.raw("", architecture.image_tag(figure, alt), format="html")]
        if part == "floors":
            return self.parse_text_to_nodes(architecture.floors_table(modules))
        way = architecture.way_of_a_clip(ROOT, "examples/demo.mp4")
        return self.parse_text_to_nodes(architecture.way_table(way))


class CommandReference(SphinxDirective):
    """``command-reference``: every command with its arguments."""

    def run(self) -> list[nodes.Node]:
        text = command_reference(build_parser())
        return self.parse_text_to_nodes(text, allow_section_headings=True)


class Measured(SphinxDirective):
    """``measured NAME...``: the committed results of these names, as tables."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        try:
            results = find_results(ROOT, self.arguments[0].split())
        except NoResultsError as error:
            raise self.error(str(error)) from error
        for result in results:
            self.env.note_dependency(str(ROOT / result.path))
        text = "\n".join(map(describe_result, results))
        return self.parse_text_to_nodes(text, allow_section_headings=True)


class DataDictionary(SphinxDirective):
    """``data-dictionary TABLE``: the columns of one table."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        measures = data_dictionary.TABLES[self.arguments[0]]
        return self.parse_text_to_nodes(data_dictionary.dictionary_table(measures))


class Detector(SphinxDirective):
    """``detector TABLE``: one table on the detector, from the committed results."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        try:
            results = detector_tables.read_results(ROOT)
        except NoResultsError as error:
            raise self.error(str(error)) from error
        for name in results:
            self.env.note_dependency(str(ROOT / detector_tables.RESULTS / f"{name}.json"))
        return self.parse_text_to_nodes(detector_tables.TABLES[self.arguments[0]](results))


class Reproduced(SphinxDirective):
    """``reproduced TABLE``: one table on the published systems, from the committed results."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        try:
            results = read_results(ROOT)
        except NoResultsError as error:
            raise self.error(str(error)) from error
        for name in results:
            self.env.note_dependency(str(ROOT / RESULTS / f"{name}.json"))
        return self.parse_text_to_nodes(TABLES[self.arguments[0]](results))


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("architecture", Architecture)
    app.add_directive("command-reference", CommandReference)
    app.add_directive("data-dictionary", DataDictionary)
    app.add_directive("detector", Detector)
    app.add_directive("measured", Measured)
    app.add_directive("reproduced", Reproduced)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
