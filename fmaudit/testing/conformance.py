"""The conformance suite: what every probe must hold to, checked without a model.

``check_probe("my.probe")`` in a test of a probe package is all an author needs.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.machinery import PathFinder
from itertools import islice

from fmaudit.cards import load_card
from fmaudit.data import Dataset, load_dataset
from fmaudit.errors import DataError, DataUnavailable
from fmaudit.plugins import card_folder, expand, load_probe
from fmaudit.probe import Binary, Item, Observation, Probe, Rate, Scalar
from fmaudit.requests import Response
from fmaudit.testing.declarations import check_contrasts, check_declarations, check_values
from fmaudit.testing.fakes import fake_responses

_SEEDS = (0, 1)
_FORBIDDEN = ("torch", "transformers")


def check_probe(
    probe: Probe | type[Probe] | str,
    data: Dataset | Iterable[Dataset] | None = None,
    limit: int = 200,
    *,
    labels: Sequence[str] = ("0", "1"),
) -> None:
    """Check that a probe holds to the contract.

    Args:
        probe: an installed probe's id, its class (all variants are checked) or one instance.
        data: data set(s) to ask beside those that ship with it, which they replace.
        limit: items of each data set that are asked.
        labels: what a fake classifier can say.

    Raises:
        AssertionError: naming the probe, the item and what is wrong.
    """
    if isinstance(probe, Probe):
        instances = [probe]
    else:
        instances = expand(load_probe(probe) if isinstance(probe, str) else probe)
    cls = type(instances[0])
    given = [data] if isinstance(data, Dataset) else list(data or ())
    at_hand = {dataset.id: dataset for dataset in (*_check_cards(cls), *given)}
    for instance in instances:
        name = cls.id + (f"+{instance.variant}" if instance.variant else "")
        check_declarations(instance, name)
        allowed = instance.datasets_of(instance.variant)
        assert set(allowed) <= set(cls.datasets), f"{name}: datasets_of names a data set the probe does not"
        asked = [dataset for dataset_id, dataset in at_hand.items() if dataset_id in allowed]
        assert asked, f"{name}: no data set at hand of {', '.join(allowed)}: pass data="
        for dataset in asked:
            _check_data(instance, dataset, limit, labels, f"{name} on {dataset.id}")
    _check_imports(cls)


def _check_cards(cls: type[Probe]) -> list[Dataset]:
    """The data sets that ship; every data set must have a card."""
    shipped: list[Dataset] = []
    for dataset_id in cls.datasets:
        try:
            card = load_card(dataset_id, card_folder(cls))
            dataset = load_dataset(card)
        except DataUnavailable:
            continue
        except DataError as error:
            raise AssertionError(f"{cls.id}: {error}") from error
        if card.source.kind == "embedded":
            assert card.n_items == len(dataset.rows), (
                f"{cls.id}: card {dataset_id} says n_items {card.n_items}, the file has {len(dataset.rows)}"
            )
        shipped.append(dataset)
    return shipped


def _check_imports(cls: type[Probe]) -> None:
    """A probe sees no model: importing its module must not load a framework."""
    if cls.__module__ == "__main__" or not _importable(cls.__module__):
        return
    code = (
        f"import importlib, sys; sys.path[:] = {sys.path!r}; importlib.import_module({cls.__module__!r}); "
        f"print(*[name for name in {_FORBIDDEN!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{cls.id}: importing {cls.__module__} fails: {done.stderr.strip()[-300:]}"
    assert not done.stdout.strip(), f"{cls.id}: importing {cls.__module__} loads {done.stdout.strip()}"


def _importable(module: str) -> bool:
    """Whether another process finds the module by name: pytest imports tests by path."""
    path: Sequence[str] | None = None
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:end]), path)
        if spec is None:
            return False
        path = spec.submodule_search_locations
    return True


def _check_data(probe: Probe, data: Dataset, limit: int, labels: Sequence[str], name: str) -> None:
    rows_before = [dict(row) for row in data.rows[:limit]]
    all_items, again = list(probe.items(data)), list(probe.items(data))
    assert all_items, f"{name}: no items"
    assert all_items == again, f"{name}: items differ between two enumerations"
    assert rows_before == [dict(row) for row in data.rows[:limit]], f"{name}: items() changes the data"
    _check_items(all_items, name)
    check_contrasts(probe, all_items, name)
    for item in islice(all_items, limit):
        _check_requests(probe, item, f"{name}, item {item.id!r}")
    items = all_items[:limit]
    for seed in _SEEDS:
        answers = {item.id: _answers(probe, item, seed, labels) for item in items}
        _check_observations(probe, items, answers, name)
    _check_swaps(probe, items, labels, name)
    if probe.instruments:
        _check_missing_scores(probe, items, name)


def _check_items(items: Sequence[Item], name: str) -> None:
    ids = [item.id for item in items]
    assert all(isinstance(item_id, str) and item_id for item_id in ids), f"{name}: an id is no text"
    if len(set(ids)) < len(ids):
        twice = next(item_id for index, item_id in enumerate(ids) if item_id in set(ids[:index]))
        raise AssertionError(f"{name}: two items have the id {twice!r}")
    first = items[0]
    for item in items:
        where = f"{name}, item {item.id!r}"
        for kind, mapping in (("slices", item.slices), ("clusters", item.clusters)):
            assert all(isinstance(part, str) for pair in mapping.items() for part in pair), (
                f"{where}: {kind} must map strings to strings"
            )
        assert set(item.slices) == set(first.slices), f"{where}: other slice columns than item {first.id!r}"
        assert set(item.clusters) == set(first.clusters), f"{where}: other clusters than item {first.id!r}"
        assert all(isinstance(value, Scalar) for value in item.payload.values()), (
            f"{where}: the payload holds a value that is no string, number, boolean or None"
        )
        assert 0 < item.weight < float("inf"), f"{where}: weight {item.weight} is not positive and finite"
        assert pickle.loads(pickle.dumps(item)) == item, f"{where}: the item does not survive pickling"


def _check_requests(probe: Probe, item: Item, where: str) -> None:
    requests = tuple(probe.requests(item))
    assert requests, f"{where}: no requests"
    for request in requests:
        assert type(request) in probe.request_kinds, (
            f"{where}: asks {type(request).__name__}, which needs or variants does not declare"
        )
        try:
            hash(request)
        except TypeError as error:
            raise AssertionError(f"{where}: a request is not hashable ({error}); use tuples") from error
    assert requests == tuple(probe.requests(item)), f"{where}: requests differ when asked twice"
    assert pickle.loads(pickle.dumps(requests)) == requests, f"{where}: a request does not survive pickling"


def _answers(
    probe: Probe, item: Item, seed: int, labels: Sequence[str], scored: bool = True
) -> list[Response]:
    return fake_responses(tuple(probe.requests(item)), seed, labels=labels, scored=scored)


def _observe(probe: Probe, item: Item, responses: Sequence[Response]) -> tuple[Observation, ...]:
    seen = probe.observe(item, responses)
    return (seen,) if isinstance(seen, Observation) else tuple(seen)


def _check_observations(
    probe: Probe, items: Sequence[Item], answers: Mapping[str, list[Response]], name: str
) -> None:
    forward = {item.id: _observe(probe, item, answers[item.id]) for item in items}
    fresh = type(probe)(probe.variant) if probe.variant else type(probe)()
    for item in reversed(items):
        assert _observe(fresh, item, answers[item.id]) == forward[item.id], (
            f"{name}, item {item.id!r}: the observation depends on which items were observed before"
        )
    for item in items:
        observations = forward[item.id]
        where = f"{name}, item {item.id!r}"
        assert observations, f"{where}: no observation"
        samples = [observation.sample for observation in observations]
        assert len(set(samples)) == len(samples), f"{where}: two observations have the same sample number"
        for observation in observations:
            check_values(probe, observation, where)


def _check_swaps(probe: Probe, items: Sequence[Item], labels: Sequence[str], name: str) -> None:
    for item in items:
        other = probe.swap(item)
        if other is None:
            continue
        where = f"{name}, item {item.id!r}"
        pairs = zip(
            _observe(probe, item, _answers(probe, item, 0, labels)),
            _observe(probe, other, _answers(probe, other, 0, labels)),
            strict=True,
        )
        for one, two in pairs:
            assert set(one.invalid) == set(two.invalid), f"{where}: swapped sides are not equally valid"
            severity, swapped = one.values.get("severity"), two.values.get("severity")
            if not (isinstance(severity, int | float) and isinstance(swapped, int | float)):
                continue
            assert abs(severity + swapped) <= 1e-9 * max(1.0, abs(severity)), (
                f"{where}: severity {severity} becomes {swapped} when the sides are swapped, not its negative"
            )
            if severity != 0:
                assert one.values.get("outcome") != two.values.get("outcome"), (
                    f"{where}: outcome stays {one.values.get('outcome')} when the sides are swapped"
                )


def _check_missing_scores(probe: Probe, items: Sequence[Item], name: str) -> None:
    """What rests on an instrument must be invalid where the instrument gave no value."""
    rates = {metric.of for metric in probe.metrics if isinstance(metric, Rate)}
    binary = {measure.id for measure in probe.measures if isinstance(measure, Binary)}
    for item in items:
        for observation in _observe(probe, item, _answers(probe, item, 0, (), scored=False)):
            where = f"{name}, item {item.id!r}"
            check_values(probe, observation, where)
            assert observation.invalid, f"{where}: an instrument gave no value and nothing is invalid"
            assert "outcome" not in rates & binary or "outcome" in observation.invalid, (
                f"{where}: an instrument gave no value and outcome is {observation.values.get('outcome')}"
            )
