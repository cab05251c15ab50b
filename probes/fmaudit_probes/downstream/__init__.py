"""Probes of downstream use."""
