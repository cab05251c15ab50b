"""Audits built in code: a factory, a rich one and a hostile one."""

from __future__ import annotations

from typing import Any

from fmaudit.analysis.families import corrected_records
from fmaudit.schema import Audit

HOSTILE = [
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "' onmouseover='document.title=1' x='",
    "{{ 7*7 }}{% raw %}",
    "![pixel](http://evil.example/a.png) [link](javascript:alert(1)) @someone "
    "https://evil.example www.evil.example",
    "\x1b[2J\x1b]0;owned\x07red\x1b[31m",
    "null\x00 bidi\u202eevil zero\u200bwidth \u2066iso \ud800",
    "| cell | `code` ``` \n# heading\n1. list\n</textarea></style></svg>",
    "$x^2$ \\frac{1}{2} =1+1",
]


def digest(text: str) -> str:
    return "sha256:" + (text.encode().hex() * 64)[:64]


class AuditFactory:
    """Builds the plain data of an audit, measurement by measurement."""

    def __init__(self, names: dict[str, str] | None = None, n: int = 400, partial: bool = False) -> None:
        self.names = names or {"base": "SmolLM2-135M-Instruct", "adapted": "records-lora"}
        self.n, self.partial = n, partial
        self.data: dict[str, Any] = {
            "schema": "fmaudit/1",
            "tool": {"name": "fmaudit", "version": "0.1.0"},
            "context": {"seed": 0, "engine": {"name": "transformers", "dtype": "float32"}},
            "subjects": [],
            "measurements": [],
            "metrics": [],
            "estimates": [],
            "contrasts": [],
            "comparisons": [],
            "instruments": [],
        }
        for role, name in self.names.items():
            self.subject(role, name)

    def subject(self, role: str, name: str) -> None:
        adapted = role.startswith("adapted")
        self.data["subjects"].append(
            {
                "id": role,
                "role": "adapted" if adapted else role,
                "kind": "causal",
                "name": name,
                "digest": digest(role),
                "base": "base" if adapted else None,
                "lineage": {"declared": "base", "verified": True, "evidence": "adapter applied to this base"}
                if adapted
                else {},
                "parts": {"weights": digest("weights"), "tokenizer": digest("tokenizer")},
            }
        )

    def metric(self, id: str, title: str, **fields: Any) -> None:
        defaults = {
            "unit": "",
            "range": [0.0, 1.0],
            "kind": "rate",
            "direction": "lower_is_better",
            "headline": False,
        }
        self.data["metrics"].append(
            {"id": id, "probe": id.partition("/")[0], "title": title} | defaults | fields
        )

    def measure(
        self, probe: str, dataset: str, subject: str, *, state: str = "measured", **fields: Any
    ) -> str:
        id = f"{subject}/{probe}@{dataset}"
        self.data["measurements"].append(
            {
                "id": id,
                "subject": subject,
                "probe": probe,
                "version": 1,
                "title": f"What {probe} measures",
                "family": probe.partition(".")[0],
                "dataset": {
                    "id": dataset,
                    "digest": digest(dataset),
                    "n_items": max(400, self.n),
                    "n_asked": self.n,
                    "pinned": True,
                    "source": "embedded",
                    "title": f"Data of {dataset}",
                    "licence": "Apache-2.0",
                    "limits": ["English only."],
                },
                "protocol": {"digest": digest(probe), "format": "raw", "dtype": "float32"},
                "state": state,
                "reason": "" if state == "measured" else "this model cannot answer it",
                "partial": self.partial,
                "coverage": 1.0 if state == "measured" else None,
                "n_rows": self.n,
                "limits": ["Likelihoods are not what users see."],
            }
            | fields
        )
        return id

    def numbers(self, value: float, half: float, **fields: Any) -> dict[str, Any]:
        enough = self.n >= 30 and not self.partial
        return {
            "state": "measured",
            "value": value,
            "lower": value - half,
            "upper": value + half,
            "method": "wilson",
            "estimand": "items sampled",
            "n": self.n,
            "n_eff": float(self.n),
            "clusters": {"item": self.n},
            "coverage": 1.0,
            "worst": [value, value],
            "worst_interval": [value - half, value + half],
            "mde": half * 1.4,
            "conclusive": enough,
            "reason": "" if enough else f"{self.n} clusters, 30 needed",
        } | fields

    def estimate(self, measurement: str, metric: str, value: float, half: float, **fields: Any) -> None:
        subject = measurement.partition("/")[0]
        slice_ = fields.pop("slice", {})
        id = f"{measurement}/{metric}/{'/'.join(slice_.values())}"
        own = {"id": id, "subject": subject, "measurement": measurement, "metric": metric, "slice": slice_}
        self.data["estimates"].append(self.numbers(value, half, **fields) | own)

    def contrast(
        self, id: str, kind: str, measurement: str, metric: str, value: float, half: float, **fields: Any
    ) -> None:
        subject = measurement.partition("/")[0]
        terms = [
            {"subject": subject, "slice": {"group": "member"}, "coefficient": 1.0},
            {"subject": subject, "slice": {"group": "control"}, "coefficient": -1.0},
        ]
        if kind == "difference_in_differences":
            terms += [{**term, "subject": "base", "coefficient": -term["coefficient"]} for term in terms]
        own = {
            "id": f"{subject}/{kind}/{id}",
            "kind": kind,
            "title": "Members minus controls",
            "measurement": measurement,
            "metric": metric,
            "terms": terms,
            "headline": True,
        }
        numbers = self.numbers(
            value, half, p=0.0004 if abs(value) > half else 0.64, method="cluster bootstrap"
        )
        self.data["contrasts"].append(numbers | own | fields)

    def compare(
        self, measurement: str, metric: str, base: float, adapted: float, half: float, **fields: Any
    ) -> None:
        slice_ = fields.pop("slice", {})
        change = adapted - base
        own = {
            "id": f"{measurement}/{metric}/change/{'/'.join(slice_.values())}",
            "base": "base",
            "adapted": measurement.partition("/")[0],
            "measurement": measurement,
            "metric": metric,
            "slice": slice_,
            "base_value": base,
            "adapted_value": adapted,
            "verdict": "association" if self.n >= 30 else "inconclusive",
            "direction": "rose" if change > half else "no change shown",
            "margins": {"eps": 0.05, "delta": 0.05, "source": "the probe"},
            "judged": bool(fields.get("family")),
        }
        p = 0.0001 if abs(change) > half else 0.41
        self.data["comparisons"].append(
            self.numbers(change, half, p=p, method="mcnemar exact") | own | fields
        )

    def build(self) -> Audit:
        """The audit, its claims corrected as the analysis does."""
        audit = Audit.model_validate(self.data)
        comparisons, contrasts, families = corrected_records(
            audit.comparisons, audit.contrasts, audit.metrics, audit.subjects, audit.measurements
        )
        found = {"comparisons": comparisons, "contrasts": contrasts, "families": families}
        return audit.model_copy(update=found)


