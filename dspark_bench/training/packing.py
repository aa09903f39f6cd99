"""Token arrays on disk, one per domain and split, and the sampler of training batches.

Documents are joined by EOS into one uint16 array; a second array holds where each starts. The
sampler is counter-based: a step's batch depends on the seed and the step alone, so that a resumed
run sees what an uninterrupted run would have seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from dspark_bench.training.documents import DOMAINS, SPLITS, Corpus, Domain, Split
from dspark_bench.training.tokenizer import EOS_TOKEN_ID

DOMAIN_WEIGHTS: Mapping[str, float] = {"math": 0.25, "code": 0.40, "prose": 0.35}

TokenArray = npt.NDArray[np.uint16]
IndexArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PackedTokens:
    """One domain and split: all tokens, and where its documents start.

    tokens: [T] uint16, every document followed by EOS. starts: [documents] int64.
    """

    tokens: TokenArray
    starts: IndexArray

    def document(self, index: int) -> TokenArray:
        """The tokens of one document, without its EOS."""
        following = self.starts[index + 1 :]
        end = int(following[0]) if following.size else self.tokens.size
        return self.tokens[int(self.starts[index]) : end - 1]


def pack(texts: Iterable[str], tokenizer: Tokenizer) -> PackedTokens:
    """Tokenise `texts` in order and join them by EOS."""
    encodings = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    parts = [np.array([*encoding.ids, EOS_TOKEN_ID], dtype=np.uint16) for encoding in encodings]
    lengths = np.array([part.size for part in parts], dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    tokens = np.concatenate(parts) if parts else np.empty(0, dtype=np.uint16)
    return PackedTokens(tokens, starts)


def pack_corpus(corpus: Corpus, tokenizer: Tokenizer, folder: Path) -> None:
    """Write `{domain}.{split}.tokens.npy` and `.starts.npy` for every domain and split."""
    folder.mkdir(parents=True, exist_ok=True)
    for domain in DOMAINS:
        for split in SPLITS:
            packed = pack((d.text for d in corpus.select(domain, split)), tokenizer)
            np.save(folder / f"{domain}.{split}.tokens.npy", packed.tokens)
            np.save(folder / f"{domain}.{split}.starts.npy", packed.starts)


def load_packed(folder: Path, domain: Domain, split: Split) -> PackedTokens:
    """Read one domain and split of what `pack_corpus` wrote."""
    return PackedTokens(
        np.load(folder / f"{domain}.{split}.tokens.npy"),
        np.load(folder / f"{domain}.{split}.starts.npy"),
    )


def load_split(folder: Path, split: Split) -> dict[str, PackedTokens]:
    """Read one split of every domain."""
    return {domain: load_packed(folder, domain, split) for domain in DOMAINS}


@dataclass(frozen=True)
class BatchSampler:
    """Draws batches of token windows: half from document starts, half from anywhere."""

    packed: Mapping[str, PackedTokens]
    weights: Mapping[str, float]
    batch_size: int
    window_tokens: int
    seed: int

    def batch(self, step: int) -> npt.NDArray[np.int64]:
        """The batch of `step`: [batch_size, window_tokens] int64. Pure in (seed, step)."""
        rng = np.random.default_rng((self.seed, step))
        domains = list(self.weights)
        shares = np.array([self.weights[domain] for domain in domains])
        chosen = rng.choice(len(domains), size=self.batch_size, p=shares / shares.sum())
        rows = [self._window(rng, self.packed[domains[index]]) for index in chosen]
        return np.stack(rows).astype(np.int64)

    def _window(self, rng: np.random.Generator, packed: PackedTokens) -> TokenArray:
        last = packed.tokens.size - self.window_tokens
        if last < 0:
            raise ValueError(
                f"{packed.tokens.size} tokens cannot fill a window of {self.window_tokens}"
            )
        if rng.random() < 0.5:
            num_starts = int(np.searchsorted(packed.starts, last, side="right"))
            start = int(packed.starts[rng.integers(num_starts)])
        else:
            start = int(rng.integers(last + 1))
        return packed.tokens[start : start + self.window_tokens]
