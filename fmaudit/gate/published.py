"""The JSON Schema of policies and waivers: what an editor hints with, and what others validate with."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from fmaudit.gate.policy_model import SCHEMA as POLICY
from fmaudit.gate.policy_model import Policy
from fmaudit.gate.waivers import SCHEMA as WAIVERS
from fmaudit.gate.waivers import Waivers

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MODELS: dict[str, tuple[str, type[BaseModel]]] = {"policy": (POLICY, Policy), "waivers": (WAIVERS, Waivers)}


def file_name(what: str) -> str:
    """Name of a published schema file: of ``policy`` or ``waivers``."""
    return f"{MODELS[what][0].replace('/', '-')}.schema.json"


def schema_text(what: str) -> str:
    """The published file; the same bytes every time. What has a default is optional."""
    name, model = MODELS[what]
    found: dict[str, Any] = model.model_json_schema(by_alias=True, mode="validation")
    found |= {
        "$id": f"urn:{name.replace('/', ':')}",
        "$schema": DIALECT,
        "title": f"fmaudit {what} file, {name}",
    }
    return json.dumps(found, indent=2, sort_keys=True, ensure_ascii=True) + "\n"
