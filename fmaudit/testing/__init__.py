"""Tools for authors of probes and engines: the conformance suite, fake answers, tiny models."""

from fmaudit.testing.conformance import check_probe
from fmaudit.testing.fakes import fake_responses

__all__ = ["check_probe", "fake_responses"]
