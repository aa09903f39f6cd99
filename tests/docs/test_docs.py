"""The README and docs/: short where that is promised, and true in what can be looked up."""

import ast
import csv
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from dspark_bench import cli
from dspark_bench.config.schema import GROUPS
from dspark_bench.core import errors
from dspark_bench.metrics.lossless import Evidence
from dspark_bench.store.tables import COLUMNS
from tests.docs.commands import Checker, commands, make_targets, overrides
from tests.docs.pages import ROOT, Page, read_pages
from tests.sweeps import read_summary, tiny_overrides
from tests.tiny_models import TinyZoo

LONGEST_README = 200
PAGES = read_pages()
KEPT = ("reference", "baseline")
"""Folders of results/ that are committed; the others are a reader's own."""
_PATH = re.compile(r"(?<![\w/.])(?:dspark_bench|conf|tests|docs|results)/[\w./-]*[\w/]")
_MODULE = re.compile(r"\bdspark_bench(?:\.\w+)+")
_NAMED = re.compile(r"((?:`\w+`(?:, | and )?)+) in `(dspark_bench/[\w/]+\.py)`")

by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pytest.fixture(scope="module")
def checker() -> Checker:
    return Checker()


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """A folder per page with the files that its examples are to be put into."""
    folders = {}
    with pytest.MonkeyPatch.context() as patch:
        for page in PAGES:
            folder = folders[page.name] = tmp_path_factory.mktemp("page")
            for block in page.blocks:
                if block.file is not None:
                    path = folder / block.file
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(block.text, encoding="utf-8")
            patch.syspath_prepend(str(folder))
        before = set(sys.modules)
        yield folders
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", None)).startswith(
                tuple(map(str, folders.values()))
            ):
                del sys.modules[name]


def test_the_readme_is_short() -> None:
    num_lines = PAGES[0].text.count("\n")
    assert num_lines <= LONGEST_README, f"README.md has {num_lines} lines"


def test_the_readme_names_every_page() -> None:
    linked = {link.partition("#")[0] for link in PAGES[0].links}
    assert {page.name for page in PAGES[1:]} <= linked


