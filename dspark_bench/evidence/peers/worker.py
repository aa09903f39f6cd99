"""The process of one peer: reads prompts from its input, answers with seconds and tokens.

    python worker.py ENGINE_FILE

Started by `bench_peers`, with the Python of whichever environment holds the engine: so it and
`engine_vllm` import nothing of this project. One JSON value a line, both ways:

    bench -> worker   settings, once; then {"prompts": [[1, 2], [3]]} each turn
    worker -> bench   {"ready": {...}}, once; then {"seconds": 0.5, "tokens": [[4], [5, 6]]}
                      {"failed": "why"} at any time, after which the worker ends

ENGINE_FILE defines `start(settings)`, which returns facts about the engine and the function that
serves prompts. The clock is here, so that every engine is timed alike.
"""

import gc
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

Serve = Callable[[list[list[int]]], list[list[int]]]


def main() -> None:
    """Serve until the input ends. Whatever an engine prints goes to stderr, not to the bench."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        talk(Path(sys.argv[1]), sys.stdin, answers)
    except Exception as error:
        _say(answers, {"failed": f"{type(error).__name__}: {error}"})
        raise


def talk(engine_file: Path, questions: IO[str], answers: IO[str]) -> None:
    """Start the engine with the first line, then answer line by line."""
    facts, serve = _load(engine_file)(json.loads(questions.readline()))
    _say(answers, {"ready": facts})
    for line in questions:
        prompts = json.loads(line)["prompts"]
        gc.collect()
        started_s = time.perf_counter()
        tokens = serve(prompts)
        _say(answers, {"seconds": time.perf_counter() - started_s, "tokens": tokens})


def _load(engine_file: Path) -> Callable[[dict[str, Any]], tuple[dict[str, str], Serve]]:
    spec = importlib.util.spec_from_file_location(engine_file.stem, engine_file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{engine_file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    start: Callable[[dict[str, Any]], tuple[dict[str, str], Serve]] = module.start
    return start


def _say(answers: IO[str], message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
