"""What is wrong with a pack, and where."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Fault:
    """One reason not to trust a pack. ``file`` is its path in the pack."""

    file: str
    text: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.file}: {self.text}"


class PackFault(Exception):
    """A pack cannot be read any further; holds the one fault that says why."""

    def __init__(self, file: str, text: str) -> None:
        super().__init__(f"{file}: {text}")
        self.fault = Fault(file, text)
