"""The transformer over ragged batches: decoder, attention, KV cache, checkpoint files."""
