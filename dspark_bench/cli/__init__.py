"""The command line. Verbs only: whatever a verb needs is imported when it runs, so `--help` is
quick.
"""

from dspark_bench.cli import measuring, reading, stock
from dspark_bench.cli.app import app
from dspark_bench.cli.execution import execute

__all__ = ["app", "execute", "measuring", "reading", "stock"]
