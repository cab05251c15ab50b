"""Counter-based uniform numbers: each draw is a hash of where it is used.

No state is carried from draw to draw, so a text depends neither on the batch it
was sampled in, nor on the order, nor on what was sampled before an interruption.
"""

from __future__ import annotations

import hashlib
import struct

_MANTISSA_BITS = 53


class SampleStream:
    """The uniforms of one sample of one request, addressed by step.

    ``stream`` sets numbers apart that would else be the same: the same one gives the same numbers.
    """

    def __init__(self, seed: int, item: str, index: int, sample: int, stream: str = "") -> None:
        name = item.encode("utf-8", "surrogatepass")
        place = struct.pack("<qQqq", seed, len(name), index, sample) + name + stream.encode()
        self._hash = hashlib.blake2b(place, digest_size=8, person=b"fmaudit.sample")

    def uniform(self, step: int) -> float:
        """A number in [0, 1) with 53 random bits; the same on every platform."""
        keyed = self._hash.copy()
        keyed.update(struct.pack("<q", step))
        return (int.from_bytes(keyed.digest(), "little") >> (64 - _MANTISSA_BITS)) * 2.0**-_MANTISSA_BITS


def uniform(seed: int, item: str, index: int, sample: int, step: int) -> float:
    """The number in [0, 1) that belongs to one step of one sample of one request of one item."""
    return SampleStream(seed, item, index, sample).uniform(step)
