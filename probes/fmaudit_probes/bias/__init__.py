"""Probes of bias."""
