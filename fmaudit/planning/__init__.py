"""What a run will cost and what it can decide, before any model is loaded."""
