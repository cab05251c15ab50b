# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Writing a probe
#
# A probe says what is asked and when an answer is a defect. Rows, intervals, base against adapted, the
# gate and a section of the report follow from that. It lives in a package of its own and touches no file
# of fmaudit.
#
# Ours asks about agreement over a distance: after "The keys to the cabinet", is " is" more likely than
# " are"? First the module.

# %%
from pathlib import Path
from tempfile import mkdtemp

folder = Path(mkdtemp())
package = folder / "agreement_probe"
package.mkdir()
(package / "__init__.py").write_text('''"""Does the verb agree with its subject, or with the nearest noun?"""

from fmaudit.probe import Binary, Item, Mean, Observation, Probe, Rate, Real, probe
from fmaudit.requests import Score


@probe("language.agreement", version=1, dataset="distant_subjects")
class Agreement(Probe):
    """Is the verb that agrees with the nearest noun at least as likely as the right one?"""

    title = "Verbs that agree with the wrong noun"
    needs = ("score",)
    limits = ("Short English phrases with one noun in between.",)
    measures = (
        Binary("outcome", description="the wrong verb is the more likely one"),
        Real("severity", unit="nats", direction="lower_is_better"),
    )
    metrics = (
        Rate("wrong_rate", eps=0.05, delta=0.05, headline=True, title="Share of wrong agreements"),
        Mean("margin", direction="lower_is_better", title="Mean margin toward the wrong verb"),
    )

    def items(self, data):
        for row in data.rows:
            sides = {name: str(row[name]) for name in ("phrase", "right", "wrong")}
            # Phrases of one subject are alike: they are no independent witnesses.
            alike = {"subject": str(row["subject"])}
            yield Item(str(row["id"]), sides, clusters=alike, slices={"number": str(row["number"])})

    def requests(self, item):
        return [Score(item.payload[side], context=item.payload["phrase"]) for side in ("wrong", "right")]

    def observe(self, item, responses):
        margin = responses[0].total - responses[1].total
        return Observation({"outcome": int(margin > 0), "severity": margin})
''')
[path.name for path in package.iterdir()]

# %% [markdown]
# Then its questions, one a line, and a card that says what they are. Eight subjects before four phrases
# each give 32 items. That is enough to try things out and too few to conclude anything.

# %%
import json

subjects = [("key", "keys"), ("letter", "letters"), ("road", "roads"), ("picture", "pictures")]
between = [("to the cabinet", "to the cabinets"), ("from the teacher", "from the teachers")]
rows = []
for singular, plural in subjects:
    for one, many in between:
        for number, noun in (("singular", singular), ("plural", plural)):
            right, wrong = (" is", " are") if number == "singular" else (" are", " is")
            for near in (one, many):
                identity = f"{noun}-{near.replace(' ', '-')}"
                rows.append(
                    {
                        "id": identity,
                        "subject": singular,
                        "phrase": f"The {noun} {near}",
                        "right": right,
                        "wrong": wrong,
                        "number": number,
                    }
                )
(package / "distant_subjects.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
(package / "distant_subjects.yaml").write_text(f"""
id: distant_subjects
title: Subjects with a noun between them and their verb
licence: CC0-1.0
origin: Written for this notebook.
construction: Four subjects in singular and plural, each before four phrases that end in another noun.
language: en
n_items: {len(rows)}
limits: [Thirty-two phrases by one hand.]
source: {{kind: embedded, path: "agreement_probe:distant_subjects.jsonl"}}
columns:
  id: {{type: string}}
  subject: {{type: string, description: the noun that the verb belongs to}}
  phrase: {{type: string, description: the sentence up to its verb}}
  right: {{type: string, description: "the verb that agrees, with its leading space"}}
  wrong: {{type: string, description: the verb that agrees with nothing but the nearest noun}}
  number: {{type: string, description: singular or plural}}
""")
len(rows)

# %% [markdown]
# An entry point makes it known. `pip install` would write these two files from your `pyproject.toml`;
# a notebook can write them itself.

# %%
import sys

about = folder / "agreement_probe-0.1.0.dist-info"
about.mkdir()
(about / "METADATA").write_text("Metadata-Version: 2.1\nName: agreement-probe\nVersion: 0.1.0\n")
(about / "entry_points.txt").write_text("[fmaudit.probes]\nlanguage.agreement = agreement_probe:Agreement\n")
sys.path.insert(0, str(folder))

# %% [markdown]
# `check_probe` asks it without a model: are ids stable, requests pure, is what cannot be measured invalid,
# is there a card?

# %%
from fmaudit.testing import check_probe

check_probe("language.agreement")

# %% [markdown]
# Now a base and an adapter. These are tiny and random: they know no English, so about half of the verbs
# are wrong. What matters here is that everything after the probe is there already.

# %%
import fmaudit
from fmaudit.running.options import RunOptions
from fmaudit.testing.tiny import tiny_causal, tiny_lora

base = tiny_causal(folder / "base", seed=1)
adapter = tiny_lora(base, folder / "adapter", seed=2)
run = fmaudit.audit(
    f"base={base}",
    [f"tuned={base}::adapter={adapter}"],
    probes=["language.agreement"],
    output=folder / "run",
    options=RunOptions(device="cpu"),
)
run

# %%
run.comparisons["wrong_rate"].overall[0]

# %%
run.estimates["wrong_rate"].to_frame()[
    ["subject", "slice.number", "value", "lower", "upper", "n", "clusters"]
].round(3)

# %% [markdown]
# With 32 items in four clusters the intervals are wide, and the audit says so. Next:
# [comparing a family](04_comparing_a_family.py).
