"""Calibration of probes on specimens: what they find at known doses, and what they find where nothing is."""
