"""The whole report page inside a notebook, shut off from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from fmaudit.errors import UsageError


@dataclass(frozen=True, repr=False)
class ReportFrame:
    """The report page in a frame of its own: no script, no link out, nothing of the notebook in reach."""

    page: str
    height: int

    def __repr__(self) -> str:
        """One line."""
        return f"fmaudit report page, {len(self.page):,} characters"

    def _repr_html_(self) -> str:
        return str(
            Markup(
                '<iframe sandbox="" title="fmaudit report" srcdoc="{}" referrerpolicy="no-referrer" '
                'style="width:100%;height:{}px;border:1px solid #e3dfd7;border-radius:10px"></iframe>'
            ).format(self.page, self.height)
        )


def report_frame(report: Path, height: int) -> ReportFrame:
    """The report page of a run, ``height`` pixels high. Raises UsageError where it was not rendered."""
    if height < 1:
        raise UsageError(f"height is {height}: give a number of pixels above 0")
    if not report.is_file():
        raise UsageError(f"{report.parent.parent.name} has no report page: make it with fmaudit report RUN")
    return ReportFrame(report.read_text(encoding="utf-8"), height)
