"""Whole runs without a model: a planned probe, an engine and an instrument of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fmaudit.analysis.tables import Answers
from fmaudit.cards import Card, Column, Source
from fmaudit.data import Dataset, dataset_from_rows
from fmaudit.engines.base import Ask, BackoffLog
from fmaudit.evidence.directory import RunDirectory
from fmaudit.instruments import Instrument
from fmaudit.plan import PlannedMeasurement, plan_measurements
from fmaudit.probe import Probe
from fmaudit.requests import REQUEST_KINDS, Request, RequestKind, Response
from fmaudit.running.measure import Target, measure


class FakeEngine:
    """Answers each request by a function of its item; ``die_in_block`` stops it half way through a block."""

    def __init__(self, answer: Callable[[str, Request], Response], die_in_block: int | None = None) -> None:
        self.answer = answer
        self.die_in_block = die_in_block
        self.blocks = 0
        self.backoff = BackoffLog()

    @property
    def answers(self) -> frozenset[RequestKind]:
        return frozenset(REQUEST_KINDS.values())

    def length(self, request: Request) -> int:
        return 1

    def plan(self, asks: Sequence[Ask]) -> list[tuple[int, ...]]:
        return [tuple(range(len(asks)))]

    def run(
        self, asks: Sequence[Ask], tick: Callable[[int], None] | None = None
    ) -> Iterator[tuple[int, Response]]:
        for position, ask in enumerate(asks):
            if self.blocks == self.die_in_block and position > len(asks) // 2:
                raise KeyboardInterrupt
            yield position, self.answer(ask.item, ask.request)
        self.blocks += 1


def dataset(rows: Sequence[Mapping[str, Any]]) -> Dataset:
    columns = {name: Column(required=False) for name in rows[0]}
    card = Card(
        id="toy",
        title="Toy",
        licence="none",
        origin="this test",
        source=Source(kind="local"),
        how_to_get="it is made here",
        columns=columns,
    )
    return dataset_from_rows(card, rows)


def planned(probe: Probe, rows: Sequence[Mapping[str, Any]], limit: int | None = None) -> PlannedMeasurement:
    data = dataset(rows)
    (found,) = plan_measurements([probe], lambda *_: data, limit=limit, seed=3, datasets=None)[:1]
    return found


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., RunDirectory]:
    """A finished run directory; ``sides`` maps base and adapted to what answers for them."""

    def make(
        probe: Probe,
        rows: Sequence[Mapping[str, Any]],
        sides: Mapping[str, Callable[[str, Request], Response]],
        *,
        instrument: Instrument | None = None,
        limit: int | None = None,
        protocols: Mapping[str, Mapping[str, Any]] | None = None,
        parts: Mapping[str, Mapping[str, str]] | None = None,
        name: str = "run",
    ) -> RunDirectory:
        run = RunDirectory(tmp_path / name)
        entry = planned(probe, rows, limit)
        assert entry.dataset is not None
        for subject, answer in sides.items():
            measure(entry, Target(run, subject, entry.key), FakeEngine(answer), instrument, lambda _: None)
        run.write_state(
            {
                "tool": {"name": "fmaudit", "version": "test"},
                "plan": {"seed": 0},
                "subjects": [_subject(subject, (parts or {}).get(subject)) for subject in sides],
                "measurements": [
                    _record(entry, subject, (protocols or {}).get(subject, {})) for subject in sides
                ],
                "instruments": [],
            }
        )
        return run

    return make


def _subject(role: str, parts: Mapping[str, str] | None) -> dict[str, Any]:
    return {
        "id": role,
        "role": role,
        "kind": "causal",
        "name": role,
        "digest": f"sha256:{role}",
        "base": "base" if role == "adapted" else None,
        "lineage": {"declared": None, "verified": None, "evidence": ""},
        "parts": dict(parts or {"tokenizer": "sha256:shared"}),
        "notes": [],
    }


def _record(entry: PlannedMeasurement, subject: str, protocol: Mapping[str, Any]) -> dict[str, Any]:
    assert entry.dataset is not None
    fields = entry.text_protocol() | dict(protocol)
    return {
        "subject": subject,
        "key": entry.key,
        "probe": entry.probe.id,
        "version": entry.probe.version,
        "variant": entry.probe.variant,
        "state": "measured",
        "reason": "",
        "partial": entry.partial,
        "protocol": fields | {"digest": f"sha256:{sorted(protocol.items())}"},
        "instruments": [],
        "dataset": {
            "id": entry.dataset.id,
            "digest": entry.dataset.digest,
            "n_items": entry.available,
            "n_asked": len(entry.items),
            "pinned": False,
            "source": "local",
        },
    }


@pytest.fixture
def make_answers() -> Callable[..., Answers]:
    """Answers from matrices of shape (items, samples), or lists of one value an item."""

    def make(
        clusters: Mapping[str, Sequence[Any]] | None = None,
        slices: Mapping[str, Sequence[str]] | None = None,
        weights: Sequence[float] | None = None,
        **numeric: Any,
    ) -> Answers:
        matrices = {name: np.asarray(values, dtype=float) for name, values in numeric.items()}
        matrices = {name: m[:, None] if m.ndim == 1 else m for name, m in matrices.items()}
        n = len(next(iter(matrices.values())))
        ids = np.array([f"item{index}" for index in range(n)], dtype=object)
        named = clusters or {"item": ids}
        return Answers(
            item_ids=ids,
            weights=np.ones(n) if weights is None else np.asarray(weights, dtype=float),
            clusters={name: np.asarray(labels, dtype=object) for name, labels in named.items()},
            slices={name: np.asarray(levels, dtype=object) for name, levels in (slices or {}).items()},
            numeric=matrices,
            text={},
            reasons={},
        )

    return make


@pytest.fixture
def fake_engine() -> type[FakeEngine]:
    return FakeEngine


@pytest.fixture
def plan_rows() -> Callable[..., PlannedMeasurement]:
    return planned
