"""Outcome of many simulated children of one setting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import beta


@dataclass(frozen=True)
class Cell:
    """Outcome of many runs of one setting."""

    values: np.ndarray
    covered: np.ndarray
    inherited: np.ndarray
    undefined: int

    @property
    def mean(self):
        return self.values.mean()

    @property
    def error(self):
        return self.values.std(ddof=1) / len(self.values) ** 0.5

    @property
    def share_inherited(self):
        return self.inherited.mean()

    @property
    def upper(self):
        """Upper limit of the two-sided 95 % Clopper-Pearson interval of the share."""
        events, runs = int(self.inherited.sum()), len(self.inherited)
        return float(beta.ppf(0.975, events + 1, runs - events)) if events < runs else 1.0


def percent(share, runs):
    """A share with its Monte Carlo standard error, in per cent."""
    return f"{100 * share:.1f} ± {100 * (share * (1 - share) / runs) ** 0.5:.1f}"
