"""The built-in probes of fmaudit, one entry point a probe."""
