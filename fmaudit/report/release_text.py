"""Two releases side by side as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from fmaudit.analysis.families import BESIDE
from fmaudit.analysis.release_flips import Flips
from fmaudit.analysis.release_records import ReleaseCell, ReleaseComparison, ReleaseModel
from fmaudit.report.index import levels_text, short_digest
from fmaudit.report.numbers import NumberView, number_view, p_text, scale_of
from fmaudit.report.pedigree_text import MIN_WIDTH
from fmaudit.report.plain_table import wrapped
from fmaudit.schema import Numbers, Subject

_INDENT = "    "


def render_releases(found: ReleaseComparison, width: int = 100, *, list_flips: bool = False) -> str:
    """Every model's numbers, flips and verdicts, at most ``width`` columns wide.

    ``list_flips`` names the items that flipped; no text of an item or a model is ever printed.
    """
    width = max(MIN_WIDTH, width)
    lines = [
        wrapped(
            f"Two releases: audit {short_digest(found.older)} (earlier), audit "
            f"{short_digest(found.newer)} (later)",
            width,
        )
    ]
    for model in found.models:
        lines += _model(model, width, list_flips)
    for word, subjects in (("earlier", found.only_earlier), ("later", found.only_later)):
        for subject in subjects:
            said = f"{_name(subject)}: only in the {word} audit; --subject EARLIER=LATER names a counterpart"
            lines += ["", wrapped(said, width)]
    lines += ["", wrapped(_many(found), width)]
    return "\n".join(lines).rstrip() + "\n"


def _many(found: ReleaseComparison) -> str:
    level, alpha = f"{found.level * 100:g} %", 1 - found.level
    families = "; ".join(f"{family.name} ({family.size:,})" for family in found.families) or "none here"
    changes = f"{found.tests:,} change{'' if found.tests == 1 else 's'}"
    return (
        f"{changes} {'was' if found.tests == 1 else 'were'} tested, of models not known to be the same. Each "
        f"interval holds alone at {level}. Headline numbers are one family, corrected by Holm; slices and "
        "other numbers are one family a probe and model, corrected by Benjamini and Hochberg, whether they "
        f"are displayed or not: {families}. A change is read as shown where its corrected p lies below "
        f"{alpha:g}, beside the headline below {BESIDE * alpha:g}, and its own interval, with missing "
        "answers counted both ways, leaves 0 out too."
    )


def _model(model: ReleaseModel, width: int, list_flips: bool) -> list[str]:
    names = _name(model.older)
    if (model.older.id, model.older.name) != (model.newer.id, model.newer.name):
        names = f"{names} → {_name(model.newer)}"
    known = [short_digest(one.digest) or "not known" for one in (model.older, model.newer)]
    same = f"the same model, digest {known[1]}" if model.same else f"digest {known[0]} → {known[1]}"
    lines = ["", wrapped(f"{model.newer.role.upper()} {names}: {same}", width, "  ")]
    still = model.same and all(cell.change is not None and not cell.change.value for cell in model.cells)
    if model.cells and still:
        lines.append(f"{len(model.cells):,} numbers compared on the same items: none changed.")
    for key in dict.fromkeys(cell.key for cell in model.cells if not still):
        lines += _question([cell for cell in model.cells if cell.key == key], width, list_flips)
    if not model.cells:
        lines.append("No question was measured in both audits.")
    lines += _verdicts(model, width)
    if model.one_sided:
        lines.append("MEASURED IN ONE AUDIT ONLY")
        lines += [
            wrapped(
                f"- {one.key}: only in the {one.measured_in} audit; in the other {one.reason}", width, "  "
            )
            for one in model.one_sided
        ]
    return lines


def _question(cells: Sequence[ReleaseCell], width: int, list_flips: bool) -> list[str]:
    key, protocol = cells[0].key, short_digest(cells[0].protocol)
    imported = "imported, not verified" if any(cell.imported for cell in cells) else ""
    notes = ", ".join(note for note in (f"protocol {protocol}" * bool(protocol), imported) if note)
    lines = [wrapped(f"{key} ({notes})" if notes else key, width)]
    compared = [cell for cell in cells if cell.change is not None]
    reasons = list(dict.fromkeys(_open_reason(cell) for cell in compared if _open_reason(cell)))
    for cell in compared:
        lines += _number(cell, reasons, width, list_flips)
    lines += [
        wrapped(f"[{place}] {reason}", width, "      ", first="  ") for place, reason in enumerate(reasons, 1)
    ]
    refused = [cell for cell in cells if cell.refusal is not None]
    for reason in dict.fromkeys(cell.refusal.text for cell in refused if cell.refusal is not None):
        lines.append(wrapped(f"not compared: {reason}", width, "  ", first="! "))
        own = [cell for cell in refused if cell.refusal is not None and cell.refusal.text == reason]
        for cell in own:
            lines.append(wrapped(f"{_title(cell)}: {_sides(cell)}", width, _INDENT, first="  "))
    return lines


def _number(cell: ReleaseCell, reasons: Sequence[str], width: int, list_flips: bool) -> list[str]:
    """A number in three lines; side by side in columns, three intervals would fold into ten."""
    assert cell.change is not None
    view = number_view(cell.change, scale_of(cell.info, difference=True), partial=False)
    reason = _open_reason(cell)
    mark = f" [{reasons.index(reason) + 1}]" if reason else ""
    coverage = view.coverage if view.complete else f"{view.coverage} (bounds {view.worst or 'none'})"
    basis = f"n {view.n}, coverage {coverage}"
    if cell.change.p_adjusted is not None:
        basis = f"adjusted {p_text(cell.change.p_adjusted)}, {basis}"
    items = "" if cell.flips is None else f"; items: {_counts(cell.flips)}"
    lines = [
        wrapped(f"{cell.reading}{mark}: {_title(cell)}", width, _INDENT, first="  "),
        wrapped(f"{_sides(cell)}, change {_shown(view)}", width, _INDENT, first=_INDENT),
        wrapped(f"{basis}{items}", width, _INDENT, first=_INDENT),
    ]
    if cell.flips is not None and list_flips:
        for word, ids in zip(cell.flips.words, (cell.flips.up, cell.flips.down), strict=True):
            if ids:
                lines.append(wrapped(f"{word}: {', '.join(ids)}", width, _INDENT + "  ", first=_INDENT))
    return lines


def _open_reason(cell: ReleaseCell) -> str:
    """Why nothing can be concluded from a change."""
    if cell.change is None or cell.reading != "inconclusive":
        return ""
    return cell.change.reason or "it has no interval"


def _title(cell: ReleaseCell) -> str:
    return f"{cell.title} ({levels_text(cell.slice)})" if cell.slice else cell.title


def _sides(cell: ReleaseCell) -> str:
    return " → ".join(_own(cell, number) for number in (cell.older, cell.newer))


def _own(cell: ReleaseCell, number: Numbers | None) -> str:
    if number is None:
        return "not there"
    return _shown(number_view(number, scale_of(cell.info, difference=bool(cell.contrast)), partial=False))


def _shown(view: NumberView) -> str:
    if not view.has_value:
        return f"{view.status}: {view.reason or 'no reason recorded'}"
    return f"{view.value} ({view.plain_interval or 'no interval'})"


def _counts(found: Flips) -> str:
    up, down = found.words
    counts = f"{len(found.up):,} {up}, {len(found.down):,} {down}, {found.unchanged:,} unchanged"
    if found.unanswered:
        counts += f", {found.unanswered:,} without an answer in one audit"
    return counts if found.whole else f"{counts} (means of samples, which move by chance)"


def _verdicts(model: ReleaseModel, width: int) -> list[str]:
    if not model.verdicts and not model.kept_verdicts:
        return []
    kept = f"{model.kept_verdicts:,} unchanged"
    lines = [f"VERDICTS AGAINST THE BASE ({len(model.verdicts):,} changed, {kept})"]
    for found in model.verdicts:
        levels = f" ({levels_text(found.slice)})" if found.slice else ""
        note = f" ({found.note})" if found.note else ""
        said = f"- {found.title}{levels}, {found.key}: {found.older} → {found.newer}{note}"
        lines.append(wrapped(said, width, "  "))
    return lines


def _name(subject: Subject) -> str:
    return subject.id if subject.id == subject.name else f"{subject.id} ({subject.name})"
