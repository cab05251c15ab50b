"""How a command ends: one line and an exit code of the README's table, whatever happened.

Exit code 1 is a verdict (the gate failed, or a pack does not verify). Python and click end with it
on any error of their own; a job that asks for the verdict would take our fault for one.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import click

from fmaudit.cli.terminals import discard_output, flush_output
from fmaudit.errors import ExitCode, FmauditError

TRACE_VARIABLE = "FMAUDIT_TRACE"
"""Set to 1, a fault prints its trace before its line."""
_SHOWN = 200
_OURS = ("fmaudit", "fmaudit_probes")


class CommandEnd(SystemExit):
    """The code that a command chose. A bare SystemExit may come from any library and means nothing."""


def end_with(code: ExitCode) -> NoReturn:
    """End the command with a code of the table."""
    raise CommandEnd(int(code))


def exit_code_of(work: Callable[[], object]) -> int:
    """Do the work of the command line; says what went wrong in one line on stderr.

    Returns a code of ``ExitCode``, and never ``GATE_FAILED`` unless the command chose it. Output that could
    not be written is an execution error, also where the verdict was a pass.
    """
    try:
        code = _ended(work)
        flush_output()
    except BrokenPipeError:
        # Whoever read the output has left: nobody is there to be told.
        discard_output()
        return int(ExitCode.EXECUTION)
    except OSError as error:
        discard_output()
        _say(_no_place(error))
        return int(ExitCode.EXECUTION)
    return code


def _ended(work: Callable[[], object]) -> int:
    try:
        work()
    except CommandEnd as end:
        return int(end.code or 0)
    except FmauditError as error:
        _say(str(error))
        return int(error.exit_code)
    except click.exceptions.Exit as stop:
        return int(ExitCode.USAGE if stop.exit_code else ExitCode.PASS)
    except click.ClickException as error:
        error.show()
        return int(ExitCode.USAGE)
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted; what was measured is kept, the same command continues")
    except BrokenPipeError:
        raise
    except MemoryError as error:
        _say(
            f"out of memory{_at(error)}: give it more, or ask less at once (-b, -L); "
            "what was measured is kept"
        )
    except OSError as error:
        _show_trace(error)
        _say(_no_place(error) if error.filename is not None or error.errno else _fault(error))
    except BaseException as error:
        _show_trace(error)
        _say(_fault(error))
    else:
        return int(ExitCode.PASS)
    return int(ExitCode.EXECUTION)


def _fault(error: BaseException) -> str:
    said = (str(error).splitlines() or [""])[0][:_SHOWN]
    what = type(error).__name__ + (f": {said}" if said else "")
    return (
        f"this is a fault of fmaudit, not a verdict: {what}{_at(error)}; please report it with the trace "
        f"({TRACE_VARIABLE}=1 shows it); what was measured is kept"
    )


def _no_place(error: OSError) -> str:
    name = Path(str(error.filename)).name if error.filename is not None else "the output"
    return (
        f"cannot use {name}: {error.strerror or type(error).__name__}{_at(error)}; check the file and its "
        "folder, then repeat the command"
    )


def _at(error: BaseException) -> str:
    """`` (at MODULE:LINE)``: the innermost line of ours, and of whoever raised below it."""
    ours, last = _places(error.__traceback__)
    if not last:
        return ""
    return f" (at {ours})" if ours == last else f" (at {ours or '?'}, in {last})"


def _places(trace: TracebackType | None) -> tuple[str, str]:
    ours = last = ""
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", "?"))
        last = f"{module}:{trace.tb_lineno}"
        if module.partition(".")[0] in _OURS and module != __name__:
            ours = last
        trace = trace.tb_next
    return ours, last


def _show_trace(error: BaseException) -> None:
    if os.environ.get(TRACE_VARIABLE, "") in ("", "0"):
        return
    # The error stream may be the very thing that is broken.
    with suppress(OSError, ValueError):
        sys.stderr.write("".join(traceback.format_exception(error)))


def _say(line: str) -> None:
    from fmaudit.report.escape import terminal

    with suppress(OSError, ValueError):
        click.echo(f"fmaudit: {terminal(line)}", err=True)
