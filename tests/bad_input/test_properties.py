"""Whatever bytes a file holds, its reader returns or raises one of our own errors, of one line."""

import contextlib
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dspark_bench.config.config_files import check_yaml
from dspark_bench.config.expand import expand
from dspark_bench.core.errors import BenchError, error_line
from dspark_bench.costs.surface_file import read_surface
from dspark_bench.gate.baseline_file import read_baseline
from dspark_bench.gate.points import read_points
from dspark_bench.loads.trace_files import read_trace
from dspark_bench.measure.calibration_file import read_entries
from dspark_bench.models.checkpoint import read_tensors
from dspark_bench.models.config import parse_model_config
from dspark_bench.models.config_values import read_json
from dspark_bench.plots.figures import draw_all
from dspark_bench.plots.kind import NotSupportedError
from dspark_bench.plots.kinds import choose_kinds
from dspark_bench.plots.results import load_results
from dspark_bench.reading.gather import gather
from dspark_bench.report.html import render_html
from dspark_bench.report.page import build_page
from dspark_bench.workloads.jsonl import JsonlWorkload

_FAST = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
_SLOW = settings(_FAST, max_examples=1500)
_FEW = settings(_FAST, max_examples=6)
_MANY = settings(_FAST, max_examples=40)

_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([10**400, -1, 0, 1e308, "\ud800"])
)
_values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


def _tolerates(read: Callable[[], object]) -> bool:
    """Whether it could be read; anything but our own error of one line fails the test."""
    try:
        read()
    except BenchError as error:
        caught = error
    else:
        return True
    line = error_line(str(caught))
    assert (caught.exit_code, line.isprintable()) == (2, True)
    assert len(line) > len("error: ")
    return False


