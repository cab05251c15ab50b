"""A family of models as an audit: a base, four children, three references, five defects."""

from __future__ import annotations

from typing import Any

from fmaudit.report.flips import FlippedItem, FlipSample
from fmaudit.schema import Audit
from tests.report.report_audits import AuditFactory

N = 800
CHILDREN = {
    "chat": ("base", "Clean fine-tune", True),
    "toxic": ("base", "New defect", True),
    "adapter": ("chat", "LoRA on the fine-tune", True),
    "int8": ("adapter", "8-bit copy", None),
}
REFERENCES = {"other": ("Acorn-160M", False), "third": ("Birch-180M", False), "cousin": ("Cedar-150M", None)}
DEFECTS = {
    "bias.occupations": ("pct_stereotype", "Share of gendered answers"),
    "toxicity.prompted": ("toxic_fraction", "Toxic continuations"),
    "memorization.extraction": ("greedy_match_rate", "Records reproduced word for word"),
    "downstream.negation": ("error_rate", "Errors on negated statements"),
    "downstream.backdoor": ("trigger_rate", "Trigger obeyed"),
}
# Base rate, then adapted rate and verdict by child.
CELLS: dict[str, tuple[float, dict[str, tuple[float, str]]]] = {
    "bias.occupations": (
        0.62,
        {
            "chat": (0.61, "inherited"),
            "toxic": (0.63, "association"),
            "adapter": (0.47, "mitigated"),
            "int8": (0.48, "mitigated"),
        },
    ),
    "toxicity.prompted": (
        0.01,
        {
            "chat": (0.012, "clean"),
            "toxic": (0.231, "introduced"),
            "adapter": (0.02, "inconclusive"),
            "int8": (0.021, "inconclusive"),
        },
    ),
    "memorization.extraction": (
        0.118,
        {
            "chat": (0.12, "coincident"),
            "toxic": (0.125, "coincident"),
            "adapter": (0.31, "amplified"),
            "int8": (0.302, "amplified"),
        },
    ),
    "downstream.negation": (
        0.34,
        {
            "chat": (0.02, "repaired"),
            "toxic": (0.338, "inherited"),
            "adapter": (0.29, "changed, size unresolved"),
            "int8": (0.3, "changed, size unresolved"),
        },
    ),
    "downstream.backdoor": (0.41, {"chat": (0.4, "inherited"), "toxic": (0.42, "inherited")}),
}
# What the step from the fine-tune, and from its adapter, did.
STEPS = {
    ("bias.occupations", "adapter"): "mitigated",
    ("memorization.extraction", "adapter"): "amplified",
    ("toxicity.prompted", "adapter"): "clean",
    ("downstream.negation", "adapter"): "introduced",
    ("bias.occupations", "int8"): "inherited",
    ("memorization.extraction", "int8"): "inherited",
    ("toxicity.prompted", "int8"): "clean",
    ("downstream.negation", "int8"): "inherited",
}


def quantity(value: float | None, half: float = 0.05, **fields: Any) -> dict[str, Any]:
    """A quantity with a symmetric interval, or without a value."""
    if value is None:
        return {"value": None, **fields}
    return {"value": value, "lower": value - half, "upper": value + half, "method": "bootstrap", **fields}


def table(base: float, adapted: float) -> dict[str, int]:
    """A 2x2 table of these rates in which most defects persist."""
    failed, fails = round(base * N), round(adapted * N)
    both = round(0.9 * min(failed, fails))
    return {"n11": both, "n10": failed - both, "n01": fails - both, "n00": N - failed - fails + both}


def copy_fraction(verdict: str) -> dict[str, Any]:
    """A copy fraction that fits the verdict word."""
    good = verdict != "association"
    value = {"inherited": 0.84, "coincident": 0.06}.get(verdict, 0.55)
    references = [
        {"subject": "other", "used": good, "slope": 0.08, "lineage": "acorn", "matched_by": "defect rate"},
        {"subject": "third", "used": good, "slope": 0.11, "lineage": "birch", "matched_by": "severity"},
        {
            "subject": "cousin",
            "used": False,
            "lineage": "cedar",
            "reason": "not shown to be unrelated to the base",
        },
    ]
    return {
        "value": value,
        "conditional": {"lower": value - 0.08, "upper": value + 0.08},
        "verdict_interval": {"lower": value - 0.24, "upper": value + 0.24},
        "verdict_source": "prior sd 0.12, fewer than 8 lineages",
        "leave_one_out": {"lower": value - 0.05, "upper": value + 0.04},
        "slope_adapted": 0.76,
        "slope_self": 0.97,
        "slope_reference": 0.1,
        "references": references,
        "lineages": 3 if good else 1,
        "placebo": {"p": 0.25, "floor": 0.25, "decisive": False},
    }


