"""Instruments: they turn a text into a score and carry a card that says how often they are wrong."""

from fmaudit.instruments.base import Instrument, available, open_instrument

__all__ = ["Instrument", "available", "open_instrument"]
