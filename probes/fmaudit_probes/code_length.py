"""Bits and log-probability a byte of a scored text, in one capped range for every probe."""

from __future__ import annotations

import math

MOST_BITS = 4.0
"""About what a byte of English costs whoever knows only how often each letter occurs.

The bytes of the neutral passages have an entropy of 4.2 bits by frequency alone, small language
models stay near 1 bit, and models past this point differ in nothing that speaks of the language.
The cap gives the measure its range: what passages that were not asked could do to a mean grows
with it, so that a cap of 8 bits, those of a byte sent as it is, takes twice as many passages to
exclude the same change.
"""
MOST_NATS = MOST_BITS * math.log(2)
"""The same in nats: a log-probability a byte is never below minus this."""


def bits_per_byte(total_nats: float, text: str) -> float:
    """Bits a UTF-8 byte of the scored ``text`` costs at ``total_nats``, in [0, MOST_BITS]."""
    return min(max(0.0, -total_nats) / math.log(2) / len(text.encode("utf-8")), MOST_BITS)


def logprob_per_byte(total_nats: float, text: str) -> float:
    """Log-probability of the scored ``text`` in nats a UTF-8 byte, in [-MOST_NATS, 0]."""
    return max(min(total_nats, 0.0) / len(text.encode("utf-8")), -MOST_NATS)
