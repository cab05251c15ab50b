"""Specimens: families of small real models with defects planted at a known dose, trained on the spot.

They are the phantoms that probes and verdicts are checked on: what was planted,
in which units and in which model is known, and fresh items never run out.
"""
