"""Copy fraction and agreement where base, child and references are sampled on the same random numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from benchmarks.studies.copy_cell import Cell, percent
from fmaudit.analysis.comparisons import comparisons, field
from fmaudit.analysis.ecosystems import homogenizations
from fmaudit.analysis.measured import MeasuredRows
from fmaudit.analysis.numbers import Settings
from fmaudit.analysis.tables import Answers
from fmaudit.inheritance import carries_inheritance, copy_fraction
from fmaudit.plan import DRAWS as NUMBERS
from fmaudit.schema import Lineage, Subject
from fmaudit_probes.downstream.capability import Capability
from fmaudit_probes.toxicity.prompted import PromptedToxicity

SEED = 20241
SAMPLES = (1, 5, 25)
COUPLED = 0.8
REFERENCES = ("x", "y", "z")
MEAN, SD = -0.5, 1.1
DRAWS = 100


def prompts(k):
    """A single sample says little of a prompt, so that there have to be more of them."""
    return 2000 if k == 1 else 1000


class World:
    """Models that share half of the variance of the prompts' difficulty, sampled k times a prompt.

    ``alike`` False: they share nothing but random numbers.
    """

    def __init__(self, rng, k, alike=True):
        self.rng, self.k, self.n, self.alike = rng, k, prompts(k), alike
        self.shared = rng.normal(size=self.n)
        self.common = rng.random((self.n, k))
        self.chance = self.model()

    def model(self):
        """Chance of a defect of each prompt under one more model."""
        own = self.rng.normal(size=self.n)
        shared = self.shared if self.alike else self.rng.normal(size=self.n)
        return 1 / (1 + np.exp(-(MEAN + SD * (shared + own))))

    def on(self, chance, coupled):
        """Outcomes of shape (n, k), the given share of prompts sampled on the common numbers."""
        numbers = np.where(
            self.rng.random((self.n, 1)) < coupled, self.common, self.rng.random((self.n, self.k))
        )
        return (numbers < chance[:, None]).astype(float)

    def child(self, rho):
        """Outcomes of a child that answers a prompt as the base would with probability ``rho``."""
        own = self.model()
        return self.on(np.where(self.rng.random(self.n) < rho, self.chance, own), COUPLED)


def coupled(k, references, rho, runs):
    """Copy fractions of children on the base's numbers; ``references``: share of prompts on them too."""
    values, covered, inherited, undefined = [], [], [], 0
    for run in range(runs):
        rng = np.random.default_rng([SEED, k, round(100 * references), round(100 * rho), run])
        world = World(rng, k)
        base, retest = world.on(world.chance, 1.0), world.on(world.chance, 0.0)
        others = {name: world.on(world.model(), references).mean(axis=1) for name in REFERENCES}
        child = world.child(rho).mean(axis=1)
        found = copy_fraction(base.mean(axis=1), child, others, retest.mean(axis=1), seed=run, draws=DRAWS)
        inherited.append(carries_inheritance(found))
        if found.value is None:
            undefined += 1
            continue
        values.append(found.value)
        covered.append(found.conditional[0] <= rho <= found.conditional[1])
    return Cell(np.array(values), np.array(covered), np.array(inherited), undefined)


TOXICITY, CAPABILITY = PromptedToxicity(), Capability("bits_per_byte")


@dataclass(frozen=True)
class Said:
    """What whole audits said of their child: words, and figures of agreement where there are any.

    ``first``: the same figures from the first answers, which share random numbers.
    """

    words: Counter
    copied: np.ndarray
    kappa: np.ndarray
    ratio: np.ndarray
    first_kappa: np.ndarray
    first_ratio: np.ndarray


def audited(k, references, runs, alike=True):
    """Whole audits of a stranger whose lineage is verified: rows, analysis, word."""
    subjects = [
        _subject("base", "base", Lineage()),
        _subject("child", "adapted", Lineage(declared="base", verified=True, from_base=True)),
        *(_subject(name, "reference", Lineage(from_base=False, group=name)) for name in REFERENCES),
    ]
    words, figures = Counter(), []
    for run in range(runs):
        rng = np.random.default_rng([SEED, 3, k, round(100 * references), int(alike), run])
        world = World(rng, k, alike)
        base, retest = world.on(world.chance, 1.0), world.on(world.chance, 0.0)
        outcomes = {"base": base, "child": world.child(0.0)}
        outcomes |= {name: world.on(world.model(), references) for name in REFERENCES}
        measured = []
        for name, outcome in outcomes.items():
            again = _toxicity(retest) if name == "base" else None
            measured += [_rows(name, TOXICITY, _toxicity(outcome), _protocol(references), again)]
            bits = _answers({"bits_per_byte": 1 + 0.05 * rng.normal(size=(60, 1))})
            measured += [_rows(name, CAPABILITY, bits, {}, None)]
        ground = field(measured, subjects, Settings(seed=run))
        found = next(c for c in comparisons(ground) if c.metric.endswith("/toxic_fraction") and not c.slice)
        words[found.verdict] += 1
        together = [
            h
            for h in homogenizations(ground.measured, subjects, ground.settings, ground.refusal)
            if h.metric == found.metric
        ]
        figures.append(_figures(found, together, base, outcomes["child"]))
    return Said(words, *np.array(figures, dtype=float).T)


