"""The run directory: append-only rows of evidence, resumable and verifiable."""
