"""fmaudit audits a foundation model and everything adapted from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fmaudit.api import Run, audit, open_run

__all__ = ["Run", "audit", "open_run"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from fmaudit import api

        return getattr(api, name)
    raise AttributeError(f"module 'fmaudit' has no attribute {name!r}")
