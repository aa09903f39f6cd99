"""Which files a plug-in is made of, and what editing them does."""

import importlib
import itertools
from collections.abc import Mapping
from pathlib import Path

import pytest

from dspark_bench.config.plugin_fit import find_class
from dspark_bench.measure.plugin_sources import source_files, source_hash

_NUMBERS = itertools.count()
_CLASS = "class Mine:\n    pass\n"


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    importlib.invalidate_caches()


@pytest.fixture
def name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A top-level name that nothing was imported under before; its folder is on the path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return f"sources_of_plugin_{next(_NUMBERS)}"


def found(folder: Path, class_path: str) -> list[str]:
    files = source_files(find_class(class_path))
    return [str(file.relative_to(folder.resolve())) for file in files]


def test_modules_beside_a_file_count_if_they_are_imported(tmp_path: Path, name: str) -> None:
    files = {
        f"{name}.py": f"import json\nimport {name}_helper as helper\n{_CLASS}",
        f"{name}_helper.py": f"def late():\n    from {name}_deep import thing\n",
        f"{name}_deep.py": f"import {name}_helper\nthing = 1\n",
        f"{name}_alone.py": "",
    }
    write(tmp_path, files)
    wanted = [f"{name}.py", f"{name}_deep.py", f"{name}_helper.py"]
    assert found(tmp_path, f"{name}.Mine") == wanted


def test_modules_of_a_package_count_by_every_way_to_import_them(tmp_path: Path, name: str) -> None:
    files = {
        f"{name}/__init__.py": "",
        f"{name}/sub/__init__.py": "from .near import x\n",
        f"{name}/sub/mine.py": f"from .. import up\nfrom . import side\n{_CLASS}",
        f"{name}/sub/near.py": "x = 1\n",
        f"{name}/sub/side.py": f"from {name}.far.end import thing\n",
        f"{name}/up.py": "",
        f"{name}/far/__init__.py": "",
        f"{name}/far/end.py": "thing = 1\n",
        f"{name}/alone.py": "",
    }
    write(tmp_path, files)
    assert set(found(tmp_path, f"{name}.sub.mine.Mine")) == set(files) - {f"{name}/alone.py"}


def test_a_packages_own_file_counts_though_nobody_names_it(tmp_path: Path, name: str) -> None:
    files = {
        f"{name}/__init__.py": "from .more import x\n",
        f"{name}/more.py": "x = 1\n",
        f"{name}/mine.py": _CLASS,
    }
    write(tmp_path, files)
    assert set(found(tmp_path, f"{name}.mine.Mine")) == set(files)


def test_of_installed_packages_only_its_own_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    place = tmp_path / "site-packages"
    monkeypatch.syspath_prepend(str(place))
    files = {
        f"{name}/__init__.py": f"import {name}_other\nfrom {name}.part import x\n{_CLASS}",
        f"{name}/part.py": "x = 1\n",
        f"{name}_other.py": "",
    }
    write(place, files)
    assert found(place, f"{name}.Mine") == [f"{name}/__init__.py", f"{name}/part.py"]


def test_this_package_is_not_followed() -> None:
    """A class of the checkout's own tests lies beside the package and imports it."""
    files = source_files(find_class("tests.plugins.UniformDrafter"))
    assert [file.name for file in files] == ["plugins.py"]


def test_what_has_no_source_has_no_hash() -> None:
    assert source_files(int) == [] and source_hash("builtins.int") == ""


def test_editing_any_of_them_and_nothing_else_makes_another_hash(tmp_path: Path, name: str) -> None:
    write(tmp_path, {f"{name}.py": f"import {name}_helper\n{_CLASS}", f"{name}_helper.py": ""})
    first = source_hash(f"{name}.Mine")
    write(tmp_path, {f"{name}_alone.py": "changed = 1\n"})
    assert source_hash(f"{name}.Mine") == first
    write(tmp_path, {f"{name}_helper.py": "changed = 1\n"})
    second = source_hash(f"{name}.Mine")
    write(tmp_path, {f"{name}_helper.py": "def broken(:\n"})
    assert len({first, second, source_hash(f"{name}.Mine")}) == 3