@st.composite
def _damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The content with bytes changed, cut out, doubled, or cut off at the end."""
    spoiled = bytearray(content)
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, max(0, len(spoiled) - 1)))
        kind = draw(st.sampled_from(["set", "cut", "insert", "end"]))
        if kind == "set" and spoiled:
            spoiled[place] = draw(st.integers(0, 255))
        elif kind == "cut":
            del spoiled[place : place + draw(st.integers(1, 40))]
        elif kind == "insert":
            spoiled[place:place] = draw(st.binary(max_size=12))
        elif draw(st.booleans()):
            del spoiled[place:]
    return bytes(spoiled)


@st.composite
def _reshaped(draw: st.DrawFn, content: bytes) -> bytes:
    """A JSON file with one value, anywhere in it, of another kind."""
    root = [json.loads(content)]
    place, key = root, 0
    for _ in range(draw(st.integers(0, 6))):
        inner = place[key]  # type: ignore[index]
        keys = (
            list(inner)
            if isinstance(inner, dict)
            else range(len(inner))
            if isinstance(inner, list)
            else ()
        )
        if not keys:
            break
        place, key = inner, draw(st.sampled_from(list(keys)))
    place[key] = draw(_values)  # type: ignore[index]
    return json.dumps(root[0]).encode()


_READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "trace": ("trace.jsonl", read_trace),
    "prompts": ("prompts.jsonl", lambda path: JsonlWorkload(str(path))),
    "costs": ("costs.json", read_surface),
    "calibration": ("calibration.json", read_entries),
    "baseline": ("baseline.json", read_baseline),
    "config": ("target/config.json", lambda path: parse_model_config(read_json(path), str(path))),
}
_JSON = [name for name in _READERS if name not in ("trace", "prompts")]


def _read_damaged(stock: Path, folder: Path, name: str, data: st.DataObject) -> None:
    file, read = _READERS[name]
    content = (stock / file).read_bytes()
    strategies = [_damaged(content), st.binary(max_size=200)]
    if name in _JSON:
        strategies.append(_reshaped(content))
    else:
        strategies.append(
            st.lists(_values, max_size=3).map(
                lambda rows: "\n".join(map(json.dumps, rows)).encode()
            )
        )
    path = folder / Path(file).name
    path.write_bytes(data.draw(st.one_of(strategies)))
    _tolerates(lambda: read(path))


@pytest.mark.parametrize("name", _READERS)
@_FAST
@given(data=st.data())
def test_readers(stock: Path, tmp_path: Path, name: str, data: st.DataObject) -> None:
    _read_damaged(stock, tmp_path, name, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", _READERS)
@_SLOW
@given(data=st.data())
def test_readers_longer(stock: Path, tmp_path: Path, name: str, data: st.DataObject) -> None:
    _read_damaged(stock, tmp_path, name, data)


@pytest.mark.parametrize("name", _READERS)
def test_the_readers_read_what_is_sound(stock: Path, name: str) -> None:
    file, read = _READERS[name]
    assert _tolerates(lambda: read(stock / file))


_KEYS = st.sampled_from(
    ["gamma", "temperature", "drafter", "load.rate", "name", "+x", "~gamma", ""]
)
_OVERRIDES = st.text(max_size=30) | st.builds(
    lambda key, value: f"{key}={value}",
    _KEYS,
    st.text(alphabet="0123456789,.[]{}()$:'\"\\ abrange=-", max_size=12) | st.text(max_size=6),
)


@_FAST
@given(overrides=st.lists(_OVERRIDES, max_size=3))
def test_overrides_expand_or_are_named(overrides: list[str]) -> None:
    if _tolerates(lambda: expand(overrides)):
        assert len(expand(overrides).points) >= 1


def test_sound_yaml_passes(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("gamma: 4\n")
    assert _tolerates(lambda: check_yaml(tmp_path / "mine.yaml"))


@_FAST
@given(text=st.text(alphabet="ab: -[]{}&*!|>'\"#%@\n\t", max_size=40) | st.text(max_size=40))
def test_yaml_is_checked(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    _tolerates(lambda: check_yaml(path))


def _read_header(stock: Path, folder: Path, data: st.DataObject) -> None:
    content = (stock / "semi_ar" / "model.safetensors").read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    head, tail = content[8 : 8 + size], content[8 + size :]
    text = data.draw(st.one_of(_damaged(head), _reshaped(head), st.binary(max_size=50)))
    claimed = data.draw(st.one_of(st.just(len(text)), st.integers(0, 2**64 - 1)))
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", claimed) + text + tail)
    _tolerates(lambda: read_tensors(folder, torch.float32, torch.device("cpu")))


@_FAST
@given(data=st.data())
def test_safetensors_headers(stock: Path, tmp_path: Path, data: st.DataObject) -> None:
    _read_header(stock, tmp_path, data)


@pytest.mark.slow
@_SLOW
@given(data=st.data())
def test_safetensors_headers_longer(stock: Path, tmp_path: Path, data: st.DataObject) -> None:
    _read_header(stock, tmp_path, data)


def test_sound_headers_and_results_are_read(stock: Path) -> None:
    sweep = stock / "results" / "done"
    assert _tolerates(lambda: read_tensors(stock / "semi_ar", torch.float32, torch.device("cpu")))
    assert _tolerates(lambda: collect_all(sweep))
    assert _tolerates(lambda: render_html(build_page(gather(sweep), (), ())))
    assert _tolerates(lambda: read_points(sweep))


def collect_all(sweep: Path) -> None:
    """What every kind of figure would show, without drawing it."""
    results = load_results(sweep)
    for kind in choose_kinds(()):
        with contextlib.suppress(NotSupportedError):
            kind.collect(results)


def _read_results(stock: Path, folder: Path, data: st.DataObject, is_drawn: bool) -> None:
    sweep = folder / "done"
    shutil.rmtree(sweep, ignore_errors=True)
    shutil.copytree(stock / "results" / "done", sweep)
    files = sorted(path for path in sweep.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(files), label="file")
    content = path.read_bytes()
    is_json = path.suffix == ".json"
    path.write_bytes(
        data.draw(_reshaped(content) | _damaged(content) if is_json else _damaged(content))
    )
    _tolerates(lambda: draw_all(load_results(sweep)) if is_drawn else collect_all(sweep))
    _tolerates(lambda: render_html(build_page(gather(sweep), (), ())))
    _tolerates(lambda: read_points(sweep))


@_FEW
@given(data=st.data())
def test_results(stock: Path, tmp_path: Path, data: st.DataObject) -> None:
    _read_results(stock, tmp_path, data, is_drawn=False)


@pytest.mark.slow
@_MANY
@given(data=st.data())
def test_results_longer(stock: Path, tmp_path: Path, data: st.DataObject) -> None:
    _read_results(stock, tmp_path, data, is_drawn=True)