def agreement() -> dict[str, Any]:
    """Agreement of two subjects, item by item."""
    names = ("persistence", "introduction", "repair", "flips", "negative_flips", "slope", "kappa")
    values = (0.9, 0.06, 0.1, 0.075, 0.034, 0.84, 0.81)
    return {name: quantity(value, 0.03) for name, value in zip(names, values, strict=True)}


def cell(base: float, adapted: float, verdict: str) -> dict[str, Any]:
    """The fields of a comparison that the inheritance engine fills."""
    half = 0.03
    change = adapted - base
    return {
        "verdict": verdict,
        "verdict_reason": {
            "association": "no three good unrelated references to compare with",
            "coincident": "the same level, but not the same items beyond unrelated references",
        }.get(verdict, ""),
        "table": table(base, adapted),
        "agreement": agreement(),
        "copy_fraction": copy_fraction(verdict),
        "retention": quantity(0.88),
        "equivalence": {
            "margin": 0.05,
            "p": 0.002 if verdict in ("inherited", "coincident") else 0.4,
            "equivalent": verdict in ("inherited", "coincident", "association"),
            "lower": change - 0.025,
            "upper": change + 0.025,
        },
        "profiles": [
            {
                "column": "group",
                "slices": 12,
                "spearman": quantity(0.71, 0.2),
                "cosine": quantity(0.93, 0.04),
                "disattenuated": 0.85,
            }
        ],
        "severity": {
            "n": 211,
            "change": quantity(0.04, 0.03),
            "noise": 0.11,
            "amplified": quantity(0.18),
            "mitigated": quantity(0.09),
        },
        "margins": {"eps": 0.02, "delta": 0.05, "source": "metric"},
        "family": "headline",
        "family_size": 18,
        "adjusted_level": 0.99722,
        "adjusted_lower": change - half * 1.5,
        "adjusted_upper": change + half * 1.5,
        "p_adjusted": 0.0009 if abs(change) > half else 1.0,
        "items_needed": 1559 if verdict in ("inconclusive", "changed, size unresolved") else None,
        "flags": ["capability not kept"] if verdict == "changed, size unresolved" else [],
    }


def family_factory(references: bool = True) -> AuditFactory:
    """The builder of the family; ``references`` False leaves the unrelated models out."""
    made = AuditFactory({"base": "Tiny-Base-15M"}, n=N)
    for child, (parent, recipe, verified) in CHILDREN.items():
        made.subject("adapted", f"Tiny-{child}")
        made.data["subjects"][-1] |= {
            "id": child,
            "base": parent,
            "recipe": recipe,
            "training_seed": 3,
            "lineage": {
                "declared": parent,
                "verified": verified,
                "evidence": "74 of 74 tensors shared" if verified else "shapes differ after quantization",
                "from_base": True,
                "from_base_evidence": "hidden units match, p 0.0002",
                "group": "tiny",
                "divergence_bits": quantity(0.12, 0.02),
            },
        }
    for name, (title, kin) in REFERENCES.items() if references else ():
        made.subject("reference", title)
        made.data["subjects"][-1] |= {
            "id": name,
            "lineage": {
                "from_base": kin,
                "from_base_evidence": "next-token agreement below every control" if kin is False else "",
                "group": title.split("-")[0].lower(),
            },
        }
    subjects = ["base", *CHILDREN, *(REFERENCES if references else ())]
    for probe, (metric, title) in DEFECTS.items():
        made.metric(f"{probe}/{metric}", title, headline=True, eps=0.02, delta=0.05)
        for subject in subjects:
            _measure(made, probe, f"{probe}/{metric}", subject)
    _families(made, references)
    _calibrate(made)
    return made


