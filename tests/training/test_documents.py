"""The hold-out rule: stable, disjoint, and of the stated size."""

from __future__ import annotations

from dspark_bench.training.documents import Document, split_of, stable_hash


def test_hash_is_pinned() -> None:
    assert stable_hash("torch/nn/modules/linear.py") == 0x2A19D05E5B981696


def test_splits_are_two_two_and_ninety_six_percent() -> None:
    splits = [split_of(f"package/module_{index}.py") for index in range(20_000)]
    assert abs(splits.count("calibration") / len(splits) - 0.02) < 0.004
    assert abs(splits.count("test") / len(splits) - 0.02) < 0.004


def test_documents_of_one_file_share_a_split_across_domains() -> None:
    for index in range(200):
        key = f"package/module_{index}.py"
        code = Document("x = 1\n", "code", "package", key)
        prose = Document("Some words.\n", "prose", "package", key)
        assert code.split == prose.split
