"""Models under audit: named, found, checked, identified, loaded, and checked again before use."""

from fmaudit.subjects.load import DTYPES, Kind, LoadOptions
from fmaudit.subjects.preflight import PreflightResult, preflight
from fmaudit.subjects.spec import SubjectSpec, parse_named_spec, parse_spec
from fmaudit.subjects.subject import LoadedSubject, open_subjects

__all__ = [
    "DTYPES",
    "Kind",
    "LoadOptions",
    "LoadedSubject",
    "PreflightResult",
    "SubjectSpec",
    "open_subjects",
    "parse_named_spec",
    "parse_spec",
    "preflight",
]
