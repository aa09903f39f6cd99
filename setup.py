"""Packages of the distribution; everything else is in pyproject.toml.

`conf/` stays at the repository's top level, where users edit it, and is `dspark_bench/conf` once
installed. Listing packages by discovery keeps a new one from being left out of the wheel.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["dspark_bench", "dspark_bench.*"]), "dspark_bench.conf"],
    package_dir={"dspark_bench.conf": "conf"},
)
