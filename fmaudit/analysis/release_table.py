"""Two audits side by side, with the p-values of all changes adjusted together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fmaudit import statistics
from fmaudit.analysis.release_cells import Releases, contrast_cells, number_cells, questions
from fmaudit.analysis.release_records import ReleaseCell, ReleaseComparison, ReleaseModel
from fmaudit.analysis.release_subjects import match_subjects
from fmaudit.analysis.release_verdicts import release_verdicts
from fmaudit.analysis.releases import ReleaseRows
from fmaudit.errors import UsageError
from fmaudit.schema import Numbers

LEVEL = 0.95


def compare_releases(
    older: ReleaseRows,
    newer: ReleaseRows,
    named: Mapping[str, str] | None = None,
    *,
    by_slice: bool = False,
    level: float = LEVEL,
) -> ReleaseComparison:
    """Hold two audits against each other, number by number, on the same items.

    P-values are adjusted by Benjamini and Hochberg over all changes of models whose digest changed.

    Args:
        older: The earlier audit.
        newer: The later audit.
        named: Ids of models of the earlier audit with those of the later; the others are matched.
        by_slice: Also the numbers and verdicts of slices.
        level: Confidence level of each interval; false discoveries are held to ``1 - level``.

    Raises:
        UsageError: No model of one audit has a counterpart, or ``named`` names one that is not there.
    """
    matching = match_subjects(older.audit.subjects, newer.audit.subjects, named)
    if not matching.pairs:
        raise UsageError(
            "no model of one audit has a counterpart in the other: name a pair with --subject EARLIER=LATER"
        )
    models = []
    for old, new in matching.pairs:
        models.append(_model(Releases(older, newer, old, new), by_slice, level))
        older.forget()
        newer.forget()
    adjusted, tests = _adjusted(models)
    return ReleaseComparison(
        older.digest,
        newer.digest,
        tuple(adjusted),
        matching.only_earlier,
        matching.only_later,
        tests,
        level,
    )


def _model(found: Releases, by_slice: bool, level: float) -> ReleaseModel:
    both, one_sided = questions(found)
    cells: list[ReleaseCell] = []
    for key in both:
        cells += number_cells(found, key, by_slice=by_slice, level=level)
        cells += contrast_cells(found, key, level=level)
    verdicts = list(release_verdicts(found, by_slice=by_slice))
    return ReleaseModel(
        older=found.old,
        newer=found.new,
        same=bool(found.old.digest) and found.old.digest == found.new.digest,
        cells=tuple(cells),
        verdicts=tuple(one for one in verdicts if one.older != one.newer),
        kept_verdicts=sum(one.older == one.newer for one in verdicts),
        one_sided=tuple(one_sided),
    )


def _adjusted(models: list[ReleaseModel]) -> tuple[list[ReleaseModel], int]:
    """The models with Benjamini-Hochberg's p-values, and how many changes were adjusted together."""
    tested = [
        cell.change.p for model in models if not model.same for cell in model.cells if cell.change is not None
    ]
    adjusted = iter(statistics.benjamini_hochberg(tested).tolist())
    found = []
    for model in models:
        if not model.same:
            cells = [
                cell if cell.change is None else replace(cell, change=_with_p(cell.change, next(adjusted)))
                for cell in model.cells
            ]
            model = replace(model, cells=tuple(cells))
        found.append(model)
    return found, len(tested)


def _with_p(change: Numbers, adjusted: float) -> Numbers:
    return change if change.p is None else change.model_copy(update={"p_adjusted": adjusted})
