"""The tokenizer of a GGUF file as `tokenizer.json`, with its special tokens and chat template.

The file holds tokens, merges and kinds of tokens; how text is split before merging it only names
(`tokenizer.ggml.pre`). transformers' own GGUF reader takes GPT-2's split for every byte-level
vocabulary, which joins digits that SmolLM2 reads one by one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

from dspark_bench.core.errors import CheckpointError

_CONTROL, _USER_DEFINED = 3, 4
_KEY: Final = "tokenizer.ggml."
_ENDS: Final = ("<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "</s>")
"""Control tokens that end a text wherever they stand in a vocabulary (llama.cpp reads them so)."""
_ROLES: Final = {
    "bos_token": "bos_token_id",
    "eos_token": "eos_token_id",
    "unk_token": "unknown_token_id",
    "pad_token": "padding_token_id",
}


def build_tokenizer(metadata: Mapping[str, Any], source: Path) -> Tokenizer:
    """The tokenizer. Raises CheckpointError for a kind or a split of text not known here."""
    kind = metadata.get(f"{_KEY}model")
    if kind != "gpt2":
        raise CheckpointError(f"{source}: {_KEY}model is {kind!r}; supported: 'gpt2' (byte-level)")
    tokens, kinds = metadata[f"{_KEY}tokens"], metadata[f"{_KEY}token_type"]
    merges = [tuple(merge.split(" ", 1)) for merge in metadata[f"{_KEY}merges"]]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    if len(vocabulary) < len(tokens):
        raise CheckpointError(f"{source}: two of its tokens are the same")
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = _split(metadata, source)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    for token, its_kind in zip(tokens, kinds, strict=True):
        if its_kind in (_CONTROL, _USER_DEFINED):
            added = AddedToken(token, normalized=False, special=its_kind == _CONTROL)
            (tokenizer.add_special_tokens if added.special else tokenizer.add_tokens)([added])
    if metadata.get(f"{_KEY}add_bos_token", False):
        bos = metadata[f"{_KEY}bos_token_id"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{tokens[bos]} $A", special_tokens=[(tokens[bos], bos)]
        )
    return tokenizer


def _split(metadata: Mapping[str, Any], source: Path) -> pre_tokenizers.PreTokenizer:
    """How text is cut before merging: by GPT-2's pattern, for SmolLM after each digit as well."""
    byte_level = pre_tokenizers.ByteLevel(
        add_prefix_space=bool(metadata.get(f"{_KEY}add_space_prefix", False)), use_regex=True
    )
    name = metadata.get(f"{_KEY}pre", "gpt-2")
    if name == "smollm":
        digits = pre_tokenizers.Digits(individual_digits=True)
        return pre_tokenizers.Sequence([digits, byte_level])
    if name == "gpt-2":
        return byte_level
    raise CheckpointError(f"{source}: {_KEY}pre is {name!r}; supported: 'smollm', 'gpt-2'")


def end_tokens(metadata: Mapping[str, Any]) -> list[int]:
    """Every token that ends a text, the one that the file names first."""
    tokens, kinds = metadata[f"{_KEY}tokens"], metadata[f"{_KEY}token_type"]
    named = metadata.get(f"{_KEY}eos_token_id")
    known = [i for i, token in enumerate(tokens) if kinds[i] == _CONTROL and token in _ENDS]
    return list(dict.fromkeys([*([] if named is None else [named]), *known]))


def tokenizer_config(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Special tokens by their parts, as `tokenizer_config.json` names them."""
    tokens = metadata[f"{_KEY}tokens"]
    roles = {
        name: tokens[metadata[_KEY + key]]
        for name, key in _ROLES.items()
        if metadata.get(_KEY + key) is not None
    }
    return {
        **roles,
        "add_prefix_space": bool(metadata.get(f"{_KEY}add_space_prefix", False)),
        "clean_up_tokenization_spaces": False,
        "model_max_length": metadata["llama.context_length"],
        "tokenizer_class": "PreTrainedTokenizerFast",
    }


def chat_template(metadata: Mapping[str, Any]) -> str | None:
    """The Jinja source that the file carries, if it has one."""
    return metadata.get("tokenizer.chat_template")


def special_ids(metadata: Mapping[str, Any]) -> dict[str, int]:
    """Ids for `config.json`: where a text begins, what pads."""
    names = {"bos_token_id": "bos_token_id", "pad_token_id": "padding_token_id"}
    found = {name: metadata.get(_KEY + key) for name, key in names.items()}
    return {name: value for name, value in found.items() if value is not None}
