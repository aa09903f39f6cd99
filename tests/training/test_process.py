"""A process that trains: what it frees it gets back, and tiny numbers cost it nothing."""

import subprocess
import sys

import pytest

PAGES = """
import resource
import numpy as np
from dspark_bench.training.process import keep_freed_memory
if {asked} and not keep_freed_memory():
    raise SystemExit("not glibc")
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(1 << 23)
before = faults()
for _ in range(8):
    np.ones(1 << 23)
print(faults() - before)
"""


def pages_cleared(asked: bool) -> int:
    """Pages that the system hands out for eight tables of 64 MB, one after the other."""
    code = PAGES.format(asked=asked)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.stderr.strip() == "not glibc":
        pytest.skip("not glibc")
    return int(done.stdout)


def test_tables_of_a_step_are_cleared_once() -> None:
    assert pages_cleared(asked=True) < 0.1 * pages_cleared(asked=False)


def test_tiny_numbers_are_taken_for_zero() -> None:
    code = (
        "import torch\n"
        "from dspark_bench.training.process import prepare_process\n"
        "prepare_process(1)\n"
        "print(float(torch.tensor([1e-37]).mul_(0.01)), torch.get_num_threads())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0.0", "1"]
