"""Output streams that take whatever we print: any encoding, a closed pipe, no stream at all."""

from __future__ import annotations

import codecs
import io
import os
import sys
import unicodedata
from contextlib import suppress
from pathlib import Path

PLAIN_ERRORS = "fmaudit.plain"
"""Name of the codec error handler that writes what a terminal lacks in characters that every one has."""
_PLAIN = {
    "\u2212": "-", "\u2013": "-", "\u2014": "-", "\u2011": "-", "\u00b1": "+/-", "\u00d7": "x",
    "\u2264": "<=", "\u2265": ">=", "\u2260": "!=", "\u2248": "~", "\u2192": "->", "\u2190": "<-",
    "\u2191": "^", "\u2193": "v", "\u2026": "...", "\u00b7": ".", "\u2022": "*", "\u2018": "'",
    "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " ", "\u2009": " ", "\u202f": " ",
}  # fmt: skip


def prepare_output() -> None:
    """Make stdout and stderr print every text: missing ones are discarded, lacking characters replaced."""
    codecs.register_error(PLAIN_ERRORS, _plain)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (it lives as long as we)
            setattr(sys, name, nowhere)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=PLAIN_ERRORS)


def write_data(data: str | bytes) -> None:
    """Write data, as opposed to prose, to stdout: the bytes that a file of it would have, always UTF-8."""
    import click

    click.echo(data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data, nl=False)


def flush_output() -> None:
    """Write out what the streams hold back. Raises OSError where that is impossible."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def discard_output() -> None:
    """Send what is left of stdout nowhere, so that the interpreter does not complain at its end."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    replaced = "".join(_of(char) for char in error.object[error.start : error.end])
    return replaced, error.end


def _of(char: str) -> str:
    if char in _PLAIN:
        return _PLAIN[char]
    if 0x2500 <= ord(char) < 0x2580:  # lines of boxes
        return "-" if char == "\u2500" else "|" if char == "\u2502" else "+"
    letters = unicodedata.normalize("NFKD", char)
    return letters.encode("ascii", "ignore").decode("ascii") or "?"
