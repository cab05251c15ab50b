"""Estimates and comparisons in a notebook: sequences to index, to filter and to turn into frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, overload

from fmaudit import schema
from fmaudit.errors import UsageError
from fmaudit.notebook import cells, columns
from fmaudit.report.index import AuditIndex

if TYPE_CHECKING:
    from pandas import DataFrame

_MOST_NAMED = 20


@dataclass(frozen=True, repr=False)
class Estimate:
    """One metric of one subject, over all items or one slice.

    Every field of ``fmaudit.schema.Estimate`` is an attribute too: ``value``,
    ``lower``, ``upper``, ``n``, ``coverage``, ``state``, ``reason`` and the others.
    """

    index: AuditIndex
    record: schema.Estimate
    columns: ClassVar = columns.ESTIMATE_COLUMNS

    def __getattr__(self, name: str) -> Any:
        """A field of the record."""
        return _field_of(self, name)

    def __dir__(self) -> list[str]:
        """Its own names and the record's."""
        return sorted({*super().__dir__(), *schema.Estimate.model_fields})

    def row(self) -> dict[str, Any]:
        """Its columns in ``to_frame``."""
        return columns.estimate_row(self.index, self.record)

    def to_frame(self) -> DataFrame:
        """A frame of this one row."""
        return columns.frame([self.row()], self.columns)

    def __repr__(self) -> str:
        """One line: value, interval, n and coverage, or the state and why."""
        return cells.estimate_line(self.index, self.record)

    def _repr_html_(self) -> str:
        return cells.estimate_html(self.index, self.record)

    def _repr_markdown_(self) -> str:
        return cells.markdown_line(repr(self))


@dataclass(frozen=True, repr=False)
class Comparison:
    """Base against adapted subject on the same items; the numbers are those of the change.

    Every field of ``fmaudit.schema.Comparison`` is an attribute too: ``verdict``,
    ``value`` (the change), ``lower``, ``upper``, ``table``, ``copy_fraction`` and the others.
    """

    index: AuditIndex
    record: schema.Comparison
    columns: ClassVar = columns.COMPARISON_COLUMNS

    def __getattr__(self, name: str) -> Any:
        """A field of the record."""
        return _field_of(self, name)

    def __dir__(self) -> list[str]:
        """Its own names and the record's."""
        return sorted({*super().__dir__(), *schema.Comparison.model_fields})

    def row(self) -> dict[str, Any]:
        """Its columns in ``to_frame``."""
        return columns.comparison_row(self.index, self.record)

    def to_frame(self) -> DataFrame:
        """A frame of this one row."""
        return columns.frame([self.row()], self.columns)

    def __repr__(self) -> str:
        """One line: verdict, change, interval, n and coverage."""
        return cells.comparison_line(self.index, self.record)

    def _repr_html_(self) -> str:
        return cells.comparison_html(self.index, self.record)

    def _repr_markdown_(self) -> str:
        return cells.markdown_line(repr(self))


ViewT = TypeVar("ViewT", Estimate, Comparison)


