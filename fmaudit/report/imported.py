"""What the page says of numbers that were imported from another tool's log."""

from __future__ import annotations

from fmaudit.schema import Audit

_MEANING = (
    "How the questions were asked, which models answered and which was adapted from which is taken from "
    "the log and was not verified. What two models share is called an association at most, never "
    "inherited, and no number of it passes a gate unless the policy accepts imported numbers by name."
)


def imported_notice(audit: Audit) -> str:
    """One paragraph of plain text for the top of the page; empty where everything was measured."""
    imported = [found for found in audit.measurements if found.assurance == "imported"]
    if not imported:
        return ""
    tools = sorted({found.family for found in imported if found.family})
    share = (
        "Everything" if len(imported) == len(audit.measurements) else f"{len(imported)} of the measurements"
    )
    return f"Imported, not measured. {share} in this report comes from logs ({', '.join(tools)}). {_MEANING}"
