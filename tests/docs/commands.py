"""The commands that a page shows, and whether each would be understood.

Nothing runs. A command is taken apart by the command line's own parser, its overrides by Hydra's,
and its points are composed, typed and checked as `sweep` does before it measures anything.

What stands for something of the reader's is taken as it is: a word in capitals (`NAME`, `FILE`),
and a path that is given to a model, prompts or a trace.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import typer
import yaml
from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from dspark_bench.cli import app
from dspark_bench.commands import export, whatif
from dspark_bench.config.compose import (
    Composed,
    conf_dir,
    hydra_session,
    one_line_errors,
)
from dspark_bench.config.expand import expand
from dspark_bench.config.hydra_flags import split_arguments
from dspark_bench.config.listing import list_options
from dspark_bench.config.point_config import PLUGIN_GROUPS, ZOO, to_point_config
from dspark_bench.config.schema import CONFIG_NAME, GROUPS, RootConfig
from dspark_bench.config.shipped import shipped_checkpoint
from dspark_bench.config.sweep_lists import read_sweep_list, with_plain_group
from dspark_bench.config.validate import check_overrides, check_point
from dspark_bench.core.errors import UsageError
from dspark_bench.measure.build import try_light_parts
from dspark_bench.models.fetchable import FETCHABLE
from dspark_bench.plots.figures import check_formats
from dspark_bench.plots.kinds import choose_kinds
from dspark_bench.plots.style import find_look
from tests.docs.pages import ROOT, Page

EXPERIMENT = "experiment"
FORMATS = {"export": export.FORMATS, "whatif": whatif.FORMATS}
PROGRAMS = ("dspark-bench", "make", "python", "pip", "export")
_INLINE = ("dspark-bench ", "make ", "python -m ")
_OVERRIDE = r"[+~]?[a-z_]+(?:\.[a-z_]+)*=[^\s`]*"
_OVERRIDES = re.compile(rf"{_OVERRIDE}(?: {_OVERRIDE})*")


def commands(page: Page) -> Iterator[list[str]]:
    """Words of every command of a page, in blocks, in workflow files and inline."""
    for block in page.blocks:
        if block.language == "sh":
            lines = block.text.replace("\\\n", " ").splitlines()
            yield from filter(None, (shlex.split(line, comments=True) for line in lines))
        if block.language == "yaml":
            lines = list(_run_steps(yaml.safe_load(block.text)))
            yield from (shlex.split(line) for line in lines if line.startswith(_INLINE))
    for span in page.spans:
        if span.startswith(_INLINE):
            yield shlex.split(span)


def overrides(page: Page) -> list[str]:
    """Inline code that is nothing but overrides, such as `scheduler=fixed gamma=7`."""
    return [span for span in page.spans if _OVERRIDES.fullmatch(span)]


def _run_steps(node: object) -> Iterator[str]:
    """Values of every `run:` in a workflow."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "run":
                yield str(value)
            else:
                yield from _run_steps(value)
    if isinstance(node, list):
        for item in node:
            yield from _run_steps(item)


def _is_shipped(option: str | None) -> bool:
    return option is not None and shipped_checkpoint(option, ZOO / "target") is not None


