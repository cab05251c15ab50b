"""Probes of what a model has memorized: extraction and canary exposure."""
