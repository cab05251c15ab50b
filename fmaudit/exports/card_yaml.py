"""YAML front matter that stays inert where a reader takes it for Markdown."""

from __future__ import annotations

import re
from typing import Any

import yaml

from fmaudit.report.escape import visible

LIMIT = 400
_SPACE = re.compile(r"\s+")
# What Markdown, HTML or a mention could make of a plain scalar.
_RISKY = re.compile(r"[<>&!\[\]*`~@|$\\\"#]|://|(?i:www\.|javascript:|mailto:)|^[-=_ ]+$")
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ,-/")


class Address(str):
    """An address that was checked and is written as it is."""

    __slots__ = ()


def line(text: object, limit: int = LIMIT) -> str:
    """One visible line of at most ``limit`` characters; what was cut is counted."""
    source = str(text)
    # Cut first as well: an escape of a million characters would cost more than it shows.
    shown = _SPACE.sub(" ", visible(source[: 4 * limit])).strip()
    if len(source) <= 4 * limit and len(shown) <= limit:
        return shown
    return f"{shown[:limit]}… (cut, {len(source):,} characters)"


def dump(value: Any) -> str:
    """Plain data as block YAML in the given order; strings that could be markup are written as escapes.

    Loading it gives back the same strings.
    """
    return yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=float("inf"),
    )


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless)

    def write_double_quoted(self, text: str, split: bool = True) -> None:
        self.write_indicator(f'"{"".join(_escaped(char) for char in text)}"', True)


def _escaped(char: str) -> str:
    if char in _SAFE:
        return char
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _RISKY.search(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _address(dumper: yaml.SafeDumper, text: Address) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text))


_Dumper.add_representer(str, _text)
_Dumper.add_representer(Address, _address)