class Checker:
    """Understands commands. Hydra composes once; every option is then laid over what it made, so
    that hundreds of points take no time.
    """

    def __init__(self) -> None:
        self._bases: dict[tuple[str, ...], tuple[DictConfig, dict[str, str | None]]] = {}
        self._parser = OverridesParser.create()
        self._seen: set[tuple[str, ...]] = set()

    def check(self, words: Sequence[str], folder: Path) -> None:
        """Raise whatever the command would be refused with. folder: what paths are relative to."""
        program, *rest = words
        if program not in PROGRAMS:
            raise UsageError(f"{program} is none of {', '.join(PROGRAMS)}")
        if program == "make":
            _check_make(rest)
        if program == "python":
            _check_module(rest)
        if program == "dspark-bench":
            self._check_ours(rest, folder)

    def check_overrides(self, text: str) -> None:
        """The same for overrides without a command: keys, options and types, not ranges."""
        for override in text.split():
            key, _, value = override.lstrip("+~").partition("=")
            group, _, name = key.partition(".")
            chosen = [f"{group}={_option_with(group, name)}"] if name and group in GROUPS else []
            self._points([*chosen, *([override] if value else [])], None, is_checked=False)
            if not value and not _is_key(key):
                raise UsageError(f"{override}: no such key or group")

    def _check_ours(self, words: Sequence[str], folder: Path) -> None:
        group = typer.main.get_command(app)
        assert isinstance(group, click.Group) or hasattr(group, "get_command")
        context = group.make_context("dspark-bench", list(words), resilient_parsing=True)
        verb = words[0]
        if verb.startswith("-"):
            return
        command = group.get_command(context, verb)  # type: ignore[attr-defined]
        if command is None:
            raise UsageError(f"dspark-bench has no command {verb}")
        parsed = command.make_context(verb, list(words[1:]), parent=context)
        if verb == "plot":
            choose_kinds(tuple(parsed.params["kind"] or ()))
            check_formats(tuple(parsed.params["formats"].split(",")))
            find_look(parsed.params["style"])
        if verb in FORMATS and parsed.params["format"] not in FORMATS[verb]:
            raise UsageError(f"{verb} has no format {parsed.params['format']}")
        if verb == "list":
            list_options(None, parsed.params["group"])
        if "config_dir" in parsed.params and "overrides" in parsed.params:
            config_dir = parsed.params["config_dir"]
            place = None if config_dir is None else folder / config_dir
            typed = split_arguments(parsed.params["overrides"] or []).overrides
            self._check_points(typed, bool(parsed.params.get("quick")), place, verb)

    def _check_points(
        self, typed: Sequence[str], is_quick: bool, config_dir: Path | None, verb: str
    ) -> None:
        found = read_sweep_list(typed, is_quick, config_dir)
        if found is None:
            self._points(with_plain_group(typed), config_dir, is_checked=True, verb=verb)
            return
        for exhibit in found.exhibits:  # what they hold has tests of its own
            for lines in exhibit.sweeps:
                expand(lines)

    def _points(
        self, typed: Sequence[str], config_dir: Path | None, is_checked: bool, verb: str = "sweep"
    ) -> None:
        check_overrides(typed)
        points = _diagonal(typed)
        if len(points) > 1 and verb != "sweep":
            raise UsageError(f"{verb} takes one point")
        for point in points:
            key = (*sorted(point), str(config_dir), str(is_checked))
            if key not in self._seen:
                self._seen.add(key)
                brings = verb == "train" or any(_key(o) == "drafter.path" for o in point)
                self._point(point, config_dir, is_checked, brings)

    def _point(
        self, point: Sequence[str], config_dir: Path | None, is_checked: bool, brings: bool
    ) -> None:
        """Compose and type one point; check it too, but for what the reader is to bring.

        brings: a drafter's checkpoint, or the wish to train one.
        """
        config, choices = self._base(tuple(o for o in point if _key(o) == EXPERIMENT))
        for text in point:
            key, _, value = text.partition("=")
            if key in GROUPS and key != EXPERIMENT:
                choices[key] = value
                _choose(config, key, value, config_dir)
        for text in (o for o in point if _key(o) not in GROUPS):
            self._set(config, text)
        values = OmegaConf.to_container(config, resolve=True)
        assert isinstance(values, dict)
        if choices["target"] in FETCHABLE:  # the reader has fetched it
            choices["target"] = "zoo"
        for group in ("target", "drafter"):
            if "path" in values[group]:
                values[group]["path"] = None
        made = to_point_config(Composed({str(k): v for k, v in values.items()}, choices), "docs")
        is_absent = "path" in values["drafter"] and not _is_shipped(choices["drafter"])
        if is_checked and not (brings and is_absent):
            check_point(made)
            if not any(_key(o).endswith(".path") for o in point):
                try_light_parts(made)

    def _base(self, experiment: tuple[str, ...]) -> tuple[DictConfig, dict[str, str | None]]:
        """The defaults, or an experiment's, to be changed; and which options they chose."""
        if experiment not in self._bases:
            with hydra_session(), one_line_errors():
                found = compose(CONFIG_NAME, list(experiment), return_hydra_config=True)
            chosen = {str(k): v for k, v in found.hydra.runtime.choices.items() if k in GROUPS}
            own = OmegaConf.masked_copy(found, [key for key in found if key != "hydra"])
            typed = OmegaConf.merge(OmegaConf.structured(RootConfig), own)
            assert isinstance(typed, DictConfig)
            self._bases[experiment] = (typed, chosen)
        config, choices = self._bases[experiment]
        return config.copy(), dict(choices)

    def _set(self, config: DictConfig, text: str) -> None:
        """What Hydra does with an override of a value."""
        with one_line_errors(text):
            override = self._parser.parse_override(text)
            key = override.key_or_group
            if key.startswith("hydra"):
                return
            if override.is_add() or override.is_delete():
                raise UsageError(f"{text}: pages change keys, they add and remove none")
            OmegaConf.select(config, key, throw_on_missing=False)
            OmegaConf.update(config, key, override.value(), merge=True)


