"""Training: the corpus, its tokenizer, and the trainers of the target and of the drafters."""
