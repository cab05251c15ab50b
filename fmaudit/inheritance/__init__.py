"""What an adapted model got from its base; comparisons until then say association."""
