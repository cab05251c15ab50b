"""Lineage, inheritance matrix and homogenization as plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fmaudit.report.homogeneity import HomogenizationView
from fmaudit.report.lineage import LineageNode, LineageView
from fmaudit.report.matrix import Cell, MatrixView
from fmaudit.report.numbers import NumberView
from fmaudit.report.plain_table import plain_table, wrapped
from fmaudit.report.view import ReportView, report_view
from fmaudit.schema import Audit

MIN_WIDTH = 60


def render_pedigree(audit: Audit, width: int = 100) -> str:
    """Lineage tree, matrix, legend and homogenization, at most ``width`` columns wide."""
    width = max(MIN_WIDTH, width)
    view = report_view(audit)
    lines = [wrapped(f"Inheritance: {view.title}", width), *pedigree_lines(view, width)]
    if view.matrix is None:
        lines += [
            "",
            wrapped("Nothing is compared: no headline rate was measured in an adapted model.", width),
        ]
    else:
        lines += ["", "WORDS"]
        lines += [
            wrapped(f"{entry.symbol} {entry.word}: {entry.meaning}", width, "    ")
            for entry in view.matrix.legend
        ]
        lines += [wrapped(f"- {note}", width, "  ") for note in view.matrix.notes]
    if view.pairs_note:
        lines += ["", wrapped(view.pairs_note, width)]
    lines += ["", wrapped(f"audit {view.digest}", width)]
    return "\n".join(lines).rstrip() + "\n"


def pedigree_lines(view: ReportView, width: int) -> list[str]:
    """The blocks that the terminal summary shares with ``fmaudit compare``."""
    tree: list[str] = []
    lines: list[str] = []
    if view.lineage is not None:
        tree = ["", "LINEAGE (declared, then verified, refuted or unknown)", *_lineage(view.lineage, width)]
    if view.matrix is not None:
        lines = ["", "INHERITANCE (defect by adapted model)", *_matrix(view.matrix, width)]
    lines = [*lines, *tree] if view.pedigree_first else [*tree, *lines]
    if view.homogenization:
        lines += ["", "FAILING TOGETHER (1 = as if models failed independently)"]
        for found in view.homogenization:
            lines += _homogenization(found, width)
    return lines


def _lineage(view: LineageView, width: int) -> list[str]:
    lines = [line for root in view.roots for line in _tree(root, "", "", width)]
    if view.strays:
        lines.append(wrapped("Declared from a model that is not in this run:", width))
        lines += [line for stray in view.strays for line in _tree(stray, "", "", width)]
    if view.controls:
        lines.append("Unrelated controls:")
    for control in view.controls:
        group = f", lineage {control.group}" if control.group else ""
        evidence = f" ({control.evidence})" if control.evidence else ""
        kin = f"kinship with the base {control.state}{group}"
        text = f"{control.symbol} {control.label}: {kin}; {control.usable}{evidence}"
        lines.append(wrapped(text, width, "    ", first="  "))
    return lines


def _tree(node: LineageNode, first: str, rest: str, width: int) -> Iterator[str]:
    # Deep families stay readable: the branch never takes more than half of the line.
    first, rest = first[-(width // 2) :], rest[-(width // 2) :]
    recipe = f" [{node.recipe}]" if node.recipe else ""
    name = "" if node.name in node.label else f" {node.name}"
    yield wrapped(f"{node.label}{name}{recipe}", width, rest, first=first)
    below = rest + ("│  " if node.children else "   ")
    for said in (*node.brought, *node.kept):
        text = f"{said.symbol} {said.word}: {'; '.join(said.defects)}"
        yield wrapped(text, width, below + "  ", first=below)
    if node.step_note:
        yield wrapped(node.step_note, width, below + "  ", first=below)
    for edge in node.edges:
        evidence = f": {edge.evidence}" if edge.evidence else ""
        yield wrapped(
            f"{edge.symbol} from {edge.parent} {edge.state}{evidence}", width, below + "  ", first=below
        )
    for place, child in enumerate(node.children, 1):
        last = place == len(node.children)
        yield from _tree(child, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "), width)


def _matrix(view: MatrixView, width: int) -> list[str]:
    words = [(f"{row.title} ({row.question})", *(_word(cell) for cell in row.cells)) for row in view.rows]
    lines = [plain_table(("Defect", *view.columns), words, width)]
    for row in view.rows:
        lines.append(wrapped(f"{row.title} ({row.probe}, {row.question})", width))
        for label, cell in zip(view.columns, row.cells, strict=True):
            if cell is not None:
                lines.append(wrapped(_said(label, cell), width, "    ", first="  "))
    return lines


def _said(label: str, cell: Cell) -> str:
    parts = [f"{cell.base_value} → {cell.adapted_value}, {_change(cell.number)}"]
    if cell.copy:
        parts.append(f"copy fraction {cell.copy} (verdict interval {cell.copy_verdict or 'none'})")
    if cell.items_needed:
        parts.append(f"{cell.items_needed} items needed")
    return f"{_word(cell)}, {label}: {'; '.join(parts)}"


def _word(cell: Cell | None) -> str:
    if cell is None:
        return "not asked"
    return f"{cell.symbol} {cell.word}" + (f" ({', '.join(cell.flags)})" if cell.flags else "")


def _change(number: NumberView) -> str:
    if not number.has_value:
        return f"{number.status}: {number.reason or 'no reason recorded'}"
    if number.simultaneous:
        return f"{number.value} (simultaneous {number.simultaneous}; plain {number.plain_interval or 'none'})"
    return f"{number.value} ({number.plain_interval or 'no interval'})"


def _homogenization(found: HomogenizationView, width: int) -> list[str]:
    rows: Sequence[tuple[str, str]] = [
        ("observed, expected", f"{found.observed}, {found.expected} of {found.n} items"),
        ("ratio", found.ratio),
        ("ratio of the unrelated", found.control_ratio),
        ("family effect", found.family_effect),
        *found.group_forms,
    ]
    lines = [wrapped(f"{found.title} ({found.question}): {found.subjects}", width)]
    if found.reason:
        lines.append(wrapped(found.reason, width, "  ", first="  "))
    return [*lines, plain_table(("Figure", "Value"), rows, width)]
