"""The three tones of a statement and the shape that carries each without colour."""

from __future__ import annotations

from typing import Literal

Tone = Literal["alert", "open", "calm"]
SYMBOLS: dict[Tone, str] = {"alert": "▲", "open": "◇", "calm": "●"}
