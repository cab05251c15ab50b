"""Two audits side by side, their changes corrected in the families that were declared for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fmaudit.analysis.declared import HEADLINE
from fmaudit.analysis.release_cells import Releases, contrast_cells, number_cells, questions
from fmaudit.analysis.release_claims import corrected, declared_changes
from fmaudit.analysis.release_records import ReleaseCell, ReleaseComparison, ReleaseModel
from fmaudit.analysis.release_subjects import match_subjects
from fmaudit.analysis.release_verdicts import release_verdicts
from fmaudit.analysis.releases import ReleaseRows
from fmaudit.errors import UsageError

LEVEL = 0.95


def compare_releases(
    older: ReleaseRows,
    newer: ReleaseRows,
    named: Mapping[str, str] | None = None,
    *,
    by_slice: bool = False,
    headline: bool = False,
    level: float = LEVEL,
) -> ReleaseComparison:
    """Hold two audits against each other, number by number, on the same items.

    Of models whose digest changed, headline numbers are one family (Holm), the others one family a probe and
    model (Benjamini and Hochberg). What is displayed changes neither: slices are computed in any case.

    Args:
        older: The earlier audit.
        newer: The later audit.
        named: Ids of models of the earlier audit with those of the later; the others are matched.
        by_slice: Display also the numbers and verdicts of slices.
        headline: Compute headline numbers and contrasts alone; their p-values are the same.
        level: Confidence level of each interval and of the corrections.

    Raises:
        UsageError: No model of one audit has a counterpart, or ``named`` names one that is not there.
    """
    matching = match_subjects(older.audit.subjects, newer.audit.subjects, named)
    if not matching.pairs:
        raise UsageError(
            "no model of one audit has a counterpart in the other: name a pair with --subject EARLIER=LATER"
        )
    models, declared = [], []
    for old, new in matching.pairs:
        pair = Releases(older, newer, old, new)
        claims = declared_changes(pair)
        declared.append({asked: name for asked, name in claims.items() if name == HEADLINE or not headline})
        models.append(_model(pair, headline, by_slice, level))
        older.forget()
        newer.forget()
    adjusted, families = corrected(models, declared, level)
    return ReleaseComparison(
        older.digest,
        newer.digest,
        tuple(adjusted if by_slice else map(_without_slices, adjusted)),
        matching.only_earlier,
        matching.only_later,
        tuple(families),
        level,
    )


def _without_slices(model: ReleaseModel) -> ReleaseModel:
    return replace(model, cells=tuple(cell for cell in model.cells if not cell.slice))


def _model(found: Releases, headline: bool, by_slice: bool, level: float) -> ReleaseModel:
    both, one_sided = questions(found)
    cells: list[ReleaseCell] = []
    for key in both:
        cells += number_cells(found, key, headline=headline, level=level)
        cells += contrast_cells(found, key, headline=headline, level=level)
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
