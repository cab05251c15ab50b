"""From rows of evidence to estimates, contrasts and comparisons: pure, without torch."""
