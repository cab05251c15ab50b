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
# # Quick start
#
# An audit needs a base model and what was adapted from it. With models of your own it is one call:
#
# ```python
# import fmaudit
#
# run = fmaudit.audit(
#     base="path/to/base",
#     adapted={"mine": "path/to/base::adapter=path/to/adapter"},
#     references=["path/to/an/unrelated/model"],
#     probes=["bias", "memorization"],
#     output="runs/mine",
# )
# ```
#
# Here we practise on a small family whose defects are known, because they were planted. It is trained
# and audited on this machine, offline, in a few minutes. A finished run is opened, not repeated.

# %%
from fmaudit.notebook.practice import practice_run

run = practice_run("runs/practice")
run

# %% [markdown]
# The first box is the verdict. Below it stand the key numbers, each with its interval, and the matrix:
# one row a defect, one column an adapted model, a word in every cell.
#
# Every number is at hand. An estimate is one metric of one model:

# %%
headline = run.estimates.where(subject="base", headline=True).overall
headline[0]

# %% [markdown]
# All of them make a tidy frame. What was not measured is missing there, never 0.

# %%
columns = ["subject", "metric", "value", "lower", "upper", "n", "coverage", "state"]
headline.to_frame()[columns].round(3)

# %% [markdown]
# A comparison asks base and adapted model the same items. It has a verdict, the change, and the table
# of how often both, one or none of the two failed:

# %%
run.comparisons.overall.where(headline=True)[0]

# %% [markdown]
# The figures are those of the report page.

# %%
run.plot.slopes("bias")

# %% [markdown]
# `run.show()` opens the whole page inside the notebook, and `run.report` says where it lies.
#
# Next: [reading a report](02_reading_a_report.py).
