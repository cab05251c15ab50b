"""Data sets of the Hugging Face hub: the only part of the loaders that may reach the network."""

from __future__ import annotations

from typing import Any

from fmaudit.cards import Card
from fmaudit.data.files import Records, flatten, quiet_datasets
from fmaudit.errors import DataError


def read_hub(card: Card, reference: str) -> tuple[Records, bool]:
    """Rows of a hub data set, and whether they are the card's pinned revision.

    Args:
        card: its source is what an empty ``reference`` means.
        reference: ``REPO[@REVISION][#SPLIT]`` or empty.

    Raises:
        DataError: nothing pinned, unknown repository or split, or no network.
    """
    source = card.source
    repository, revision, split = _parse(reference) if reference else ("", "", "")
    pinned = not repository
    if pinned:
        if not source.repository:
            raise DataError(f"data set {card.id} is not on the hub; write hub:REPO@REVISION or a path")
        repository, revision, split = source.repository, source.revision, source.split
    try:
        with quiet_datasets() as datasets:
            loaded = datasets.load_dataset(
                repository,
                name=(source.config or None) if pinned else None,
                revision=revision or None,
                split=split or None,
            )
    # The hub client, datasets and the network each raise errors of their own kind.
    except Exception as error:
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"data set {card.id}: cannot load {repository} from the hub: {cause}; "
            f"check the name and the network, or get it by hand and use --data {card.id}=PATH"
        ) from None
    table = _one_split(card, repository, loaded)
    rows = [(number, flatten(dict(row))) for number, row in enumerate(table, 1)]
    if not rows:
        raise DataError(f"data set {card.id}: {repository} has no rows; choose another split")
    return Records(repository, "row", False, rows), pinned


def _parse(reference: str) -> tuple[str, str, str]:
    """``REPO[@REVISION][#SPLIT]`` in its three parts."""
    head, _, split = reference.partition("#")
    repository, _, revision = head.partition("@")
    if not repository:
        raise DataError(f"hub:{reference} names no repository; write hub:REPO[@REVISION][#SPLIT]")
    return repository, revision, split


def _one_split(card: Card, repository: str, loaded: Any) -> Any:
    if not isinstance(loaded, dict):
        return loaded
    if len(loaded) > 1:
        raise DataError(
            f"data set {card.id}: {repository} has the splits {', '.join(map(str, loaded))}; "
            f"choose one: hub:{repository}#SPLIT"
        )
    return next(iter(loaded.values()))
