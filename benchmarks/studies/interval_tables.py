"""The tables of the coverage study as a page."""

from __future__ import annotations

import math

from benchmarks.studies.anytime_coverage import CLUSTERS, Sequence
from benchmarks.studies.interval_coverage import SEED, STRICT, Cell

INTRODUCTION = f"""# Coverage of the intervals

Written by `python -m benchmarks.studies.interval_coverage docs/studies/interval_coverage.md` (seed
{SEED}). Nominal level .95. Truth is known: binomial rows, beta-binomial clusters with log-normal sizes,
crossed random effects on the probit scale. Every interval comes from `fmaudit.statistics.rate` or
`rate_change`.

- `effective`: independent rows, or Kish-effective clusters of the true design (of the smaller crossed
  factor).
- `± MC`: Monte Carlo standard error of the coverage; independent rows are summed exactly over all event
  counts.
- `too low`, `too high`: share of intervals that lie below, above the truth.
- `refused`: share of data sets whose interval may carry no verdict. The rule uses only what is
  observed: fewer than 30 effective clusters.
- Bounds that the tests hold: coverage at least .92 in every cell with 30 or more effective clusters or
  rows; at most .975 on independent rows with n p of at least 10; refused at most .05 with n p of at
  least 10 and 30 or more effective clusters; coverage at least {STRICT} within three Monte Carlo errors
  where few clusters changed and many intervals hold together.

Rare events in few clusters need care: the variance between clusters is then itself known badly, and a
plain Korn-Graubard interval with one degree of freedom less than clusters covered .89 to .91 (100
clusters, ICC .3, rate .01). Its degrees of freedom are therefore estimated from how unevenly the
clusters share in the variance (Satterthwaite 1946; Valliant and Rust 2010, Journal of Official
Statistics 26). A paired change takes the same way, with Tango's interval, where they fall below 30; the
cluster bootstrap alone covered .89 to .91 there. At the levels of many intervals that hold together the
tail of Tango's score is too wide (none of 38,000 intervals missed at .998), and Gaffke's limits of the
clusters' changes end it: without any change in 240 clusters, at one-sided .0004, .032 instead of .046.
"""

SEQUENCES = f"""
## Looking after every cluster

Share of runs that miss the truth at any of {CLUSTERS} looks, one after every cluster (sizes 1 to 20,
unequal). Clusters are drawn independently of each other. `sorted`: the rows of a cluster follow each
other; `shuffled`: rows of all clusters are mixed, and clusters enter the bet in a seeded order once
they are complete. No method holds where clusters themselves come sorted by their outcome; runs take
them in a seeded random order. The change is cluster-weighted; its evidence misses where it ever reaches
20 although the margin is the truth.

| setting | rows | method | ever missed | ± MC | width at the end | runs |
|---|---|---|---|---|---|---|
"""


def page(cells: list[Cell], sequences: list[Sequence]) -> str:
    """The whole page."""
    parts = [INTRODUCTION, _extremes(cells)]
    titles = {
        "independent": "Independent rows",
        "clustered": "Clustered rows",
        "crossed": "Crossed factors",
        "change": "Paired change",
        "few": f"Paired change of few clusters, at level {STRICT}",
    }
    for kind, title in titles.items():
        rows = "\n".join(line(cell) for cell in cells if cell.kind == kind)
        head = "| design | p | n | effective | coverage | ± MC | too low | too high | refused | data sets |"
        parts.append(f"\n## {title}\n\n{head}\n|{'---|' * 10}\n{rows}\n")
    looks = "\n".join(_look(found) for found in sequences)
    return "".join(parts) + SEQUENCES + looks + "\n"


def line(cell: Cell) -> str:
    """One row of a table."""
    shares = " | ".join(f"{x:.4f}" for x in (cell.coverage, cell.error, cell.too_low, cell.too_high))
    count = cell.data_sets or "exact"
    place = f"{cell.design} | {cell.p:g} | {cell.n} | {cell.effective:.1f}"
    return f"| {place} | {shares} | {cell.refused:.3f} | {count} |"


def _extremes(cells: list[Cell]) -> str:
    rows = []
    for kind in ("independent", "clustered", "crossed", "change"):
        chosen = [c.coverage for c in cells if c.kind == kind and c.enough]
        common = [c for c in cells if c.kind == kind and c.enough and c.common]
        highest = max(c.coverage for c in common)
        refused = max(c.refused for c in common)
        rows.append(f"| {kind} | {len(chosen)} | {min(chosen):.4f} | {highest:.4f} | {refused:.3f} |")
    head = (
        "| cells with 30 or more effective | number | lowest | highest, n p >= 10 | most refused, n p >= 10 |"
    )
    return f"\n{head}\n|---|---|---|---|---|\n" + "\n".join(rows) + "\n"


def _look(found: Sequence) -> str:
    width = "" if math.isnan(found.width) else f"{found.width:.3f}"
    shares = f"{found.ever:.3f} | {found.error:.3f} | {width} | {found.runs}"
    return f"| {found.setting} | {found.order} | {found.method} | {shares} |"
