"""One point: build its parts, warm up, let the arms take turns, predict, gather what they left."""
