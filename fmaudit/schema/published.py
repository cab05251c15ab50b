"""The JSON Schema of ``audit.json``, for readers that are not this library."""

from __future__ import annotations

import json
from typing import Any

from fmaudit.schema.audit import SCHEMA, Audit

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FILE_NAME = f"{SCHEMA.replace('/', '-')}.schema.json"
SCHEMA_ID = f"urn:{SCHEMA.replace('/', ':audit:')}"


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the documents this release writes and reads.

    Fields with a default are optional, so that documents of earlier releases with the
    same schema id are valid too; ``schema`` is required, and no unknown field is allowed.
    """
    found: dict[str, Any] = Audit.model_json_schema(by_alias=True, mode="validation")
    properties = dict(found["properties"])
    properties["schema"] = {"const": SCHEMA, "title": "Schema", "type": "string"}
    return {
        **found,
        "$id": SCHEMA_ID,
        "$schema": DIALECT,
        "properties": properties,
        "required": sorted({*found["required"], "schema"}),
        "title": f"fmaudit audit.json, schema {SCHEMA}",
    }


def schema_text() -> str:
    """The published file: sorted keys, two spaces, one line feed at the end; the same bytes every time."""
    return json.dumps(json_schema(), indent=2, sort_keys=True, ensure_ascii=True) + "\n"
