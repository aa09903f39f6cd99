"""How the kernels are compiled: once per machine, kept beside the code, without the GIL.

Three things make a kernel slow to compile: a literal number among a call's arguments (numba
compiles the callee once for every value; `np.int64(0)` is no literal), an array that is assigned to
a slice (its check of shapes brings in numba's strings; a loop brings in nothing), and long code
that it calls: machine code is made of it once for every caller, unless it is `shared`.
"""

import fcntl
import hashlib
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from llvmlite import binding
from numba import njit, types
from numba.core.ccallback import CFunc

Kernel = Callable[..., Any]


def compiled(function: Kernel) -> Kernel:
    """Compile with IEEE arithmetic in the order written; a division by zero is not an exception."""
    return _kept(function, {})


def compiled_sum(function: Kernel) -> Kernel:
    """The same, and sums may take their terms in vector order: fixed for a number of terms."""
    return _kept(function, {"fastmath": {"reassoc"}})


def inlined(function: Kernel) -> Kernel:
    """The same as `compiled`, copied into each caller, so that its loops become vector loops."""
    return _kept(function, {"inline": "always"})


def shared(function: Kernel) -> Kernel:
    """Compile a function of whole numbers now, by itself; kernels call it by its address.

    What comes back can be called by kernels only.
    """
    words = (types.intp,) * len(inspect.signature(function).parameters)
    code: Any = CFunc(function, (words, types.void), {}, {"error_model": "numpy"})
    _keep(code)
    with one_at_a_time(code):
        code.compile()
    symbol = f"{function.__module__}.{function.__name__}"
    binding.add_symbol(symbol, code.address)
    call: Any = types.ExternalFunction(symbol, types.void(*words))
    call.code = code  # which lives as long as somebody may call it
    return call  # type: ignore[no-any-return]


def _kept(function: Kernel, options: dict[str, Any]) -> Kernel:
    options = {"nogil": True, "error_model": "numpy"} | options
    compile_lazily: Any = njit
    dispatcher = compile_lazily(**options)(function)
    _keep(dispatcher)
    return dispatcher  # type: ignore[no-any-return]


def _keep(code: Any) -> None:
    """Have what is compiled kept beside the code, where a folder can be written."""
    try:
        code.enable_caching()
    except RuntimeError:  # compile again in each process
        return
    # numba looks at the function's own file only, but a kernel holds the code of those it calls.
    files = getattr(code._cache, "_cache_file", None)
    if files is not None:
        files._source_stamp = (*files._source_stamp, _room_hash())


@contextmanager
def one_at_a_time(kernel: Kernel) -> Iterator[None]:
    """Held by one process of those that keep compiled code in the same folder.

    Who waited finds the code there. Where nothing can be kept nobody waits.
    """
    place = getattr(getattr(kernel, "_cache", None), "cache_path", None)
    if place is None:
        yield
        return
    folder = Path(place)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "compiling.lock").open("a")
    except OSError:
        yield
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@cache
def _room_hash() -> str:
    """Of all files that kernels are made of."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
