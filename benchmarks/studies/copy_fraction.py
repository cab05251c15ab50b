"""Copy fraction and retention against known truth; writes the table of docs/studies/copy_fraction.md.

python -m benchmarks.studies.copy_fraction --out docs/studies/copy_fraction.md
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.studies import common_draws
from benchmarks.studies.copy_cell import Cell, percent
from fmaudit.inheritance import carries_inheritance, copy_fraction, match_rate, retention

ITEMS, IN_CLUSTER = 1000, 4
CLUSTERS = np.arange(ITEMS) // IN_CLUSTER
MEAN, SD, SHARED = -0.5, 1.5, 0.3
RHOS, SPREADS, LINEAGES = (0.0, 0.3, 0.6, 0.9), (0.0, 0.1, 0.2), (3, 5, 8, 12)
DRAWS = 300
SEED = 20240


def expit(x):
    return 1 / (1 + np.exp(-x))


def _population_slopes():
    """Slope on the base of a model of the same difficulty, and of one of mirrored difficulty."""
    x, w = np.polynomial.hermite_e.hermegauss(81)
    w = w / w.sum()
    p, mirrored = expit(MEAN + SD * x), expit(MEAN - SD * x)
    rate = w @ p
    scale = rate * (1 - rate)
    return (w @ (p * p) - rate**2) / scale, (w @ (p * mirrored) - rate**2) / scale


SAME, MIRRORED = _population_slopes()


@dataclass(frozen=True)
class World:
    """Items with shared difficulty, and the base's outcomes on them."""

    difficulty: np.ndarray
    base: np.ndarray

    @classmethod
    def drawn(cls, rng):
        shared = rng.normal(size=ITEMS // IN_CLUSTER)[CLUSTERS]
        difficulty = SD * (SHARED**0.5 * shared + (1 - SHARED) ** 0.5 * rng.normal(size=ITEMS))
        return cls(difficulty, (rng.random(ITEMS) < expit(MEAN + difficulty)).astype(float))

    def unrelated(self, rng, target):
        """Outcomes of a lineage whose population slope on the base is ``target``."""
        low = 0.0 if target >= SAME else min(1.0, (SAME - target) / (SAME - MIRRORED))
        high = min(1.0, max(0.0, (target - SAME) / (1 - SAME)))
        sign = np.where(rng.random(ITEMS) < low, -1.0, 1.0)
        own = (rng.random(ITEMS) < expit(MEAN + sign * self.difficulty)).astype(float)
        return np.where(rng.random(ITEMS) < high, self.base, own)

    def child(self, rng, rho, target):
        """A copy of the base with probability rho, varying by cluster, else an unrelated lineage."""
        share = rng.beta(4 * rho, 4 * (1 - rho), ITEMS // IN_CLUSTER)[CLUSTERS] if 0 < rho < 1 else rho
        return np.where(rng.random(ITEMS) < share, self.base, self.unrelated(rng, target))


def one(rng, rho, spread, lineages, seed):
    """Copy fraction of one simulated child; its own unrelated part varies as the references do."""
    targets = SAME + spread * rng.normal(size=lineages + 1)
    world = World.drawn(rng)
    references = {f"r{k}": world.unrelated(rng, t) for k, t in enumerate(targets[1:])}
    child = world.child(rng, rho, targets[0])
    return copy_fraction(world.base, child, references, clusters=CLUSTERS, seed=seed, draws=DRAWS)


def cell(rho, spread, lineages, runs):
    values, covered, inherited, undefined = [], [], [], 0
    for run in range(runs):
        rng = np.random.default_rng([SEED, round(100 * rho), round(100 * spread), lineages, run])
        found = one(rng, rho, spread, lineages, run)
        inherited.append(carries_inheritance(found))
        if found.value is None:
            undefined += 1
            continue
        values.append(found.value)
        covered.append(found.conditional[0] <= rho <= found.conditional[1])
    return Cell(np.array(values), np.array(covered), np.array(inherited), undefined)


PROMPTS = 4000


def sampled(k, runs, draws=200):
    """A child that is the base itself, sampled again; outcome "any of k" with rare events."""
    with_retest, without, own, undefined = [], [], [], 0
    for run in range(runs):
        rng = np.random.default_rng([SEED, 7, k, run])
        shared, drawn = rng.normal(size=PROMPTS), rng.normal(size=(4, PROMPTS))
        chance = expit(-8.5 + 3.5 * (0.5**0.5 * shared + 0.5**0.5 * drawn))
        any_of_k = 1 - (1 - chance) ** k
        base, again, child = (rng.random((3, PROMPTS)) < any_of_k[0]).astype(float)
        references = {f"r{j}": (rng.random(PROMPTS) < any_of_k[j]).astype(float) for j in (1, 2, 3)}
        found = copy_fraction(base, child, references, again, seed=run, draws=draws)
        naive = copy_fraction(base, child, references, seed=run, draws=draws)
        without.append(naive.value)
        if found.value is None:
            undefined += 1
            continue
        with_retest.append(found.value)
        own.append(found.slope_self)
    naive = np.array([v for v in without if v is not None])
    return np.array(with_retest), naive, float(np.mean(own)), undefined


KINDS = ("keeps every base defect", "unrelated, worse by severity", "unrelated, worse at random")


def kept(kind, bad, runs, draws=300):
    """Retention of a child with ``bad`` of its clean items gone bad: matched, unmatched, covered."""
    values, unmatched, covered = [], [], []
    for run in range(runs):
        rng = np.random.default_rng([SEED, 11, KINDS.index(kind), round(100 * bad), run])
        shared = rng.normal(size=ITEMS // IN_CLUSTER)[CLUSTERS]
        difficulty = MEAN + SD * (SHARED**0.5 * shared + (1 - SHARED) ** 0.5 * rng.normal(size=ITEMS))
        severity = difficulty + rng.logistic(size=(5, ITEMS))
        base, own, *others = (severity > 0).astype(float)
        start = base if kind == KINDS[0] else own
        if kind == KINDS[1]:
            rate = own.mean()
            child = (match_rate(severity[1], rate + bad * (1 - rate)) > 0.5).astype(float)
        else:
            child = np.maximum(start, rng.random(ITEMS) < bad)
        names = ("x", "y", "z")
        references = dict(zip(names, others, strict=True))
        cut = dict(zip(names, severity[2:], strict=True))
        found = retention(base, child, references, cut, CLUSTERS, seed=run, draws=draws)
        truth = 1.0 if kind == KINDS[0] else 0.0
        values.append(found.value)
        covered.append(found.lower - 1e-12 <= truth <= found.upper + 1e-12)
        plain = np.mean([_loevinger(base, y) for y in others])
        unmatched.append((_loevinger(base, child) - plain) / (1 - plain))
    return np.array(values), np.array(unmatched), np.array(covered)


def _loevinger(a, b):
    p, q = a.mean(), b.mean()
    return ((a * b).mean() - p * q) / (min(p, q) - p * q)


def recovery_table(cells, spread=0.0):
    lines = [
        "| R | true | mean | ± | mean error | conditional coverage, % | runs | undefined |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (rho, sd, count), c in sorted(cells.items(), key=lambda pair: (pair[0][2], pair[0][0])):
        if sd == spread:
            share = percent(c.covered.mean(), len(c.covered))
            body = f"{c.mean:.3f} | {c.error:.4f} | {c.mean - rho:+.3f} | {share}"
            lines.append(f"| {count} | {rho:g} | {body} | {len(c.inherited)} | {c.undefined} |")
    return lines


def word_table(cells):
    lines = [
        "| sd | R | true 0, % | upper limit, % | runs | power at .3, % | at .6, % | at .9, % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for sd in SPREADS:
        for count in LINEAGES:
            null = cells[0.0, sd, count]
            power = [cells[rho, sd, count] for rho in RHOS[1:]]
            shown = " | ".join(percent(c.share_inherited, len(c.inherited)) for c in power)
            runs = len(null.inherited)
            alarm = f"{percent(null.share_inherited, runs)} | {100 * null.upper:.1f} | {runs}"
            lines.append(f"| {sd:g} | {count} | {alarm} | {shown} |")
    return lines


def sampled_table(runs):
    lines = [
        "| k | s_self | with retest | ± | without retest | ± | runs | undefined |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for k in (1, 5, 25):
        value, naive, own, undefined = sampled(k, runs)
        body = f"{own:.2f} | {value.mean():.3f} | {value.std() / len(value) ** 0.5:.3f} | {naive.mean():.3f}"
        lines.append(f"| {k} | {body} | {naive.std() / len(naive) ** 0.5:.3f} | {runs} | {undefined} |")
    return lines


def kept_table(runs):
    lines = [
        "| child | clean items gone bad, % | retention | ± | coverage, % | without matching | runs |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        for bad in (0.2, 0.5, 0.8):
            value, plain, covered = kept(kind, bad, runs)
            body = f"{value.mean():.3f} | {value.std() / runs**0.5:.3f} | {percent(covered.mean(), runs)}"
            lines.append(f"| {kind} | {100 * bad:g} | {body} | {plain.mean():.3f} | {runs} |")
    return lines


def grid(null_runs, power_runs, cover_runs):
    cells = {}
    for spread in SPREADS:
        for count in LINEAGES:
            for rho in RHOS:
                runs = null_runs if rho == 0 else power_runs
                if spread == 0:
                    runs = max(runs, cover_runs)
                cells[rho, spread, count] = cell(rho, spread, count, runs)
    return cells


def report(null_runs=2000, power_runs=400, cover_runs=2000, other_runs=400, coupled_runs=2000, audits=60):
    """The whole study as Markdown."""
    cells = grid(null_runs, power_runs, cover_runs)
    text = f"""# Study: copy fraction and retention against known truth

Written by `benchmarks/studies/copy_fraction.py` (seed {SEED}, {DRAWS} bootstrap draws a run); run it again
with `python -m benchmarks.studies.copy_fraction --out docs/studies/copy_fraction.md`. ± is one Monte Carlo
standard error.

**Model.** {ITEMS} items in {ITEMS // IN_CLUSTER} clusters of {IN_CLUSTER}; difficulty has sd {SD} logit,
{100 * SHARED:.0f} % of its variance between clusters, and is shared by all models. The child repeats the
base's outcome with probability rho (varying between clusters), else it answers as one more unrelated
lineage. Population slopes of unrelated lineages are {SAME:.3f} plus a normal deviation of the given sd; at
every rho the child's unrelated part has such a deviation too.

## Recovery and the conditional interval (95 %)
Reference slopes equal (sd 0): the truth is rho.

{chr(10).join(recovery_table(cells))}

## The word "inherited": lower limit of the 95 % verdict interval above 0
The share at true 0 is the false-alarm rate; its upper limit is that of the two-sided 95 % Clopper-Pearson
interval. The rule needs at least 3 lineages.

{chr(10).join(word_table(cells))}

## A child that is the base itself, sampled again
{PROMPTS} prompts with rare events, a prompt fails when any of k samples does; three references whose
chances share half of their variance with the base's. The right answer is 1. Without a retest of the base in
the denominator the same child looks like a partial copy.

{chr(10).join(sampled_table(other_runs))}

{common_draws.report(coupled_runs, audits)}

## Retention
The right answer is 1 for the first child and 0 for the others. "Worse by severity": the child's threshold is
lowered until the given share of its clean items fails. "Worse at random": clean items fail whatever their
severity; references cut on severity then share more with the base than this child can, and retention falls
below 0: an error on the safe side, for it never says that a defect was kept.

{chr(10).join(kept_table(other_runs))}
"""
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--null-runs", type=int, default=2000)
    parser.add_argument("--power-runs", type=int, default=400)
    parser.add_argument("--cover-runs", type=int, default=2000)
    parser.add_argument("--other-runs", type=int, default=400)
    parser.add_argument("--coupled-runs", type=int, default=2000)
    parser.add_argument("--audits", type=int, default=60)
    options = parser.parse_args()
    start = time.monotonic()
    runs = (options.null_runs, options.power_runs, options.cover_runs, options.other_runs)
    text = report(*runs, options.coupled_runs, options.audits)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text, encoding="utf-8")
    else:
        print(text)
    print(f"{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