def rich_factory(**options: Any) -> AuditFactory:
    """Four families, two subjects, every state."""
    made = AuditFactory(**options)
    extraction, greedy = "memorization.extraction", "memorization.extraction/greedy_match_rate"
    logprob = f"{extraction}/logprob_per_byte"
    made.metric(greedy, "Greedy match: suffixes reproduced word for word", headline=True)
    made.metric(
        logprob,
        "Log-probability of the suffix per byte",
        kind="mean",
        unit="nats/byte",
        direction="none",
        range=[None, 0],
    )
    stereotype, margin = "bias.crows_pairs/pct_stereotype", "bias.crows_pairs/margin"
    made.metric(
        stereotype,
        "Share of pairs whose stereotyping sentence is preferred",
        direction="target",
        ideal=0.5,
        eps=0.05,
        delta=0.05,
        headline=True,
    )
    made.metric(
        margin,
        "Mean margin toward the stereotyping sentence",
        kind="mean",
        unit="nats",
        range=[None, None],
        direction="target",
        ideal=0,
    )
    toxic = "toxicity.prompted/toxic_fraction"
    made.metric(toxic, "Toxic fraction: share of continuations scored 0.5 or more", headline=True)
    bits = "downstream.capability/bits_per_byte"
    made.metric(
        bits, "Bits per byte on neutral text", kind="mean", unit="bits/byte", range=[0, None], headline=True
    )
    for subject in ("base", "adapted"):
        shift = subject == "adapted"
        m = made.measure(extraction, "records", subject)
        made.estimate(m, greedy, 0.31 if shift else 0.01, 0.03 if shift else 0.008)
        made.estimate(m, logprob, -0.41 if shift else -0.86, 0.02)
        for level, rate in (("member", 0.61 if shift else 0.01), ("control", 0.01)):
            made.estimate(m, greedy, rate, 0.02, slice={"group": level})
        made.contrast("members", "within_subject", m, logprob, 0.423 if shift else 0.008, 0.05)
        made.contrast("greedy", "within_subject", m, greedy, 0.6 if shift else 0.0, 0.06)
        m = made.measure("bias.crows_pairs", "crows_pairs", subject, variant="causal_sum")
        made.estimate(m, stereotype, 0.541 if shift else 0.556, 0.025)
        made.estimate(m, margin, 0.7 if shift else 0.91, 0.2)
        for level in ("age", "disability", "gender", "race-color", "religion", "socioeconomic"):
            made.estimate(m, stereotype, 0.5 + len(level) / 100, 0.06, slice={"bias_type": level})
        m = made.measure(
            "toxicity.prompted",
            "prompts",
            subject,
            instruments=["profanity"],
            coverage=0.92,
            invalid={"empty continuation": 32},
        )
        made.estimate(
            m, toxic, 0.021, 0.012, coverage=0.92, worst=[0.019, 0.099], worst_interval=[0.01, 0.13], n=368
        )
        m = made.measure("downstream.capability", "neutral_texts", subject)
        made.estimate(m, bits, 1.12 if shift else 1.08, 0.03)
        made.measure(
            "bias.crows_pairs",
            "crows_pairs",
            subject,
            id=f"{subject}/pll",
            variant="nangia_pll",
            state="unmeasurable",
        )
    made.measure(
        "memorization.canary",
        "canaries",
        "adapted",
        state="unmeasured",
        reason="the disk was full after 3 of 12 blocks",
    )
    extraction_id = "adapted/memorization.extraction@records"
    made.contrast("members", "difference_in_differences", extraction_id, logprob, 0.415, 0.055)
    made.contrast("greedy", "difference_in_differences", extraction_id, greedy, 0.6, 0.06)
    made.compare(extraction_id, greedy, 0.01, 0.31, 0.04, table={"n11": 3, "n10": 1, "n01": 121, "n00": 275})
    made.compare(
        "adapted/bias.crows_pairs@crows_pairs",
        stereotype,
        0.556,
        0.541,
        0.02,
        table={"n11": 190, "n10": 32, "n01": 26, "n00": 152},
    )
    made.compare(
        "adapted/bias.crows_pairs@crows_pairs",
        stereotype,
        0.53,
        0.54,
        0.05,
        slice={"bias_type": "age"},
        table={"n11": 9, "n10": 2, "n01": 3, "n00": 8},
    )
    made.compare("adapted/toxicity.prompted@prompts", toxic, 0.021, 0.021, 0.01, coverage=0.92)
    made.compare("adapted/downstream.capability@neutral_texts", bits, 1.08, 1.12, 0.015)
    made.data["instruments"].append(
        {
            "id": "profanity",
            "digest": digest("profanity"),
            "title": "alt-profanity-check",
            "measures": "Profanity of English text, 0 to 1.",
            "warning": "It measures profanity, not toxicity: hate without swear words passes it.",
            "labelled_set": "HateCheck",
            "n": 3728,
            "sensitivity": 0.389,
            "specificity": 0.541,
            "groups": {"group a": 0.83, "group b": 0.2},
        }
    )
    return made


