"""Rows of evidence without generated text: what a paired comparison needs, and nothing a model wrote."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from fmaudit.errors import UsageError
from fmaudit.evidence.rows import schema_of
from fmaudit.probe import Categorical, Gap, Probe, Statistic

NO_RESPONSES = "[]"
_RESPONSES = "responses"


def without_text(data: bytes, probe: Probe) -> bytes:
    """One part without its responses and without values of categorical measures that are no declared level.

    Everything else is kept, validity and reasons included; equal parts give equal bytes.

    Raises:
        UsageError: A number of the probe is computed from free text, so that it would change, or the
            bytes are no part of this probe.
    """
    schema = schema_of(probe.measures)
    try:
        table = pq.read_table(io.BytesIO(data))
        # Only columns that the probe declares are known to hold no text.
        kept = table.select(schema.names).cast(schema)
    except (pa.ArrowException, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"rows of {probe.id} cannot be read: {reason}; verify the run") from None
    for measure in probe.measures:
        if isinstance(measure, Categorical):
            kept = _levels_only(kept, measure, probe)
    place = kept.schema.get_field_index(_RESPONSES)
    blank = pa.array([NO_RESPONSES] * kept.num_rows, pa.string())
    kept = kept.set_column(place, kept.schema.field(place), blank)
    sink = io.BytesIO()
    pq.write_table(kept.replace_schema_metadata(table.schema.metadata), sink, compression="zstd")
    return sink.getvalue()


def _levels_only(table: pa.Table, measure: Categorical, probe: Probe) -> pa.Table:
    values = table[measure.id].to_pylist()
    kept = [value if value in measure.levels else None for value in values]
    if kept == values:
        return table
    if _computed_from(measure.id, probe.metrics) or type(probe).finish is not Probe.finish:
        raise UsageError(
            f"{probe.id} may compute a number from the free text of its measure {measure.id!r}, which a "
            "baseline does not keep: let the probe declare its levels"
        )
    place = table.schema.get_field_index(measure.id)
    return table.set_column(place, table.schema.field(place), pa.array(kept, pa.string()))


def _computed_from(name: str, metrics: Sequence[object]) -> bool:
    return any(isinstance(metric, (Statistic, Gap)) and name in metric.needs for metric in metrics)
