"""Outputs of requests that have ended, for those that run: bounded, and the oldest go first.

Called by `suffix` alone. What the same prompt was answered with is never kept for it: a benchmark
that serves a prompt twice would otherwise measure how well an answer is copied.
"""

from collections import deque

from dspark_bench.drafters.suffix_trie import SuffixTrie, Text

Prompt = tuple[int, ...]


class EarlierOutputs:
    """A trie over whole outputs, `num_tokens` of them at most."""

    def __init__(self, max_depth: int, num_tokens: int) -> None:
        self.trie = SuffixTrie(max_depth)
        self._most = num_tokens
        self._kept: deque[tuple[Prompt, list[int]]] = deque()
        self.num_tokens = 0

    def add(self, prompt: Prompt, output: list[int]) -> None:
        """Keep an output, and drop the oldest until there is room. One that is longer than all the
        room there is is left out.
        """
        if not output or len(output) > self._most:
            return
        while self.num_tokens + len(output) > self._most:
            self._drop(self._kept.popleft()[1])
        text = Text()
        for token in output:
            self.trie.append(text, token)
        self._kept.append((prompt, text.tokens))
        self.num_tokens += len(output)

    def forget(self, prompt: Prompt) -> None:
        """Drop what this prompt was answered with."""
        dropped = [tokens for known, tokens in self._kept if known == prompt]
        if dropped:
            self._kept = deque(item for item in self._kept if item[0] != prompt)
        for tokens in dropped:
            self._drop(tokens)

    def _drop(self, tokens: list[int]) -> None:
        self.trie.remove(tokens)
        self.num_tokens -= len(tokens)
