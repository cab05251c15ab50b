"""Text of models, files and hubs made inert for each kind of output. Escaping is not redaction."""

from __future__ import annotations

import re
import unicodedata

from markupsafe import Markup

# Format characters reorder or hide text; the others break lines or cannot be encoded.
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_SPACE = re.compile(r"\s+")
_MARKDOWN_SPECIAL = re.compile(r"([\\`*_\[\]~#$|!])")
_MARKDOWN_LINE_START = re.compile(r"^(\d*)((?<=\d)[.)](?=\s|$)|\+(?=\s|$)|-(?=[\s-]|$)|=)")
_AUTOLINK = re.compile(r"(?i)\b(www)\.|(:)(?=//)|\b(mailto|xmpp|javascript|data)(:)")
_FULLWIDTH_AT = "\uff20"
_FORMULA_START = ("=", "+", "-", "@", "\t", "\r", "\n")


def visible(text: object, *, keep_lines: bool = False) -> str:
    """Replace control, bidirectional, zero-width and unpaired characters by visible escapes.

    ``keep_lines`` keeps line feeds and tabs; otherwise the result is one line.
    """
    if str(text).isprintable():
        return str(text)
    kept = "\n\t" if keep_lines else ""
    source = str(text).replace("\r\n", "\n") if keep_lines else str(text)
    return "".join(char if char in kept or not _hidden(char) else _escape(char) for char in source)


def markdown(text: object) -> Markup:
    """One line of text that Markdown shows as it is: no markup, HTML, link or mention."""
    line = _SPACE.sub(" ", visible(text)).strip()
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = _MARKDOWN_SPECIAL.sub(r"\\\1", line)
    line = _MARKDOWN_LINE_START.sub(r"\1\\\2", line)
    line = _AUTOLINK.sub(_break_link, line)
    return Markup(line.replace("@", _FULLWIDTH_AT))


def markdown_code(text: object) -> Markup:
    """One line of text as a code span, safe inside a table cell."""
    line = _SPACE.sub(" ", visible(text)).strip() or " "
    fence = "`" * (_longest_run(line, "`") + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return Markup(f"{fence}{pad}{line}{pad}{fence}".replace("|", "\\|"))


def markdown_block(text: object) -> Markup:
    """Text as a fenced block whose fence its content cannot close."""
    body = visible(text, keep_lines=True)
    fence = "`" * max(3, _longest_run(body, "`") + 1)
    return Markup(f"{fence}text\n{body}\n{fence}")


def terminal(text: object) -> str:
    """One line of text that cannot move the cursor, colour the screen or hide itself."""
    return _SPACE.sub(" ", visible(text)).strip()


def csv_cell(text: object) -> str:
    """A cell that a spreadsheet shows instead of running."""
    cell = str(text)
    return "'" + cell if cell.lstrip(" ").startswith(_FORMULA_START) else cell


def redacted(text: object) -> str:
    """What stands in for generated text by default."""
    count = len(str(text))
    return f"[redacted, {count} character{'' if count == 1 else 's'}]"


def _hidden(char: str) -> bool:
    return unicodedata.category(char) in _HIDDEN_CATEGORIES


def _escape(char: str) -> str:
    code = ord(char)
    if char in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[char]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _break_link(match: re.Match[str]) -> str:
    if match.group(1):
        return f"{match.group(1)}&#46;"
    return f"{match.group(3) or ''}&#58;"


def _longest_run(text: str, char: str) -> int:
    return max((len(run) for run in re.findall(re.escape(char) + "+", text)), default=0)