def _choose(config: DictConfig, group: str, option: str, config_dir: Path | None) -> None:
    """Lay an option's file over the group, as Hydra does where options have no defaults."""
    folders = [conf_dir()] if config_dir is None else [config_dir, conf_dir()]
    paths = [folder / group / f"{option}.yaml" for folder in folders]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise UsageError(f"{group} has no option {option}")
    with one_line_errors(f"{group}={option}"):
        if group in PLUGIN_GROUPS:
            config[group] = {}
        OmegaConf.update(config, group, OmegaConf.load(path), force_add=True)


def _diagonal(typed: Sequence[str]) -> list[tuple[str, ...]]:
    """Points of a sweep in which every swept value occurs: as many as its longest list."""
    lists = [[point[0] for point in expand([override]).points] for override in typed]
    longest = max((len(values) for values in lists), default=1)
    return [tuple(values[i % len(values)] for values in lists) for i in range(longest)]


def _option_with(group: str, name: str) -> str:
    """An option of the group that has the key."""
    for path in sorted((conf_dir() / group).glob("*.yaml")):
        if name in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}):
            return path.stem
    raise UsageError(f"no option of {group} has a key {name}")


def _is_key(key: str) -> bool:
    """Whether a key is a group, one of the root's, or a group's own (which has been looked up)."""
    root = yaml.safe_load((conf_dir() / f"{CONFIG_NAME}.yaml").read_text(encoding="utf-8"))
    return key in GROUPS or key in root or "." in key


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]


def make_targets() -> set[str]:
    """Targets of the Makefile that a reader is told of: those with a line of help."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9-]+):.*##", text, re.MULTILINE))


def _check_make(words: Sequence[str]) -> None:
    for word in words:
        if "=" not in word and word not in make_targets():
            raise UsageError(f"the Makefile has no target {word}")


def _check_module(words: Sequence[str]) -> None:
    """A module of ours exists and names each flag that it is given."""
    assert words[0] == "-m", words
    place = ROOT / words[1].replace(".", "/")
    files = [place.with_suffix(".py"), place / "__main__.py"]
    source = "".join(file.read_text(encoding="utf-8") for file in files if file.is_file())
    if not source:
        raise UsageError(f"no module {words[1]}")
    for flag in (word for word in words[2:] if word.startswith("--")):
        if flag not in source and f"{flag[2:].replace('-', '_')}:" not in source:
            raise UsageError(f"{words[1]} has no {flag}")
