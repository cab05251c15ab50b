"""Controls of public frameworks, and what of an audit is evidence relevant to them.

An audit is never said to be more than evidence: whether a control is met is
for those it binds to show, and for others to judge.
"""

from fmaudit.controls.evidence import Evidence, evidence_of, unmapped_probes
from fmaudit.controls.mapping import ControlMapping, Rule, check_probes, load_mapping, parse_mapping
from fmaudit.controls.model import Catalogue, Checked, Control, Framework, load_catalogue, parse_framework

__all__ = [
    "Catalogue",
    "Checked",
    "Control",
    "ControlMapping",
    "Evidence",
    "Framework",
    "Rule",
    "check_probes",
    "evidence_of",
    "load_catalogue",
    "load_mapping",
    "parse_framework",
    "parse_mapping",
    "unmapped_probes",
]
