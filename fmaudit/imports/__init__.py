"""Logs of other evaluation tools as run directories: what was paid for once is read, not measured again.

What a log says is believed and marked (``assurance: imported``); what it does not say stays null.
"""

from fmaudit.imports.importing import ImportOptions, import_logs

__all__ = ["ImportOptions", "import_logs"]
