"""The batch plan: a pure function of row counts, lengths and budget."""

from __future__ import annotations

from collections.abc import Sequence

from fmaudit.engines.traits import Batching


def plan_batches(
    lengths: Sequence[int],
    token_budget: int,
    rows: Sequence[int] | None = None,
    *,
    batching: Batching = "padded",
) -> list[tuple[int, ...]]:
    """Group items into batches of similar length under a padded-token budget.

    Args:
        lengths: Tokens of one row of each item.
        token_budget: Padded tokens a batch may hold: its longest row times its rows.
        rows: Rows each item brings (samples, masked copies); one each by default.
        batching: What may share a batch: any items, items of equal length, or nothing.

    Returns:
        Batches of indices, shortest items first, equal lengths in the order given.
        Every index appears once; an item larger than the budget is alone in its batch.

    Raises:
        ValueError: ``token_budget`` is below 1 or ``rows`` has another length than ``lengths``.
    """
    if token_budget < 1:
        raise ValueError(f"token budget {token_budget} is below 1")
    counts = [1] * len(lengths) if rows is None else list(rows)
    if len(counts) != len(lengths):
        raise ValueError(f"{len(counts)} row counts for {len(lengths)} lengths")
    batches: list[tuple[int, ...]] = []
    batch: list[int] = []
    held = 0
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        full = (held + counts[index]) * lengths[index] > token_budget
        if batch and (full or _apart(batching, lengths[index], lengths[batch[0]])):
            batches.append(tuple(batch))
            batch, held = [], 0
        batch.append(index)
        held += counts[index]
    if batch:
        batches.append(tuple(batch))
    return batches


def _apart(batching: Batching, length: int, other: int) -> bool:
    return batching == "alone" or (batching == "equal_length" and length != other)


def split_rows(lengths: Sequence[int], token_budget: int) -> list[slice]:
    """Cut rows, in the order given, into runs whose padded size keeps to the budget.

    Returns slices that cover every row once; a row larger than the budget is alone.
    """
    runs: list[slice] = []
    start, longest = 0, 0
    for row, length in enumerate(lengths):
        longest = max(longest, length)
        if row > start and (row - start + 1) * longest > token_budget:
            runs.append(slice(start, row))
            start, longest = row, length
    if start < len(lengths):
        runs.append(slice(start, len(lengths)))
    return runs