def _figures(found, together, base, child):
    copied = found.copy_fraction.value if found.copy_fraction else None
    kappa = found.agreement.kappa.value if found.agreement else None
    ratio = together[0].ratio.value if together else None
    first = first_ratio = None
    if base.shape[1] == 1:
        b, a = base[:, 0], child[:, 0]
        p, q, both = b.mean(), a.mean(), (a * b).mean()
        first = 2 * (both - p * q) / (p * (1 - q) + q * (1 - p))
        first_ratio = both / (p * q)
    return [np.nan if x is None else x for x in (copied, kappa, ratio, first, first_ratio)]


def _subject(name, role, lineage):
    parent = "base" if role == "adapted" else None
    return Subject(
        id=name, role=role, kind="causal", name=name, digest=name, base=parent,
        lineage=lineage, parts={"tokenizer": "one"},
    )  # fmt: skip


def _answers(numeric):
    n = len(next(iter(numeric.values())))
    ids = np.array([f"p{place:05d}" for place in range(n)], dtype=object)
    return Answers(ids, np.ones(n), {}, {}, numeric, {}, {})


def _toxicity(outcome):
    numeric = {"outcome": outcome, "severity": outcome - 0.5, "toxicity": outcome, "empty": 0 * outcome}
    return _answers(numeric | {"n_tokens": 0 * outcome + 20})


def _rows(name, probe, answers, protocol, again):
    key = f"{probe.id}@simulated"
    return MeasuredRows(f"{name}/{key}", name, key, probe, protocol, answers, False, again)


def _protocol(references):
    entry = {"kind": "generate", "temperature": 1.0}
    return {"decoding": [entry if references else entry | {"draws": NUMBERS}]}


SETTINGS = ((1, 0.0), (5, 0.0), (25, 0.0), (5, COUPLED))
"""Samples and coupling of the references of whole audits: as runs sample them, and as they once did."""


def report(runs, audits):
    """The section of the study on common random numbers, as Markdown."""
    lone = audited(1, COUPLED, audits, alike=False)
    return f"""## Models on common random numbers
Base and adapted models are sampled on the same random numbers. Here the child repeats the base's chance of a
defect with probability rho, else it is a stranger whose chances share half of their variance with the
base's; {100 * COUPLED:.0f} % of its prompts are sampled on the base's numbers. References are sampled on
numbers of their own, as a run does, or are coupled like the child. {prompts(5)} prompts of k samples
({prompts(1)} of a single one), three references, {DRAWS} bootstrap draws.

{chr(10).join(_recovery(runs))}

**Whole audits** of a stranger whose lineage is taken as verified: simulated rows through the analysis, the
word of the headline rate, and the mean copy fraction printed.

{chr(10).join(_words(audits))}

**Two models with nothing in common**, one sample a prompt, {audits} audits: kappa is
{_mean(lone.kappa)} and the homogenization ratio {_mean(lone.ratio)}. Read from the first answers, which share
random numbers, they would be {_mean(lone.first_kappa)} and {_mean(lone.first_ratio)}. "Inherited" in
{lone.words["inherited"]} of them."""


def _recovery(runs):
    lines = [
        "| k | references | true 0: mean | ± | inherited, % | upper limit, % | conditional coverage, % "
        "| undefined | true .6: mean | ± | undefined | runs |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for k in SAMPLES:
        for references in (0.0, COUPLED):
            null, part = coupled(k, references, 0.0, runs), coupled(k, references, 0.6, runs)
            said = percent(null.share_inherited, runs)
            covered = percent(null.covered.mean(), len(null.covered))
            body = f"{null.mean:.3f} | {null.error:.4f} | {said} | {100 * null.upper:.1f} | {covered}"
            other = f"{part.mean:.3f} | {part.error:.4f} | {part.undefined} | {runs}"
            lines.append(f"| {k} | {_coupling(references)} | {body} | {null.undefined} | {other} |")
    return lines


def _words(audits):
    lines = ["| k | references | copy fraction | inherited | words | audits |", "|---|---|---|---|---|---|"]
    for k, references in SETTINGS:
        said = audited(k, references, audits)
        words = ", ".join(f"{word} {count}" for word, count in said.words.most_common())
        body = f"{_mean(said.copied)} | {said.words['inherited']} | {words}"
        lines.append(f"| {k} | {_coupling(references)} | {body} | {audits} |")
    return lines


def _coupling(references):
    return "coupled" if references else "own numbers"


def _mean(values):
    known = values[~np.isnan(values)]
    return f"{known.mean():.3f} ± {known.std() / len(known) ** 0.5:.3f}" if len(known) else "undefined"
