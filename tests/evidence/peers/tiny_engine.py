"""An engine that answers each prompt with its own tokens, reversed; and misbehaves when told to."""

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any


def _is_pipe(descriptor: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def start(
    settings: dict[str, Any],
) -> tuple[dict[str, str], Callable[[list[list[int]]], list[list[int]]]]:
    print("words on the way in")
    if settings.get("cannot_start"):
        raise OSError("no such\nmodel")
    children = []
    if settings.get("has_child"):
        children.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))

    def serve(prompts: list[list[int]]) -> list[list[int]]:
        print("words in a turn")
        if prompts == [[0]]:
            os._exit(3)
        if prompts == [[4]]:
            answers = (fd for fd in range(3, 32) if _is_pipe(fd))
            os.write(next(answers), b'{"seconds": 1.')
            os._exit(3)
        if prompts == [[3]]:
            work = "import time\nwhile time.process_time() < 0.2: pass\nprint(1, flush=True)"
            child = [sys.executable, "-c", f"{work}\ntime.sleep(600)"]
            children.append(subprocess.Popen(child, stdout=subprocess.PIPE))
            children[-1].stdout.readline()
        if prompts == [[1]]:
            raise ValueError("prompt too short")
        if prompts == [[2]]:
            time.sleep(3)
        return [prompt[::-1] for prompt in prompts]

    return {"tiny": str(settings["batch"]), "pid": str(os.getpid())}, serve
