"""The embedded audit: a real base model, and an adapter of it with planted memorization."""

from __future__ import annotations

from fmaudit.demo.prepare import DemoInputs, prepare_demo

__all__ = ["DemoInputs", "prepare_demo"]
