"""Our engine beside transformers and vLLM-CPU on the same weights: `make bench-peers`.

    python -m dspark_bench.evidence.bench_peers [--work DIR] [--batches 1,8,32] [--rounds 10]

Each engine is a worker of its own, asked over pipes and stopped while others work; all serve the
same prompts greedily in fp32 on the same number of threads. vLLM is installed into the work folder
by the first run (minutes, some 3.5 GB) and kept there.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from dspark_bench.core.errors import UsageError
from dspark_bench.evidence.entry import run_bench
from dspark_bench.evidence.peers.arms import Models, Setting
from dspark_bench.evidence.peers.block import Site, measure_block
from dspark_bench.evidence.peers.convert import write_eagle3
from dspark_bench.evidence.peers.install import InstallError, install_vllm
from dspark_bench.evidence.peers.table import TITLE, section
from dspark_bench.evidence.robustness_file import replace_section, revision
from dspark_bench.machine.environment import read_environment
from dspark_bench.measure.timing_lock import timing_lock
from dspark_bench.models.checkpoint import read_tokenizer
from dspark_bench.workloads.mixed import MixedWorkload

PEERS: Final = Path("results/reference/peers.md")
_ZOO: Final = Path(__file__).resolve().parents[1] / "zoo"
_SPARE: Final = 2
"""Places of a cache beyond prompt, output and drafts: the anchor, and one that vLLM asks for."""


def main(
    work: Annotated[Path | None, typer.Option(help="Default: in the temp folder.")] = None,
    batches: Annotated[str, typer.Option(help="Prompts at once, comma list.")] = "1,8,32",
    rounds: Annotated[int, typer.Option(help="At least; 6 or more for intervals.")] = 10,
    prompts: Annotated[int, typer.Option(help="Of the zoo's test prompts.")] = 32,
    tokens: Annotated[int, typer.Option(help="New tokens per prompt, at most.")] = 64,
    gamma: Annotated[int, typer.Option(help="Draft tokens.")] = 4,
    threads: Annotated[int, typer.Option(help="Of every engine.")] = 1,
    vllm: Annotated[bool, typer.Option(help="Whether vLLM takes part.")] = True,
    compile_vllm: Annotated[bool, typer.Option(help="Let vLLM compile: minutes a start.")] = False,
    out: Annotated[Path, typer.Option(help="File whose section is replaced.")] = PEERS,
) -> None:
    """Measure, print, and write the section of this machine, after every batch.

    Exits 0 whatever it shows.
    """
    console = Console(width=160)
    sizes = batch_sizes(batches)
    check_positive(rounds=rounds, prompts=prompts, tokens=tokens, gamma=gamma, threads=threads)
    rows = prompt_rows(prompts)
    longest = max(map(len, rows)) + tokens + gamma + _SPARE
    setting = Setting(1, tokens, gamma, threads, longest, compile_vllm)
    folder = work_folder(work)
    site = find_vllm(folder, console) if vllm else Site(folder, None, "--no-vllm")
    text = ""
    for text in _measure(rows, setting, sizes, rounds, site, console):
        replace_section(out, text, TITLE)
    console.print(text, markup=False, soft_wrap=True)


def batch_sizes(text: str) -> tuple[int, ...]:
    """Numbers of a comma list. Raises UsageError for anything else, and for one that is twice."""
    words = text.split(",")
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise UsageError(f"--batches is {text!r}; valid: whole numbers from 1 on, such as 1,8,32")
    sizes = tuple(map(int, words))
    if len(set(sizes)) < len(sizes):
        raise UsageError(f"--batches is {text!r}; valid: every number once")
    return sizes


def check_positive(**options: int) -> None:
    """Raises UsageError for the first option below 1."""
    for name, value in options.items():
        if value < 1:
            raise UsageError(f"--{name} is {value}; valid: 1 or more")


def prompt_rows(num_prompts: int) -> list[list[int]]:
    """Token ids of the zoo's test prompts, the domains mixed. Raises WorkloadError for too many."""
    tokenizer = read_tokenizer(_ZOO / "target")
    found = MixedWorkload().prompts("test", num_prompts, 0)
    return [tokenizer.encode(prompt.text).ids for prompt in found]


def work_folder(wanted: Path | None) -> Path:
    """The folder with the models in it, copied under short names. Raises UsageError."""
    folder = wanted or Path(tempfile.gettempdir()) / f"peers-{os.getuid()}"
    names = Models()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copytree(_ZOO / "target", folder / names.target, dirs_exist_ok=True)
        shutil.copytree(_ZOO / "drafters" / "ar", folder / names.ar, dirs_exist_ok=True)
        write_eagle3(folder / names.ar, folder / names.eagle3)
    except OSError as error:
        raise UsageError(f"--work is {folder}, which cannot be written: {error}") from error
    return folder.resolve()


def find_vllm(folder: Path, console: Console) -> Site:
    """With vLLM's environment, made if need be; if it cannot be had, one line says why."""
    try:
        console.print(f"vLLM-CPU: its environment is in {folder}; made by the first run (minutes)")
        return Site(folder, install_vllm(folder))
    except InstallError as error:
        console.print(f"vLLM-CPU cannot be installed: {error}", markup=False, soft_wrap=True)
        return Site(folder, None, f"cannot be installed: {error}")


def _measure(
    rows: Sequence[Sequence[int]],
    setting: Setting,
    sizes: Sequence[int],
    rounds: int,
    site: Site,
    console: Console,
) -> Iterator[str]:
    """The section as far as it is known, after every batch."""
    measured, blocks = revision(), []
    with timing_lock():
        for batch in sizes:
            found = replace(setting, batch=batch)
            blocks.append(measure_block(site, found, rows, rounds, console.print))
            yield section(measured, len(rows), setting, blocks, read_environment())


if __name__ == "__main__":
    run_bench(main, "bench-peers")
