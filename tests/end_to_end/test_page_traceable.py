"""Any number of the page leads through its place in audit.json to the rows, which give it again."""

from __future__ import annotations

import json
import random
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fmaudit.analysis.build import build_audit
from fmaudit.evidence.directory import RunDirectory

PICKED = 50
# A p-value below a bound prints the bound, which is nobody's number.
NUMBER = re.compile(r"(?<![\w.,])(?<!<\u00a0)([+\u2212-]?)(\d[\d,]*(?:\.\d+)?)(?![\w])")
MOST_WORDS = 10
VOID = {"meta", "br", "img", "input", "hr", "link", "wbr", "col"}
ASIDE = {"svg", "script", "style", "summary", "code", "caption", "figcaption"}
PROBES = "bias.crows_pairs,toxicity.prompted,memorization.extraction,downstream.negation"


class Traced(HTMLParser):
    """Printed numbers, each with the place in the audit that its nearest element names."""

    def __init__(self, html):
        super().__init__()
        self.stack = []
        self.numbers = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.stack.append((tag, dict(attrs).get("data-at")))

    def handle_endtag(self, tag):
        while self.stack and self.stack.pop()[0] != tag:
            pass

    def handle_data(self, data):
        places = [at for _, at in self.stack if at is not None]
        tags = {tag for tag, _ in self.stack}
        # A row's own heading names what was counted, and long sentences quote the rules: no measurements.
        if not places or not places[-1] or tags & ASIDE or "th" in tags or len(data.split()) > MOST_WORDS:
            return
        for sign, digits in NUMBER.findall(data):
            self.numbers.append((places[-1], sign + digits, data.strip()))


@pytest.fixture(scope="module")
def finished(models, run_once, tmp_path_factory):
    run = tmp_path_factory.mktemp("traced") / "run"
    outcome = run_once(
        *("run", models / "base", "--adapted", f"mine={models / 'base'}::adapter={models / 'records-lora'}"),
        *("--adapted", f"theirs={models / 'other'}", "-p", PROBES, "-L", "120", "-o", run),
    )
    assert outcome.code == 0, outcome.err
    return run


def leaves(value):
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, int | float):
        yield float(value)
    elif isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)


def at(document, pointer):
    found = document
    for part in pointer.strip("/").split("/"):
        found = found[int(part)] if isinstance(found, list) else found[part]
    return found


def holds(record, printed):
    """Whether a record has this number, at the digits that were printed."""
    text = printed.replace(",", "").replace("\u2212", "-")
    decimals = len(text.partition(".")[2])
    value = float(text)
    room = 0.5 * 10**-decimals * (1 + 1e-6) + 1e-12
    return any(
        abs(abs(leaf * factor) - abs(value)) <= room for leaf in leaves(record) for factor in (1.0, 100.0)
    )


def recomputed(run, folder, change=None):
    """The audit computed anew from nothing but run.json and the rows."""
    folder.mkdir()
    shutil.copy(run / "run.json", folder / "run.json")
    shutil.copytree(run / "evidence", folder / "evidence")
    if change is not None:
        for part in sorted((folder / "evidence").rglob("*.parquet")):
            pq.write_table(change(pq.read_table(part)), part)
    return json.loads(build_audit(RunDirectory(folder)).to_bytes())


def spoiled(table):
    """Every fifth value of every measure replaced: outcomes turned round, numbers raised by one."""
    for measure in (name.removesuffix(".valid") for name in table.column_names if name.endswith(".valid")):
        place = table.schema.get_field_index(measure)
        field = table.schema.field(place)
        binary = pa.types.is_integer(field.type)
        values = [
            value if value is None or row % 5 else 1 - value if binary else value + 1.0
            for row, value in enumerate(table[measure].to_pylist())
        ]
        table = table.set_column(place, field, pa.array(values, field.type))
    return table


def test_fifty_numbers_of_the_page_are_computed_again_from_the_rows(finished, tmp_path):
    page = Traced((finished / "report" / "report.html").read_text(encoding="utf-8"))
    assert len(page.numbers) > 500
    picked = random.Random(20261124).sample(page.numbers, PICKED)
    truth = recomputed(finished, tmp_path / "again")
    lost = [entry for entry in picked if not holds(at(truth, entry[0]), entry[1])]
    assert not lost
    wrong = recomputed(finished, tmp_path / "changed", spoiled)
    missed = sum(not holds(at(wrong, place), printed) for place, printed, _ in picked)
    assert missed >= PICKED // 5


def test_printed_rates_are_the_plain_means_of_their_rows(finished):
    document = json.loads((finished / "audit.json").read_bytes())
    kinds = {metric["id"]: metric for metric in document["metrics"]}
    seen = 0
    for estimate in document["estimates"]:
        metric = kinds[estimate["metric"]]
        name = metric["id"].partition("/")[2]
        known = name in {"pct_stereotype", "attack_success", "toxic_fraction"}
        if estimate["slice"] or estimate["value"] is None or not known:
            continue
        subject, _, key = estimate["measurement"].partition("/")
        parts = sorted((finished / "evidence" / subject / key).glob("*.parquet"))
        table = pa.concat_tables([pq.read_table(part) for part in parts])
        drawn, spared = 1 + max(table["sample"].to_pylist()), "empty" in table.column_names
        empty = table["empty"].to_pylist() if spared else [0] * len(table)
        # Of k and a fifth more samples the first k that are no empty text count.
        counted = max(k for k in range(1, drawn + 1) if k + spared * (k // 5) <= drawn)
        items = {}
        for item, outcome, gone in zip(
            table["item_id"].to_pylist(), table["outcome"].to_pylist(), empty, strict=True
        ):
            if not gone:
                items.setdefault(item, []).append(outcome)
        answers = [[one for one in v[:counted] if one is not None] for v in items.values()]
        items = {place: v for place, v in enumerate(answers) if v}
        assert estimate["value"] == pytest.approx(np.mean([np.mean(v) for v in items.values()]), abs=1e-12)
        seen += 1
    assert seen >= 6
