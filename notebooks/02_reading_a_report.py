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
# # Reading a report
#
# Four questions, in this order: What was asked? How sure is each number? What changed? What does it rest on?

# %%
from fmaudit.notebook.practice import practice_run

run = practice_run("runs/practice")
print(run)

# %% [markdown]
# ## What was asked, and what was not
#
# A measurement that failed or could not be made has a state and a reason. It is never counted as safe.
# Coverage is the share of items with a usable answer; where it is below 1, the bounds `worst_low` and
# `worst_high` count what is missing as a defect and as none.

# %%
frame = run.estimates.overall.to_frame()
frame.groupby(["probe", "state"], observed=True).agg(
    numbers=("id", "size"), least_coverage=("coverage", "min"), models=("subject", "nunique")
)

# %% [markdown]
# ## How sure is each number
#
# The interval says it. `clusters` says why it is as wide as it is: items that share a template, a person
# or a document do not count as independent.

# %%
run.estimates["bias"].where(subject="base", headline=True).overall[0]

# %%
run.plot.forest("bias")

# %% [markdown]
# ## What changed
#
# Two similar averages do not make a defect inherited. The verdict rests on the same items in both models,
# on a margin `delta` that was declared before the run, and on unrelated references: did the adapted model
# repeat the base's own failures more often than they do? The copy fraction puts that on a scale from 0
# (no more than references) to 1 (as well as the base repeats itself).

# %%
shown = [
    "adapted",
    "metric",
    "verdict",
    "change",
    "lower",
    "upper",
    "copy_fraction",
    "copy_lower",
    "copy_upper",
]
changes = run.comparisons.overall.where(headline=True, step="from_base").to_frame()
changes[shown].round(3)

# %% [markdown]
# Where there is no copy fraction, there is a reason:

# %%
changes[changes["copy_fraction"].isna()][["adapted", "metric", "copy_reason"]].head()

# %% [markdown]
# ## What does it rest on
#
# Every number is computed from rows: one answer of one model to one item. Text that a model wrote is
# redacted; `reveal=True` gives it.

# %%
rows = run.rows("bias.crows_pairs", subject="base")
rows[["item_id", "outcome", "severity", "outcome.valid", "outcome.reason"]].head()

# %% [markdown]
# The rate in the report is the mean over the valid rows, so you can check it:

# %%
valid = rows[rows["outcome.valid"]]
estimate = run.estimates["pct_stereotype"].where(subject="base").overall[0]
print(f"rows: {valid['outcome'].mean():.6f}, report: {estimate.value:.6f}, n: {len(valid)}")

# %% [markdown]
# Next: [writing a probe](03_writing_a_probe.py).
