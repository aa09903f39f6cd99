"""From a command line to an exit code: errors become one line here and nowhere else."""

import sys
import traceback
from collections.abc import Sequence
from typing import Any, Final, cast

import typer

from dspark_bench.cli.app import app
from dspark_bench.core.errors import (
    EXIT_INTERNAL,
    EXIT_INTERRUPTED,
    BenchError,
    Stopped,
    UsageError,
    error_line,
)
from dspark_bench.core.output import patient_output
from dspark_bench.core.paths import expanded

# Typer brings its own copy of click; this is that copy's UsageError.
_BadCommandLine: type[Exception] = typer.BadParameter.__mro__[1]
_RESUMABLE: Final = ("sweep", "run", "train", "fetch")
_KEPT = " (points that were measured are kept)"


def execute(arguments: Sequence[str]) -> int:
    """Run a command line; returns its exit code (design section 8)."""
    with patient_output() as output:
        code = _execute(arguments)
        output.flush()
        if output.failure is None:
            return code
        reason = output.failure.strerror or output.failure
        print(error_line(f"cannot write the output: {reason}{_KEPT}"), file=sys.stderr)
        return code or UsageError.exit_code


def _as_meant(argument: str) -> str:
    """A path, or `--option=PATH`, with `~/` and `$NAME` expanded where the shell has left them.

    Overrides are left to `config.quoting`, which knows the keys that name a path.
    """
    head, mark, path = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    is_path = path.startswith("~/") or ("$" in path and "=" not in path)
    return f"{head}{mark}{expanded(path)}" if is_path else argument


def _execute(arguments: Sequence[str]) -> int:
    try:
        typed = [_as_meant(argument) for argument in arguments]
        code = app(args=typed, prog_name="dspark-bench", standalone_mode=False)
    except BenchError as error:
        print(error_line(str(error)), file=sys.stderr)
        return error.exit_code
    except _BadCommandLine as error:
        message = _said(cast(Any, error))
        print(error_line(message) if message else "", file=sys.stderr)
        return UsageError.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = EXIT_INTERRUPTED
    except Stopped as stopped:
        print(_interrupted(arguments), file=sys.stderr)
        return stopped.exit_code
    except Exception:
        traceback.print_exc()
        print("internal error: please report it with the lines above", file=sys.stderr)
        return EXIT_INTERNAL
    if code == EXIT_INTERRUPTED:
        print(_interrupted(arguments), file=sys.stderr)
    return code if isinstance(code, int) else 0


def _said(error: Any) -> str:
    """The parser's message, which names the option as str() does not, and what is valid for it."""
    message: str = error.format_message()
    is_missing = type(error).__name__ == "MissingParameter"
    wanted = getattr(getattr(error, "param", None), "help", None) if is_missing else None
    return f"{message.rstrip('.')}; valid: {wanted}" if wanted else message


def _interrupted(arguments: Sequence[str]) -> str:
    """What the reader of the last line can count on."""
    verb = next((argument for argument in arguments if not argument.startswith("-")), "")
    what = "goes on from here" if verb in _RESUMABLE else "starts from the beginning"
    return f"interrupted; the same command {what}"