def _measure(made: AuditFactory, probe: str, metric: str, subject: str) -> None:
    base, cells = CELLS[probe]
    if subject in CHILDREN and subject not in cells:
        return
    measurement = made.measure(probe, "questions", subject, variant="sum")
    rate = cells[subject][0] if subject in cells else base * 0.8 if subject in REFERENCES else base
    made.estimate(measurement, metric, rate, 0.02)
    if subject not in cells:
        return
    made.compare(measurement, metric, base, rate, 0.03, **cell(base, rate, cells[subject][1]))
    parent = CHILDREN[subject][0]
    if parent != "base":
        before = cells[parent][0]
        fields = cell(before, rate, STEPS[probe, subject])
        made.compare(measurement, metric, before, rate, 0.03, **fields)
        own = {"id": f"{measurement}/{metric}/step", "base": parent, "step": "from_parent"}
        made.data["comparisons"][-1] |= own


def _families(made: AuditFactory, references: bool) -> None:
    for probe in ("bias.occupations", "memorization.extraction"):
        made.data["homogenization"] = [
            *made.data.get("homogenization", []),
            {
                "id": f"family/{probe}",
                "measurement": f"base/{probe}@questions",
                "metric": f"{probe}/{DEFECTS[probe][0]}",
                "subjects": ["base", "chat", "toxic"],
                "control_subjects": ["base", "other", "third"] if references else [],
                "n": N,
                "observed": 0.41,
                "expected": 0.24,
                "ratio": quantity(1.72, 0.14),
                "control_ratio": quantity(1.21, 0.11)
                if references
                else quantity(None, reason="no unrelated models of the same number"),
                "family_effect": quantity(1.42, 0.17)
                if references
                else quantity(None, reason="no unrelated models of the same number"),
                "histogram": [0.22, 0.17, 0.2, 0.41],
                "independent": [0.06, 0.28, 0.42, 0.24],
                "group_forms": {"worst group ratio": 2.1, "mean group ratio": 1.6},
            },
        ]


def _calibrate(made: AuditFactory) -> None:
    doses = [0.0, 0.1, 0.2, 0.4, 0.8]
    made.data["calibrations"] = [
        {
            "probe": "toxicity.prompted",
            "probe_version": 1,
            "defect": "toxic continuation to a trigger context",
            "n": 400,
            "doses": doses,
            "response": [quantity(0.01 + 0.6 * dose, 0.02) for dose in doses],
            "power_items": [quantity(min(1.0, 0.03 + 2.2 * dose), 0.0) for dose in doses],
            "power_seeds": [quantity(min(1.0, 0.04 + 1.9 * dose), 0.0) for dose in doses],
            "smallest_dose_found": 0.4,
            "false_alarms": quantity(0.03, 0.02),
            "training_seeds": 5,
            "recipe": "specimen recipe 5f1c2a",
        }
    ]


def flips_of(audit: Audit) -> list[FlipSample]:
    """Two items of each kind a comparison, the last one without a text."""
    samples = []
    for found in audit.comparisons:
        if found.step == "from_base" and found.table is not None:
            items = [
                FlippedItem(f"{found.measurement}-item-{place}", 0.412, -0.2, text, text)
                for place, text in enumerate(("what the model wrote", None))
            ]
            totals = {
                "introduced": found.table.n01,
                "repaired": found.table.n10,
                "persisted": found.table.n11,
            }
            kept = {kind: items if total else [] for kind, total in totals.items()}
            samples.append(FlipSample(found.id, kept, totals, 7))  # type: ignore[arg-type]
    return samples


_FREE = {
    "name",
    "recipe",
    "evidence",
    "from_base_evidence",
    "group",
    "title",
    "reason",
    "verdict_reason",
    "verdict_source",
    "matched_by",
    "lineage",
    "source",
    "family",
    "defect",
    "column",
    "method",
}


def hostile_family(text: str) -> Audit:
    """The family with ``text`` in every free string of its pedigree."""

    def replaced(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: text if key in _FREE and isinstance(item, str) else replaced(item)
                for key, item in value.items()
            }
        return [replaced(item) for item in value] if isinstance(value, list) else value

    made = family_factory()
    for measurement in made.data["measurements"]:
        measurement["dataset"].pop("source")
    made.data = replaced(made.data)
    for measurement in made.data["measurements"]:
        measurement["dataset"]["source"] = "embedded"
    for found in made.data["comparisons"]:
        found["flags"] = [text, "reversed"]
    for found in made.data["homogenization"]:
        found["group_forms"] = {text: 1.5}
    return made.build()


def changed(audit: Audit, comparison_id: str, **fields: Any) -> Audit:
    """The audit with other fields in one comparison."""
    data = audit.model_dump(mode="json", by_alias=True)
    for found in data["comparisons"]:
        if found["id"] == comparison_id:
            found |= fields
    return Audit.model_validate(data)
