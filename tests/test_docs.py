"""The documentation: every page is reachable, its commands exist, and it fetches nothing."""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import re
import shlex
from dataclasses import fields
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType

import pytest
import two_parts
from bundles import BUNDLE_V1, reasons_bundle
from pages import DOCS, ROOT, extension

import cryvision
from cryvision import errors
from cryvision.cli import build_parser
from cryvision.outputs import FORMATS
from cryvision.outputs.event_rows import ACOUSTIC_MEASURES, EVENT_MEASURES
from cryvision.outputs.tables import to_record
from cryvision.result import Bout, Classification, Detection, Event
from cryvision.training.systems import SYSTEMS

CHA_BAE_BRANCHES = ("autoencoder-dnn-mfcc", "autoencoder-dnn-stft")

BUILT = DOCS / "_build" / "html"
PAGES = sorted(
    path
    for path in DOCS.rglob("*.md")
    if not {"_build", "_ext", "jupyter_execute"} & set(path.relative_to(DOCS).parts)
)
BUILT_PAGES = sorted(BUILT.rglob("*.html"))
needs_build = pytest.mark.skipif(not BUILT_PAGES, reason="the documentation was not built here")


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(text: str, kinds: str = r"[^\n]*") -> list[str]:
    """What stands between fences whose first line is of a kind."""
    return re.findall(rf"^```{kinds}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands_in(text: str) -> list[str]:
    """The cryvision commands of a page's blocks, without prompts, pipes and redirections."""
    found = []
    for block in blocks(text):
        for line in block.replace("\\\n", " ").splitlines():
            line = re.sub(r"^\$ ", "", line)
            command = re.match(r"(?:python3? -m )?cryvision(?: .*)?$", line)
            if command:
                alone = re.split(r" (?:\||\|\||&&|;|\d?>>?)(?: |$|&)", command[0])[0]
                found.append(alone.removeprefix("python3 -m ").removeprefix("python -m "))
    return found


def external_resources(page: str) -> list[str]:
    """Addresses of other hosts that a browser would fetch by itself to show a page or a style."""
    fetched = (
        r"<(?:script|img|iframe|source|video|audio|embed|track|input)\b[^>]*?\bsrc=[\"']?(?P<a>{0})"
        r"|<link\b(?![^>]*\brel=[\"']?canonical)[^>]*?\bhref=[\"']?(?P<b>{0})"
        r"|url\(\s*[\"']?(?P<c>{0})|@import\s+[\"'](?P<d>{0})"
    ).format(r"(?:https?:)?//[^\"'\s>)]+")
    return [next(filter(None, match.groups())) for match in re.finditer(fetched, page)]


def test_every_page_is_in_a_toctree():
    listed: set[str] = {"index"}
    names = [path.relative_to(DOCS).with_suffix("").as_posix() for path in PAGES]
    for page in PAGES:
        for block in blocks(page.read_text(encoding="utf-8"), r"\{toctree\}"):
            entries = [line for line in block.splitlines() if line and not line.startswith(":")]
            for entry in entries:
                # fnmatch crosses folders, where a toctree's * does not.
                found = {n for n in names if fnmatch(n, entry) and n.count("/") == entry.count("/")}
                assert found, f"{place(page)} lists {entry}, which fits no page"
                listed |= found
    assert set(names) == listed


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Why the parser refuses a command line; empty where it takes it."""
    # --version and --help end the program too, and say nothing on stderr.
    with contextlib.suppress(SystemExit):
        build_parser().parse_args(arguments)
    return capsys.readouterr().err


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=place)
def test_commands_on_the_pages_are_commands_of_the_program(page: Path, capsys):
    if not page.exists():
        pytest.skip("there is no README")
    for command in commands_in(page.read_text(encoding="utf-8")):
        assert refusal(shlex.split(command)[1:], capsys) == "", f"{place(page)}: {command}"


def test_commands_are_found_wherever_a_page_shows_them(capsys):
    page = (
        "```console\n$ cryvision classify a.mp4 --json | head\n$ pip install x\n```\n"
        "```{code-cell}\n%%bash\ncryvision info \\\n    b 2> log\npython -m cryvision --version\n"
        'cryvision classify c || echo "$?"\n```\n'
        "```text\ncryvision: wrote a.csv\n```\ncryvision in a sentence\n"
    )
    expected = ["cryvision classify a.mp4 --json", "cryvision info b"]
    found = [" ".join(command.split()) for command in commands_in(page)]
    assert found == [*expected, "cryvision --version", "cryvision classify c"]
    assert "--jsn" in refusal(["classify", "a.mp4", "--jsn"], capsys)
    tutorial = (DOCS / "tutorials" / "first-clip.md").read_text(encoding="utf-8")
    assert len(commands_in(tutorial)) >= 4


def test_every_command_and_option_has_its_place_in_the_reference():
    assert "{command-reference}" in (DOCS / "cli.md").read_text(encoding="utf-8")
    reference = extension("command_reference")
    sections = dict(
        section.split("\n", 1)
        for section in reference.command_reference(build_parser()).split("## cryvision")[1:]
    )
    programs = {"": build_parser()}
    programs |= {f" {name}": p for name, p in reference.commands(build_parser()).items()}
    assert set(sections) == set(programs)
    assert {" classify", " live", " live report"} <= set(sections)
    assert "--figure" not in sections[" live"]
    for name, parser in programs.items():
        for option in set(re.findall(r"--[a-z-]+", parser.format_help())) - {"--help"}:
            assert option in sections[name]


def test_help_texts_reach_the_reference_as_they_are():
    parser = argparse.ArgumentParser(prog="p", description="a *b* <c> `d`")
    parser.add_argument(
        "--many", nargs="+", default=[1], help="50%% of _it_ for --few, %(default)s"
    )
    parser.add_argument("what", choices=("x", "y"))
    text = extension("command_reference").command_reference(parser)
    assert r"a \*b\* \<c\> \`d\`" in text
    assert "```{option} --many MANY\n50% of \\_it\\_ for `--few`, \\[1\\]\n```" in text
    assert "```{option} what\n" in text


def test_every_public_name_is_in_the_reference():
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    assert ".. automodule:: cryvision.errors" in page
    in_errors = {name for name in vars(errors) if name.endswith("Error")}
    # The package export is called as a function; its own page documents it.
    assert ".. autofunction:: cryvision.export.deploy.export" in (DOCS / "export.md").read_text()
    for name in set(cryvision.__all__) - in_errors - {"__version__", "export"}:
        assert re.search(rf"^\.\. auto\w+:: (cryvision\.)?{name}$", page, re.MULTILINE), name


GIVEN = {"result": Classification, "bundle": cryvision.Bundle, "bout": Bout, "event": Event}
"""Names of variables in the Python cells of the pages, and what they hold."""


def test_what_a_page_takes_from_a_result_or_a_bundle_is_in_the_reference():
    reference = (DOCS / "api.md").read_text(encoding="utf-8")
    cells = [
        cell
        for page in (ROOT / "README.md", *PAGES)
        for cell in blocks(page.read_text(encoding="utf-8"), "(?:python|{code-cell})")
    ]
    used = set(re.findall(rf"\b({'|'.join(GIVEN)})\.(\w+)", "\n".join(cells)))
    assert ("bundle", "predict_arrays") in used
    for variable, name in used - {("bundle", "json"), ("bundle", "saving")}:
        given = GIVEN[variable]
        shown = re.search(
            rf"autoclass:: [\w.]*\b{given.__name__}\n(?:   :members: (.*))?", reference
        )
        assert shown, given
        in_signature = {field.name for field in fields(given)}
        assert name in in_signature | set((shown[1] or "").split(", ")), f"{variable}.{name}"


def test_every_format_and_column_is_explained():
    page = (DOCS / "formats.md").read_text(encoding="utf-8")
    nothing = Classification("", 0.0, "no cry", {}, Detection(None, None, 0.0), {}, (), (), {}, [])
    suffixes = [suffix for files in FORMATS.values() for suffix in files]
    columns = [measure.name for measure in EVENT_MEASURES]
    for name in (*FORMATS, *suffixes, *columns, "cry_smooth", *to_record(nothing)):
        assert f"`{name}`" in page


def test_every_acoustic_measure_is_defined():
    page = (DOCS / "acoustics.md").read_text(encoding="utf-8")
    for measure in ACOUSTIC_MEASURES:
        assert f"`{measure.name}`" in page


def test_the_data_dictionary_has_every_column_of_every_table():
    dictionary = extension("data_dictionary")
    page = (DOCS / "data-dictionary.md").read_text(encoding="utf-8")
    for name, measures in dictionary.TABLES.items():
        assert f"```{{data-dictionary}} {name}\n" in page
        table = dictionary.dictionary_table(measures)
        assert table.count("\n| `") == len(measures)
        for measure in measures:
            assert (
                f"| `{measure.name}` | {measure.kind} | {measure.unit} | {measure.meaning} |"
                in table
            )
            assert measure.meaning


def test_every_field_of_a_bundle_is_explained(tmp_path_factory: pytest.TempPathFactory):
    page = (DOCS / "bundle.md").read_text(encoding="utf-8")
    oldest = json.loads((BUNDLE_V1 / "bundle.json").read_text())
    folder = two_parts.two_part_bundle(tmp_path_factory).folder
    newest = json.loads((folder / "bundle.json").read_text())
    assert f"| `format_version` | {newest['format_version']};" in page
    for description in (oldest, newest):
        settings = [*description["parts"], description["gate"], *description["sources"]]
        settings += [part.get("logmel") or {} for part in description["parts"]]
        settings += [description.get("veto") or {}, *description["skill"]]
        for name in (*description, *(name for group in settings for name in group)):
            assert f"`{name}`" in page


def test_the_pages_name_the_settings_of_the_bundle(tmp_path_factory: pytest.TempPathFactory):
    names = extension("substitutions").substitutions
    shown = names(two_parts.two_part_bundle(tmp_path_factory))
    assert shown["step"] == "40 ms"
    assert shown["lookahead"] == "0.08 s"
    assert shown["energy_gate"] == "-60 dBFS"
    assert shown["strict_near"] == "0.70"
    assert shown["tags"] == "`cry`, `baby_voice`, `music`, `silence`"
    assert shown["reasons_band"] == "50 to 3,400 Hz"
    for page in PAGES:
        used = re.findall(r"\{\{ (\w+) \}\}", page.read_text(encoding="utf-8"))
        assert set(used) <= set(shown), place(page)


def test_pages_of_another_kind_of_detector_are_not_built(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
):
    names = extension("substitutions").substitutions
    with pytest.raises(errors.BundleError, match="edges on logmel"):
        names(reasons_bundle(tmp_path_factory))
    folder = two_parts.make_two_part_bundle(tmp_path / "deaf", veto=None)
    with pytest.raises(errors.BundleError, match="a tagger and its veto"):
        names(cryvision.Bundle.load(folder))


def test_the_tutorial_tells_when_the_demo_cries():
    script = ast.parse((ROOT / "examples" / "make_demo.py").read_text(encoding="utf-8"))
    bouts = next(
        ast.literal_eval(node.value)
        for node in script.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "BOUTS"
    )
    page = " ".join((DOCS / "tutorials" / "first-clip.md").read_text(encoding="utf-8").split())
    for onset_s, offset_s in bouts:
        assert f"from {onset_s} to {offset_s} s" in page


def write_result(root: Path, name: str, content: dict[str, object]) -> None:
    folder = root / "experiments" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(content))


def test_a_page_without_results_says_where_they_should_be(tmp_path: Path):
    measurements = extension("measurements")
    with pytest.raises(measurements.NoResultsError, match="experiments/results"):
        measurements.find_results(tmp_path)
    write_result(tmp_path, "speed", {"ratio": 0.2})
    with pytest.raises(measurements.NoResultsError, match="found 1 other"):
        measurements.find_results(tmp_path, ["detector"])


def test_results_come_in_the_order_asked_for_and_once(tmp_path: Path):
    for name in ("speed", "detector", "detector_noise"):
        write_result(tmp_path, name, {})
    found = extension("measurements").find_results(tmp_path, ["detector*", "*"])
    names = [Path(result.path).stem for result in found]
    assert names == ["detector", "detector_noise", "speed"]


def test_results_can_be_left_out(tmp_path: Path):
    for name in ("speed", "detector", "detector_noise"):
        write_result(tmp_path, name, {})
    found = extension("measurements").find_results(tmp_path, ["*", "!detector*"])
    assert [Path(result.path).stem for result in found] == ["speed"]


def shown(tmp_path: Path, content: dict[str, object]) -> str:
    write_result(tmp_path, "detector", content)
    measurements = extension("measurements")
    return measurements.describe_result(measurements.find_results(tmp_path)[0])


def test_a_result_tells_how_it_was_made(tmp_path: Path):
    made = {"command": "python x.py", "commit": "abc", "seed": [0, 1], "versions": {"numpy": "2.0"}}
    assert (
        "From `experiments/results/detector.json`, written by `python x.py` at commit `abc`, "
        "seed 0, 1 (numpy 2.0)."
    ) in shown(tmp_path, made)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"protocol": "by phone | 5-fold"}, "| protocol | by phone \\| 5-fold |"),
        ({"auc": {"value": 0.96123, "interval": [0.95, 0.97]}}, "| auc | 0.9612 [0.95, 0.97] |"),
        ({"auc": {"value": 0.9, "low": 0.8, "high": 1.0}}, "| auc | 0.9 [0.8, 1] |"),
        (
            {"seeds": {"0": {"f1": 0.9, "n": 12}, "1": {"f1": None, "extra": True}}},
            "|  | f1 | n | extra |\n| --- | --- | --- | --- |\n"
            "| 0 | 0.9 | 12 | - |\n| 1 | - | - | yes |",
        ),
        (
            {"demands": [{"what": "AUC", "met": False}, {"what": "F1", "met": True}]},
            "| 1 | AUC | no |",
        ),
        (
            {"folds": [{"f1": 0.5, "events": {"f1": 0.25}}, {"f1": 1.5, "events": {"f1": 0.75}}]},
            "**folds: 2: events**\n\n| what | value |\n| --- | --- |\n| f1 | 0.75 |",
        ),
        (
            {"noise": {"white": {"20": {"recall": 0.5}, "10": {"recall": 0.25}}}},
            "**noise: white**\n\n|  | recall |\n| --- | --- |\n| 20 | 0.5 |\n| 10 | 0.25 |",
        ),
        (
            {"phones": [{f"figure_{n}": n + seed for n in range(10)} for seed in range(2)]},
            "| no. | 1 | 2 |\n| --- | --- | --- |\n| figure 0 | 0 | 1 |",
        ),
        (
            {
                "robustness": {
                    "recall": {"clean": 0.5},
                    "codecs": {"aac": {"n": 1}, "mp3": {"n": 2}},
                }
            },
            "**robustness: codecs**\n\n|  | n |\n| --- | --- |\n| aac | 1 |",
        ),
        ({"data_sha256": "0123456789abcdef" * 4}, "| data sha256 | 0123456789ab... |"),
        ({"scores": list(range(100))}, "100 values, in the file."),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_every_figure_of_a_result_reaches_a_table(
    tmp_path: Path, content: dict[str, object], expected: str
):
    assert expected in shown(tmp_path, content)


@pytest.mark.parametrize(
    "path",
    sorted(p for f in ("experiments", "benchmarks") for p in (ROOT / f / "results").glob("*.json")),
    ids=place,
)
def test_committed_results_can_be_shown(path: Path):
    measurements = extension("measurements")
    result = measurements.find_results(ROOT, [path.stem])[0]
    text = measurements.describe_result(result)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rows
    assert "{'" not in text, "a nested object was put into a cell"


@pytest.mark.parametrize(
    ("page", "fetched"),
    [
        ('<script src="https://x.org/a.js"></script>', ["https://x.org/a.js"]),
        ('<img alt="" src=//x.org/a.png>', ["//x.org/a.png"]),
        ('<link rel="stylesheet" href="http://x.org/a.css">', ["http://x.org/a.css"]),
        ("@font-face{src:url('https://x.org/a.woff')}", ["https://x.org/a.woff"]),
        ('@import "https://x.org/a.css";', ["https://x.org/a.css"]),
        ('<a href="https://x.org">x</a><script src="_static/a.js?v=1"></script>', []),
        ('<link rel="canonical" href="https://x.org/">', []),
    ],
)
def test_external_resources_are_told_from_links(page: str, fetched: list[str]):
    assert external_resources(page) == fetched


@needs_build
def test_built_pages_fetch_nothing_from_elsewhere():
    for path in [*BUILT_PAGES, *BUILT.rglob("*.css")]:
        assert not external_resources(path.read_text(encoding="utf-8")), place(path)


@needs_build
def test_built_pages_do_not_tell_where_they_were_built():
    for path in BUILT_PAGES:
        assert str(ROOT) not in path.read_text(encoding="utf-8"), place(path)


def reproductions() -> ModuleType:
    extension("measurements")
    return extension("reproductions")


def test_every_published_system_stands_beside_what_was_published_and_what_is_left():
    results = reproductions().read_results(ROOT)
    table = reproductions().figures_table(results)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    assert {len(row) for row in rows} == {7}
    of_system = {row[0].strip("`"): row[1:] for row in rows}
    for name in SYSTEMS:
        # That of Cha & Bae has a branch for each feature; the table has them one by one.
        for shown in CHA_BAE_BRANCHES if name == "cha-bae" else (name,):
            published, *ours = of_system[shown]
            assert re.fullmatch(r"-|0\.\d\d", published)
            assert all(re.match(r"[01]\.\d\d", cell) for cell in ours), shown
            assert all("[" in cell for cell in ours[2:]), "figures on new subjects have intervals"


def test_leaks_reach_what_explains_a_figure_and_clean_protocols_what_chance_gives():
    results = reproductions().read_results(ROOT)
    for name in reproductions().STUDIES:
        assert results[name]["demands"], name
        for what, demand in results[name]["demands"].items():
            assert demand["found"] >= demand["at_least"], f"{name}: {what}"
        assert results[name]["not_as_expected_of_chance"] == []
    assert results["cha_bae"]["leak_gap_of_the_dnn"] >= 0.5


def test_all_tables_of_reproductions_can_be_made(tmp_path: Path):
    results = reproductions().read_results(ROOT)
    for make in reproductions().TABLES.values():
        lines = make(results).splitlines()
        assert len(lines) > 2
        assert len({line.count("|") for line in lines}) == 1
    with pytest.raises(extension("measurements").NoResultsError, match="cryvision reproduce all"):
        reproductions().read_results(tmp_path)


def architecture() -> tuple[ModuleType, ModuleType]:
    return extension("floors"), extension("architecture")


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=place)
def test_source_files_that_a_page_names_are_there(page: Path):
    named = re.findall(r"`((?:\w+/)+\w+\.py)`", page.read_text(encoding="utf-8"))
    package = Path(cryvision.__file__).parent
    assert [n for n in named if not (ROOT / n).is_file() and not (package / n).is_file()] == []


def test_the_page_on_architecture_shows_every_room():
    floors, drawing = architecture()
    modules = floors.read_modules(Path(cryvision.__file__).parent)
    imports = floors.room_imports(modules)
    svg = drawing.to_svg(drawing.draw_floors(imports))
    table = drawing.floors_table(modules)
    for room in imports:
        assert f">{drawing.shown_name(room)}<" in svg, room
        assert re.search(rf"\| `{drawing.shown_name(room)}` \| \d+ \| \S", table), room
    assert svg == drawing.to_svg(drawing.draw_floors(imports)), "a build changes nothing by itself"


def test_a_line_that_others_imply_is_not_drawn():
    floors, drawing = architecture()
    imports = {"top": {"middle", "ground"}, "middle": {"ground"}, "ground": set(), "lone": set()}
    assert floors.direct_imports(imports) == {**imports, "top": {"middle"}}
    table = [floors.Floor("low", ("ground",)), floors.Floor("high", ("middle", "lone", "top"))]
    (axes,) = drawing.draw_floors(imports, table).axes
    at = {text.get_text(): text.get_position() for text in axes.texts if text.get_text()}
    assert at["ground"][1] < at["middle"][1] == at["lone"][1] < at["top"][1]
    assert at["middle"][0] != at["lone"][0]


def test_the_way_of_a_run_is_what_was_called():
    _, drawing = architecture()
    way = drawing.record_way(build_parser, Path(cryvision.__file__).parent)
    assert [room for room, _ in way] == ["cli", "commands"]
    assert way[0][1].endswith("build_parser")
    assert "| 1 | `cli` | `cli.build_parser` |" in drawing.way_table(way)
