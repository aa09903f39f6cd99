"""How a bench ends: with one line and an exit code, as every command does."""

import sys
from collections.abc import Callable

import typer

from dspark_bench.core.errors import BenchError


def run_bench(main: Callable[..., None], name: str) -> None:
    """Run `main` with the options of the command line. Does not return."""
    try:
        typer.run(main)
    except BenchError as error:
        print(f"{name}: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from error
