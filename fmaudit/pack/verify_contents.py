"""Whether the documents of a pack agree with each other: audit, run, policies, records and rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fmaudit.canonical import DIGEST_PREFIX
from fmaudit.errors import FmauditError
from fmaudit.evidence.directory import RETEST_SUFFIX
from fmaudit.pack.bagit import ATTESTATIONS, PAYLOAD
from fmaudit.pack.derived import derived_files
from fmaudit.pack.faults import Fault, PackFault
from fmaudit.pack.json_text import MAX_JSON, read_object
from fmaudit.pack.public_files import REDACTIONS_FILE, split
from fmaudit.pack.records import GateRecord, is_gate_record, read_gate, read_redactions, read_run
from fmaudit.pack.verify_files import read_limited
from fmaudit.pack.yaml_text import check_yaml

RUN, AUDIT = f"{PAYLOAD}run.json", f"{PAYLOAD}audit.json"
MAX_POLICY = 1 << 20
_PART = re.compile(r"data/evidence/([^/]+)/([^/]+)/part-([0-9]+)\.parquet")


def run_of(folder: Path, digests: Mapping[str, str]) -> dict[str, Any]:
    """The content of run.json. Raises PackFault where it is missing, none, or of an unfinished run."""
    if RUN not in digests:
        raise PackFault(RUN, "is missing")
    state = read_run(read_limited(folder, RUN, MAX_JSON), RUN)
    if not state["finished"]:
        raise PackFault(RUN, "is of a run that was not finished")
    return state


def gates_of(folder: Path, digests: Mapping[str, str]) -> tuple[GateRecord, ...]:
    """The gate's records. Raises PackFault for one that is none, or lies under another policy's name."""
    found = []
    for name in sorted(digests):
        if is_gate_record(name.removeprefix(PAYLOAD)):
            record = read_gate(read_limited(folder, name, MAX_JSON), name)
            if name != f"{PAYLOAD}gate/{record.stem}.json":
                raise PackFault(name, "has not the name of the policy it was made with")
            found.append(record)
    return tuple(found)


def redactions_of(folder: Path, digests: Mapping[str, str]) -> dict[str, Any]:
    """``redactions.json`` of a public pack. Raises PackFault where it is missing or none."""
    name = PAYLOAD + REDACTIONS_FILE
    if name not in digests:
        raise PackFault(name, "is missing from a public pack")
    found = read_redactions(read_limited(folder, name, MAX_JSON), name)
    levels = {place: {m: set(v) for m, v in named.items()} for place, named in found["levels"].items()}
    return found | {"levels": levels}


def document_faults(
    folder: Path, digests: Mapping[str, str], state: Mapping[str, Any], gates: tuple[GateRecord, ...]
) -> Iterator[Fault]:
    """What audit, policies, subjects and environment say that another document does not."""
    yield from _audit_faults(folder, digests, state)
    for gate in gates:
        yield from _gate_faults(folder, digests, gate)
    try:
        derived = {PAYLOAD + name: data for name, data in derived_files(state).items()}
    except FmauditError as error:
        yield Fault(RUN, str(error))
        return
    for name, data in derived.items():
        if name not in digests or read_limited(folder, name, MAX_JSON) != data:
            yield Fault(name, f"is missing, or does not say what {RUN} says")
    for name in sorted(digests):
        if name.startswith(f"{PAYLOAD}subjects/") and name not in derived:
            yield Fault(name, f"is of no subject in {RUN}")


def row_faults(
    folder: Path, digests: Mapping[str, str], state: Mapping[str, Any], redactions: Mapping[str, Any] | None
) -> Iterator[Fault]:
    """Evidence that is incomplete, belongs to no measurement, or holds texts that a public pack may not."""
    from fmaudit.pack.verify_rows import part_fault, rows_fault

    known = {(entry["subject"], entry["key"]) for entry in state["measurements"]}
    parts: dict[tuple[str, str], list[str]] = {}
    for name in sorted(name for name in digests if name.startswith(f"{PAYLOAD}evidence/")):
        match = _PART.fullmatch(name)
        if match is None or (match[1], match[2].removesuffix(RETEST_SUFFIX)) not in known:
            yield Fault(name, f"is evidence of no measurement in {RUN}")
            continue
        parts.setdefault((match[1], match[2]), []).append(name)
    for entry in state["measurements"]:
        if entry["state"] == "measured":
            asked = (entry.get("dataset") or {}).get("n_asked", 0)
            place = f"{PAYLOAD}evidence/{entry['subject']}/{entry['key']}"
            yield from rows_fault(folder, place, parts.get((entry["subject"], entry["key"]), []), asked)
    if redactions is not None:
        for (subject, key), names in sorted(parts.items()):
            levels = redactions["levels"].get(f"{subject}/{key.removesuffix(RETEST_SUFFIX)}", {})
            for name in names:
                yield from part_fault(folder, name, levels)


def public_faults(digests: Mapping[str, str], redactions: Mapping[str, Any]) -> Iterator[Fault]:
    """Files that do not belong into a public pack, and parts whose redaction is not recorded."""
    own = {PAYLOAD + REDACTIONS_FILE, f"{PAYLOAD}environment.json"}
    names = [
        name.removeprefix(PAYLOAD)
        for name in digests
        if name.startswith(PAYLOAD)
        and name not in own
        and not name.startswith((ATTESTATIONS, f"{PAYLOAD}subjects/"))
    ]
    files = split(names)
    for name in files.left_out:
        yield Fault(PAYLOAD + name, "does not belong into a public pack")
    recorded = {entry["file"] for entry in redactions["evidence"]}
    for name in sorted({*files.redacted} ^ recorded):
        yield Fault(PAYLOAD + name, f"is in the pack or in {REDACTIONS_FILE}, and not in both")


def _audit_faults(folder: Path, digests: Mapping[str, str], state: Mapping[str, Any]) -> Iterator[Fault]:
    from fmaudit.schema import read_audit

    if AUDIT not in digests:
        yield Fault(AUDIT, "is missing")
        return
    read_object(read_limited(folder, AUDIT, MAX_JSON), AUDIT)
    try:
        audit = read_audit(folder / AUDIT)
    except FmauditError as error:
        yield Fault(AUDIT, str(error))
        return
    audited = {subject.id: subject.digest for subject in audit.subjects}
    if audited != {entry["id"]: entry.get("digest", "") for entry in state["subjects"]}:
        yield Fault(AUDIT, f"is of other subjects than {RUN}")


def _gate_faults(folder: Path, digests: Mapping[str, str], gate: GateRecord) -> Iterator[Fault]:
    from fmaudit.gate.policy import parse_policy

    record, policy = (f"{PAYLOAD}gate/{gate.stem}.{ending}" for ending in ("json", "policy.yaml"))
    if policy not in digests:
        yield Fault(policy, f"is missing: {record} was made with it")
        return
    try:
        text = read_limited(folder, policy, MAX_POLICY).decode("utf-8", "replace")
        check_yaml(text, policy)
        found = parse_policy(text, policy)
    except FmauditError as error:
        yield Fault(policy, str(error).removeprefix(f"{policy}, "))
        return
    if found.digest != gate.policy.digest or found.policy.id != gate.policy.id:
        yield Fault(policy, f"is not the policy that {record} was made with")
    if gate.audit and gate.audit != DIGEST_PREFIX + digests.get(AUDIT, ""):
        yield Fault(record, f"is of another {AUDIT}")
    if gate.waivers and f"{PAYLOAD}gate/{gate.stem}.waivers.yaml" not in digests:
        yield Fault(record, "uses waivers, and their file is missing")
