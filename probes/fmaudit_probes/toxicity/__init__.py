"""Probes of the toxicity of generated text."""
