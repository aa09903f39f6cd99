"""Package discovery: the closure holds the roots, licences are stated, paths are relative."""

from __future__ import annotations

from importlib.metadata import distribution

from dspark_bench.training.packages import STANDARD_LIBRARY, licence_of, runtime_packages


def test_packages_are_found_with_licence_and_relative_keys() -> None:
    packages = {package.name: package for package in runtime_packages()}
    assert {"torch", "numpy", STANDARD_LIBRARY} <= packages.keys()
    assert packages[STANDARD_LIBRARY].licence == "PSF-2.0"
    for package in packages.values():
        assert package.version and package.licence
        assert not any(file.key.startswith(("/", "..")) for file in package.files)
        assert not any("tests" in file.key.split("/") for file in package.files)


def test_licence_of_a_known_package() -> None:
    assert "Apache" in licence_of(distribution("transformers"))
