"""Which probes, data and instrument a run uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fmaudit.cards import load_card
from fmaudit.data import Dataset, load_dataset
from fmaudit.errors import ProbeError, UsageError
from fmaudit.instruments import Instrument, open_instrument
from fmaudit.instruments.base import DEFAULT
from fmaudit.plan import PlannedMeasurement, plan_measurements
from fmaudit.plugins import card_folder, expand, load_probe, select
from fmaudit.probe import Probe
from fmaudit.running.options import RunOptions


def planned_measurements(options: RunOptions) -> list[PlannedMeasurement]:
    """Plan the chosen probes on the data at hand. Raises UsageError for data that nobody reads."""
    planned = plan_measurements(
        choose_probes(options),
        lambda probe, name: _load(probe, name, options.data),
        limit=options.limit,
        seed=options.seed,
        datasets=options.datasets,
    )
    _refuse_unused_data(planned, options)
    return planned


def choose_probes(options: RunOptions) -> list[Probe]:
    """The probe instances asked for, and those that guard every verdict."""
    ids = select(list(options.probes))
    classes = {name: load_probe(name) for name in ids}
    for name in select([]):
        if name not in classes and options.datasets is None:
            cls = _loadable(name)
            if cls is not None and cls.always:
                classes[name] = cls
    instances = [instance for name in sorted(classes) for instance in expand(classes[name])]
    for instance in instances:
        if options.samples is not None and hasattr(instance, "samples"):
            instance.samples = options.samples
    return instances


def _loadable(name: str) -> type[Probe] | None:
    try:
        return load_probe(name)
    except ProbeError:
        return None


def _load(probe: Probe, name: str, data: Mapping[str, str]) -> Dataset:
    return load_dataset(load_card(name, card_folder(type(probe))), data.get(name))


def _refuse_unused_data(planned: Sequence[PlannedMeasurement], options: RunOptions) -> None:
    used = {entry.dataset.id for entry in planned if entry.dataset is not None}
    unused = sorted(set(options.data) - used)
    if unused:
        known = sorted({name for entry in planned for name in entry.probe.datasets_of(entry.probe.variant)})
        raise UsageError(
            f"--data {unused[0]}: no chosen probe reads that data set; they read: {', '.join(known)}"
        )


def chosen_instrument(
    planned: Sequence[PlannedMeasurement], options: RunOptions
) -> tuple[Instrument | None, str]:
    """The instrument, or None with the reason; raises UsageError when the named one cannot be opened."""
    if not any(entry.probe.instruments and entry.dataset for entry in planned):
        return None, ""
    try:
        return open_instrument(options.instrument or DEFAULT, "cpu"), ""
    except UsageError as error:
        if options.instrument is not None:
            raise
        return None, f"no instrument scores the texts: {error}"