@by_page
def test_every_command_is_understood(
    page: Page, checker: Checker, examples: dict[str, Path]
) -> None:
    wrong = []
    for words in commands(page):
        try:
            checker.check(words, examples[page.name])
        except Exception as error:
            wrong.append(f"{' '.join(words)}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)


@by_page
def test_every_override_is_understood(page: Page, checker: Checker) -> None:
    wrong = []
    for text in dict.fromkeys(overrides(page)):
        try:
            checker.check_overrides(text)
        except Exception as error:
            wrong.append(f"{text}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)


@by_page
def test_links_lead_somewhere(page: Page) -> None:
    known = {other.path: other for other in PAGES}
    wrong = []
    for link in page.links:
        if link.startswith(("https://", "http://")):
            continue
        name, _, anchor = link.partition("#")
        path = (page.path.parent / name).resolve() if name else page.path
        if not path.exists() or ROOT not in path.parents:
            wrong.append(link)
        elif anchor and anchor not in known.get(path, Page(path)).anchors:
            wrong.append(f"{link}: no such heading")
    assert not wrong, "\n".join(wrong)


@by_page
def test_files_are_where_they_are_said_to_be(page: Page) -> None:
    named = [path for span in page.spans for path in _PATH.findall(span)]
    named += [path for block in page.blocks for path in _PATH.findall(block.text)]
    wrong = [path for path in named if not (ROOT / path).exists() and not _is_the_readers(path)]
    assert not wrong, "\n".join(wrong)


def _is_the_readers(path: str) -> bool:
    """Results of a reader's own sweeps; a word in capitals stands for a name."""
    parts = path.split("/")
    is_own_result = parts[0] == "results" and parts[1] not in KEPT
    return is_own_result or any(part.isupper() for part in parts)


@by_page
def test_modules_and_names_exist(page: Page) -> None:
    wrong = [name for name in _MODULE.findall(page.text) if not _is_defined(name)]
    for names, path in _NAMED.findall(page.text):
        defined = _definitions(ROOT / path)
        wrong += [
            f"{name} in {path}" for name in re.findall(r"`(\w+)`", names) if name not in defined
        ]
    assert not wrong, "\n".join(wrong)


def _is_defined(name: str) -> bool:
    """A module, or what a module defines or imports."""
    place = ROOT / name.replace(".", "/")
    if place.is_dir() or place.with_suffix(".py").is_file():
        return True
    module, attribute = place.parent, place.name
    files = (module.with_suffix(".py"), module / "__init__.py")
    return any(file.is_file() and attribute in _definitions(file) for file in files)


def _definitions(path: Path) -> set[str]:
    """Names that a file defines or imports, methods included."""
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
    found = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    found |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return found | {node.name for node in ast.walk(tree) if isinstance(node, ast.alias)}


_SCRIPTS = [(page.name, b.text) for page in PAGES for b in page.blocks if b.language == "python"]


@pytest.mark.parametrize(("page", "text"), _SCRIPTS, ids=[name for name, _ in _SCRIPTS])
def test_examples_in_python_are_valid(page: str, text: str) -> None:
    exec(compile(text, page, "exec"), {"__name__": "example"})


def test_the_examples_of_plugins_run(
    tiny_zoo: TinyZoo, tmp_path: Path, examples: dict[str, Path]
) -> None:
    mine = str(examples["docs/plugins.md"] / "mine")
    kept = [o for o in tiny_overrides(tiny_zoo, tmp_path) if not o.startswith("drafter")]
    chosen = ["drafter=uniform", "scheduler=quiet_hours", "gamma=2"]
    assert cli.execute(["run", "--config-dir", mine, *kept, *chosen]) == 0
    (row,) = read_summary(tmp_path / "results" / "tiny")
    assert (row["drafter"], row["scheduler"]) == ("uniform", "quiet_hours")
    assert float(row["verify_budget"]) > 1


def test_the_readmes_plugin_is_the_one_of_the_page(examples: dict[str, Path]) -> None:
    """Both are the same scheduler, so the longer one was run for both."""
    names = [examples[name] / "quiet_hours.py" for name in ("README.md", "docs/plugins.md")]
    bodies = []
    for path in names:
        space: dict[str, object] = {}
        exec(path.read_text(encoding="utf-8"), space)
        bodies.append(space["QuietHours"])

    class Context:
        gamma, request_ids, num_requests = 4, (0, 1), 9

    for most, expected in ((8, [0, 0]), (9, [4, 4])):
        for made in bodies:
            assert made(most).plan_draft(Context()) == expected  # type: ignore[operator]


def test_the_floors_are_those_that_are_enforced() -> None:
    page = next(page for page in PAGES if page.name == "docs/architecture.md")
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (layers,) = (c for c in contracts["tool"]["importlinter"]["contracts"] if "layers" in c)
    floors = [set(re.findall(r"\w+", layer)) for layer in layers["layers"]]
    cells = [re.findall(r"`dspark_bench/(\w+)(?:\.py)?`", cell) for cell in page.table_cells()]
    shown = [set(cell) for cell in cells if cell and cell != ["zoo"]]
    assert shown == floors


def test_every_option_is_named() -> None:
    text = "".join(page.text for page in PAGES)
    options = [path for group in GROUPS for path in (ROOT / "conf" / group).glob("*.yaml")]
    named = re.compile(r"\w+=([\w,]+)")
    known = {name for found in named.findall(text) for name in found.split(",")}
    known |= set(re.findall(r"`(\w+)`", text)) | {"default"}
    assert [path.stem for path in options if path.stem not in known] == []


def test_every_make_target_is_listed() -> None:
    page = next(page for page in PAGES if page.name == "docs/development.md")
    listed = {word for words in commands(page) if words[0] == "make" for word in words[1:]}
    assert make_targets() - listed == set()


def test_every_column_of_the_contract_is_explained() -> None:
    text = "".join(page.text for page in PAGES)
    assert [name for name in COLUMNS if f"`{name}`" not in text] == []


def test_metrics_name_columns_that_exist() -> None:
    page = next(page for page in PAGES if page.name == "docs/metrics.md")
    with (ROOT / "results/reference/domains/summary.csv").open(encoding="utf-8") as file:
        known = set(next(csv.reader(file)))
    known |= {"conditional_acceptance", "expected_acceptance", "survival", "agreement"}
    known |= {"ece", "auc", "brier", "n", "scheduler_regret"}
    known |= {"degenerate_requests", "is_degenerate"}
    names = [name for cell in page.table_cells() for name in re.findall(r"`(\w+)`", cell)]
    assert len(names) > 40
    assert [name for name in names if name not in known] == []


def test_every_kind_of_evidence_is_explained() -> None:
    page = next(page for page in PAGES if page.name == "docs/results_format.md")
    assert {f"`{name}`" for name in get_args(Evidence)} <= set(page.table_cells())


def test_every_exit_code_is_explained() -> None:
    page = next(page for page in PAGES if page.name == "docs/robustness.md")
    found = {getattr(value, "exit_code", None) for value in vars(errors).values()} - {None}
    found |= {0, errors.EXIT_INTERNAL, errors.EXIT_INTERRUPTED}
    cells = page.table_cells()
    assert {str(code) for code in found} <= set(cells)
