"""`python -m dspark_bench`."""

from dspark_bench.cli import main

main()
