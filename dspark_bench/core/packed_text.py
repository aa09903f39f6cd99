"""Text of files that anybody may have packed or saved in another Unicode encoding.

What a file is shows in its first bytes, never in its name: gzip, bzip2 and xz are unpacked, and a
byte order mark says UTF-8, UTF-16 or UTF-32. Without one the text is UTF-8. Read by prompt files
and traces.
"""

import bz2
import codecs
import gzip
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

from dspark_bench.core.files import not_special

MAX_BYTES: Final = 4 << 30
"""What a packed file may unpack to: more is no prompt file, and may be meant to fill the memory."""

_UNPACKERS: Final[tuple[tuple[bytes, Callable[[Path], object]], ...]] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\x00", lzma.open),
)
_NOT_UNPACKED: Final = (
    (b"PK\x03\x04", "a zip archive"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
)
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like UTF-16's, so it is looked for first
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_packed_bytes(path: Path) -> bytes:
    """The file's bytes, unpacked. Raises OSError, also for a pipe or a device, or ValueError."""
    content = not_special(path).read_bytes()
    for magic, what in _NOT_UNPACKED:
        if content.startswith(magic):
            raise ValueError(f"it is {what}; valid: text, as it is or packed by gzip, bzip2 or xz")
    for magic, unpack in _UNPACKERS:
        if content.startswith(magic):
            return _unpacked(path, unpack)
    return content


def packed_text(content: bytes) -> str:
    """Bytes as text, line ends as they are. Raises ValueError naming the byte that is none."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding)
    if b"\x00" in content:
        raise ValueError(
            "it holds null bytes, as UTF-16 without a byte order mark does; valid: UTF-8, or "
            "UTF-16 with its mark"
        )
    return content.decode("utf-8")


def read_packed_text(path: Path) -> str:
    """The file's text. Raises OSError or ValueError."""
    return packed_text(read_packed_bytes(path))


def plain_suffix(path: Path) -> str:
    """The suffix without that of the packing, in lower case: `.csv` of `A.CSV.gz`."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in (".gz", ".bz2", ".xz"):
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _unpacked(path: Path, unpack: Callable[[Path], object]) -> bytes:
    try:
        with cast(gzip.GzipFile, unpack(path)) as file:
            content = file.read(MAX_BYTES + 1)
    except (EOFError, lzma.LZMAError, OSError, zlib.error) as error:
        raise ValueError(f"it cannot be unpacked: {error}") from error
    if len(content) > MAX_BYTES:
        raise ValueError(f"it unpacks to more than {MAX_BYTES >> 30} GiB")
    return content
