"""Progress on stderr: a bar with rate and time left on a terminal, a line a measurement elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

_LINE_SECONDS = 15.0


class StderrProgress:
    """Draws with rich on a terminal; prints plain lines where stderr is a file."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._label, self._total, self._done = "", 0, 0
        self._begun = self._printed = 0.0

    def say(self, line: str) -> None:
        """One line of prose."""
        click.echo(line, err=True)

    def start(self, label: str, total: int) -> None:
        """A stretch of work of ``total`` requests begins."""
        self._label, self._total, self._done = label, total, 0
        self._begun = self._printed = time.monotonic()
        if total and sys.stderr.isatty():
            self._bar = _rich_bar()
            self._bar.start()
            self._task = self._bar.add_task(label, total=total, rate="")

    def advance(self, steps: int) -> None:
        """``steps`` more are done."""
        self._done += steps
        if self._bar is not None:
            self._bar.update(self._task, advance=steps, rate=f"{self._rate():.1f}/s")
        elif time.monotonic() - self._printed > _LINE_SECONDS:
            self._printed = time.monotonic()
            left = (self._total - self._done) / max(self._rate(), 1e-9)
            self.say(f"  {self._label}: {self._done}/{self._total}, {self._rate():.1f}/s, {left:.0f} s left")

    def finish(self) -> None:
        """The stretch of work has ended."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        elif self._total:
            self.say(f"  {self._label}: {self._done}/{self._total} in {time.monotonic() - self._begun:.1f} s")

    def training(self, what: str, step: int, total: int) -> None:
        """Progress of a training: a stretch of work per ``what``."""
        if total == 0:
            self.say(what)
            return
        label = what.partition(" (")[0]
        if label != self._label or step <= self._done:
            self.start(label, total)
        self.advance(step - self._done)
        if step >= total:
            self.finish()

    def _rate(self) -> float:
        return self._done / max(time.monotonic() - self._begun, 1e-9)


def _rich_bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=False,
    )
