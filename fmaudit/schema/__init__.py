"""The schema of ``audit.json``: the contract that every reader after it relies on.

Canonical results of a run: no wall-clock time, no policy result, no absolute
path, user or host name; NaN never, ``null`` with a reason.
"""

from fmaudit.schema.audit import (
    SCHEMA,
    Audit,
    ContrastResult,
    DatasetRef,
    Estimate,
    InstrumentCard,
    Lineage,
    Measurement,
    MetricInfo,
    Subject,
    Term,
    read_audit,
)
from fmaudit.schema.pedigree import (
    Agreement,
    Calibration,
    Comparison,
    CopyFraction,
    Equivalence,
    Homogenization,
    Margins,
    PairedTable,
    Placebo,
    Profile,
    ReferenceSlope,
    Severity,
    Span,
    Verdict,
)
from fmaudit.schema.records import Distance, Numbers, Quantity, Record, Resampling, State, quantity

__all__ = [
    "SCHEMA",
    "Agreement",
    "Audit",
    "Calibration",
    "Comparison",
    "ContrastResult",
    "CopyFraction",
    "DatasetRef",
    "Distance",
    "Equivalence",
    "Estimate",
    "Homogenization",
    "InstrumentCard",
    "Lineage",
    "Margins",
    "Measurement",
    "MetricInfo",
    "Numbers",
    "PairedTable",
    "Placebo",
    "Profile",
    "Quantity",
    "Record",
    "ReferenceSlope",
    "Resampling",
    "Severity",
    "Span",
    "State",
    "Subject",
    "Term",
    "Verdict",
    "quantity",
    "read_audit",
]