def hostile_audit() -> Audit:
    """Hostile text in every free string of the audit."""
    made = rich_factory(names={"base": HOSTILE[0] + HOSTILE[1], "adapted": HOSTILE[4]})
    text = " ".join(part.replace("\ud800", "") for part in HOSTILE)
    data = made.data
    data["tool"]["note"] = text
    data["context"] |= {text: text, "list": [text]}
    for subject in data["subjects"]:
        subject |= {
            "notes": [text],
            "recipe": text,
            "parts": {text: text},
            "lineage": {"declared": text, "evidence": text},
        }
    for measurement in data["measurements"]:
        measurement |= {"title": text, "limits": [text], "invalid": {text: 3}}
        measurement["protocol"] = {"digest": text, text: text}
        measurement["dataset"] |= {"title": text, "licence": text, "limits": [text]}
        if measurement["state"] != "measured":
            measurement["reason"] = text
    for metric in data["metrics"]:
        metric["title"] = text
    for number in (*data["estimates"], *data["contrasts"], *data["comparisons"]):
        number |= {"reason": text, "method": text, "estimand": text, "clusters": {text: 99}}
    for number in (*data["estimates"], *data["comparisons"]):
        number["slice"] = {text: text} if number["slice"] else {}
    for contrast in data["contrasts"]:
        contrast["title"] = text
        for term in contrast["terms"]:
            term["slice"] = {"group": text + str(term["coefficient"])}
    for comparison in data["comparisons"]:
        comparison |= {"flags": [text], "margins": {"eps": 0.1, "source": text}}
    for card in data["instruments"]:
        card |= {
            "title": text,
            "measures": text,
            "warning": text,
            "labelled_set": text,
            "groups": {text: 0.5},
        }
    return made.build()
