"""Engines turn requests into responses."""
