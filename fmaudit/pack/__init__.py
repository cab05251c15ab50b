"""Evidence packs: a run with its policies, verdicts and rows as a signed BagIt folder, and their verifier."""
