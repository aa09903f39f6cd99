"""What is recorded about machine and code."""

import json
import re
import tomllib
from pathlib import Path

from dspark_bench.config.compose import conf_dir
from dspark_bench.config.listing import list_options
from dspark_bench.config.schema import GROUPS
from dspark_bench.machine.environment import PACKAGES, read_environment


def test_environment_is_plain_json_without_paths_or_host_names() -> None:
    environment = read_environment()
    text = json.dumps(environment.as_json())
    assert environment.num_cores >= 1
    assert environment.memory_bytes > 0
    assert str(conf_dir()) not in text
    assert environment.machine_id == read_environment().machine_id


def test_every_option_has_a_line_and_opens_with_its_command() -> None:
    options = list_options()
    assert {option.group for option in options} == set(GROUPS)
    assert all(option.summary for option in options)
    for option in options:
        lines = (conf_dir() / option.group / f"{option.name}.yaml").read_text().splitlines()
        commands = [line for line in lines if line.startswith("# dspark-bench ")]
        assert commands, option


def test_every_key_has_a_comment_with_its_range() -> None:
    for path in conf_dir().rglob("*.yaml"):
        for line in path.read_text().splitlines():
            key = line.partition(":")[0]
            is_setting = line and line[0].isalpha() and line.partition(":")[2].strip()
            if is_setting and key != "_target_":
                assert " # " in line, f"{path.name}: {line}"


def test_every_declared_package_is_listed() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[<>=\[ ]", line)[0] for line in project["dependencies"]}
    assert set(PACKAGES) == declared | {project["name"]}
    assert {"torch", "numpy", "pyarrow", "typer"} <= set(read_environment().packages)


def test_threads_and_limits_are_there() -> None:
    environment = read_environment().as_json()
    assert environment["threading"]["num_interop_threads"] >= 1
    assert environment["threading"]["cpu_capability"]
    assert environment["swap_bytes"] is not None
    usable = environment["processors"]["num_usable"]
    assert usable is None or 1 <= usable <= environment["num_cores"]
    names = {"variables", "openmp", "blas", "backend", "onednn"}
    assert names <= set(environment["threading"])
