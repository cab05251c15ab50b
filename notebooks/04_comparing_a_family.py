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
# # Comparing a family
#
# One base, several models adapted from it: which defect went where, which is new, which was repaired?

# %%
from fmaudit.notebook.practice import practice_run

run = practice_run("runs/practice")
run.plot.matrix()

# %% [markdown]
# The same as a frame, for your own analysis:

# %%
family = run.comparisons.overall.where(headline=True, step="from_base").to_frame()
family.pivot(index="title", columns="adapted", values="verdict")

# %% [markdown]
# ## One cell
#
# `new-defect` was taught something that its base does not have. What does the audit say of it?

# %%
negation = run.comparisons["downstream.negation"].where(adapted="new-defect", headline=True).overall
negation[0]

# %% [markdown]
# ## Same items, or only the same rate
#
# The paired table tells the two apart: `n11` items fail in both models, `n10` in the base alone, `n01` in
# the adapted model alone.

# %%
table = ["adapted", "metric", "n11", "n10", "n01", "n00", "verdict"]
family[table]

# %% [markdown]
# ## Did it become worse where it was bad already?
#
# The rate can stay while each failure grows worse. Severity is compared on the items that both models fail.

# %%
run.plot.severity("bias")

# %% [markdown]
# ## The whole family at once
#
# If all models fail on the same items, a user has nowhere to turn. Bars are what was seen; squares are what
# independent failures would give.

# %%
run.plot.failures("bias")

# %% [markdown]
# ## A model that lost its language
#
# A broken model shows fewer defects, so fewer defects alone are no repair. Capability is measured beside
# everything else, and `flags` says where a verdict was withheld.

# %%
run.estimates["downstream.capability"].where(headline=True).overall.to_frame()[
    ["subject", "role", "value", "lower", "upper", "n"]
].round(3)

# %%
family.loc[family["flags"] != "", ["adapted", "metric", "verdict", "flags"]]
