"""Every error a user can cause, with the exit code it ends the command with.

One line says what is wrong, with which input, and what to do. A stack trace is
reserved for our own bugs.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every command."""

    PASS = 0
    GATE_FAILED = 1
    USAGE = 2
    INCONCLUSIVE = 3
    EXECUTION = 4
    NOTHING_EVALUATED = 5


class FmauditError(Exception):
    """A problem that one clear line can explain."""

    exit_code = ExitCode.EXECUTION


class UsageError(FmauditError):
    """The request itself cannot be carried out: a wrong name, file, option or model."""

    exit_code = ExitCode.USAGE


class DataError(UsageError):
    """A data file is missing, malformed, empty, or not the pinned one."""


class DataUnavailable(DataError):
    """A data set that does not ship was not given; the message says how to get it."""


class SubjectError(UsageError):
    """A model cannot be audited as named: unknown, incomplete, unsafe or mismatched."""


class ProbeError(UsageError):
    """A probe is unknown, broken, or breaks its contract."""


class ExecutionError(FmauditError):
    """The work began and could not go on; what was measured is kept."""


class EngineError(ExecutionError):
    """A model could not be run on a measurement; other measurements may go on."""


class NothingEvaluated(FmauditError):
    """No probe could be measured on any subject."""

    exit_code = ExitCode.NOTHING_EVALUATED