@dataclass(frozen=True, repr=False)
class Views(Sequence[ViewT], Generic[ViewT]):
    """Estimates or comparisons in the order of ``audit.json``."""

    items: tuple[ViewT, ...]
    noun: ClassVar[str]
    columns: ClassVar[Sequence[str]]

    @overload
    def __getitem__(self, key: int) -> ViewT: ...
    @overload
    def __getitem__(self, key: slice | str) -> Self: ...
    def __getitem__(self, key: int | slice | str) -> ViewT | Self:
        """By place, by range, or all of a probe (``bias.crows_pairs``), a family (``bias``) or a metric.

        Raises:
            UsageError: nothing here has that name; the message says what there is.
        """
        if isinstance(key, str):
            return self._named(key)
        return type(self)(self.items[key]) if isinstance(key, slice) else self.items[key]

    def __len__(self) -> int:
        """How many."""
        return len(self.items)

    def __iter__(self) -> Iterator[ViewT]:
        """In order."""
        return iter(self.items)

    def where(self, **wanted: object) -> Self:
        """Those whose columns have these values: ``where(role="base", headline=True)``.

        A slice column has a dot in its name: ``where(**{"slice.topic": "age"})``.

        Raises:
            UsageError: there is no such column, or nothing has that value in it.
        """
        chosen = list(zip(self.items, self._rows, strict=True))
        known = (*self.columns, *dict.fromkeys(name for row in self._rows for name in row))
        for column, value in wanted.items():
            if column not in known:
                raise UsageError(f"no column {column!r}; choose among {_listed(known, len(known))}")
            seen = [row.get(column) for _, row in chosen]
            chosen = [pair for pair, found in zip(chosen, seen, strict=True) if found == value]
            if not chosen:
                raise UsageError(f"no {self.noun} has {column} {value!r}; there is {_listed(seen)}")
        return type(self)(tuple(view for view, _ in chosen))

    @property
    def overall(self) -> Self:
        """Those over all items, without the slices."""
        return type(self)(tuple(view for view in self.items if not view.record.slice))

    def to_frame(self) -> DataFrame:
        """A tidy frame, one row each; what is not known is missing, never 0."""
        return columns.frame(self._rows, self.columns)

    @cached_property
    def _rows(self) -> Sequence[dict[str, Any]]:
        return [view.row() for view in self.items]

    def _named(self, name: str) -> Self:
        found = tuple(view for view in self.items if name in _names(view))
        if not found:
            probes = _listed(_probe(view) for view in self.items)
            metrics = _listed(view.record.metric for view in self.items)
            raise UsageError(f"no {self.noun} of {name!r}; probes here: {probes}; metrics: {metrics}")
        return type(self)(found)

    def __repr__(self) -> str:
        """One line: how many, and of which probes."""
        return cells.line(
            f"{len(self.items):,} {self.noun}s of {_listed(_probe(view) for view in self.items)}"
        )


class Estimates(Views[Estimate]):
    """The estimates of a run: ``run.estimates["bias"]`` selects, ``to_frame()`` makes a table of them."""

    noun = "estimate"
    columns = columns.ESTIMATE_COLUMNS

    def _repr_html_(self) -> str:
        return cells.estimates_html([(view.index, view.record) for view in self.items])


class Comparisons(Views[Comparison]):
    """The comparisons of a run: ``run.comparisons["bias"]`` selects, ``to_frame()`` makes a table of them."""

    noun = "comparison"
    columns = columns.COMPARISON_COLUMNS

    def _repr_html_(self) -> str:
        return cells.comparisons_html([(view.index, view.record) for view in self.items])


def estimates_of(index: AuditIndex) -> Estimates:
    """All estimates of an audit."""
    return Estimates(tuple(Estimate(index, record) for record in index.audit.estimates))


def comparisons_of(index: AuditIndex) -> Comparisons:
    """All comparisons of an audit."""
    return Comparisons(tuple(Comparison(index, record) for record in index.audit.comparisons))


def _field_of(view: Estimate | Comparison, name: str) -> Any:
    # Notebooks look for displays, and copies for the record itself, before there is one.
    if name.startswith("_") or name in {"index", "record"}:
        raise AttributeError(name)
    return getattr(view.record, name)


def _probe(view: Estimate | Comparison) -> str:
    return view.index.question(view.record.measurement, view.record.metric).probe


def _names(view: Estimate | Comparison) -> set[str]:
    probe, metric = _probe(view), view.record.metric
    return {probe, probe.partition(".")[0], metric, metric.partition("/")[2]}


def _listed(names: Iterable[object], most: int = _MOST_NAMED) -> str:
    found = list(dict.fromkeys(str(name) for name in names))
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return (", ".join(found[:most]) + more) or "none"
