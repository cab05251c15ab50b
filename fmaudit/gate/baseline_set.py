"""Taking a finished run as the baseline of the next: by command only, never by itself."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from fmaudit.analysis.measured import probes_of
from fmaudit.canonical import digest_bytes, digest_file
from fmaudit.errors import ExecutionError, UsageError
from fmaudit.evidence.atomic import write_atomically
from fmaudit.evidence.directory import AUDIT_FILE, MANIFEST_FILE, RUN_FILE, RunDirectory, retest_key
from fmaudit.gate.baseline import (
    BASELINE_FILE,
    RUN_FOLDER,
    Baseline,
    BaselineRecord,
    BaselineSubject,
    GateVerdict,
    Replaced,
    inside,
    open_baseline,
    parse_record,
)
from fmaudit.gate.baseline_rows import without_text
from fmaudit.probe import Probe
from fmaudit.question import question_of, record_id
from fmaudit.schema import Audit, read_audit

_GATE_FILE = re.compile(r"gate/[0-9a-f]{64}\.(json|policy\.yaml|waivers\.yaml)")
_RECORD_FILE = re.compile(r"gate/[0-9a-f]{64}\.json")
_STAGED, _ASIDE = RUN_FOLDER + ".new", RUN_FOLDER + ".old"


def set_baseline(run: Path, output: Path, *, reason: str = "", accept_failed: str | None = None) -> Baseline:
    """Keep of ``run`` what a later paired comparison needs, without any generated text.

    Args:
        run: A finished run that asked all items and whose latest gate record says pass.
        output: Folder of the baseline; one that stands there is replaced and noted in its history.
        reason: Why it becomes the baseline.
        accept_failed: Why it does although its latest gate record does not say pass; None demands that it
            does.

    Raises:
        UsageError: The run is unfinished, partial, not as its manifest says, or not passed; or ``output``
            holds something else.
        ExecutionError: The baseline cannot be written.
    """
    if (run / BASELINE_FILE).is_file():
        raise UsageError(f"{run.name} is a baseline itself: name the run directory of the release")
    audit = read_audit(run)
    state = RunDirectory(run).read_state()
    if state is None:
        raise UsageError(f"{run.name} has no {RUN_FILE}: it is not a run directory")
    _check_whole(run, state, audit)
    manifest = _checked_manifest(run)
    gates = _gate_verdicts(run, manifest)
    accepted = _accepted(run, gates, manifest[AUDIT_FILE], accept_failed)
    history = _history(run, output)
    staged = output / _STAGED
    try:
        shutil.rmtree(staged, ignore_errors=True)
        files = {}
        for name, data in _kept(run, state, manifest):
            write_atomically(staged / name, data)
            files[f"{RUN_FOLDER}/{name}"] = digest_bytes(data)
        record = BaselineRecord(
            tool={"name": "fmaudit", "version": metadata.version("fmaudit")},
            audit=manifest[AUDIT_FILE],
            subjects=[
                BaselineSubject(id=one.id, role=one.role, name=one.name, digest=one.digest)
                for one in audit.subjects
            ],
            gates=gates,
            reason=reason,
            accepted_failed=accepted,
            files=files,
            history=history,
        )
        _exchange(output, record)
    except OSError as error:
        raise ExecutionError(
            f"cannot write the baseline to {output.name}: {error.strerror or error}; choose another with -o"
        ) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return open_baseline(output)


def _check_whole(run: Path, state: Mapping[str, Any], audit: Audit) -> None:
    if state.get("finished") is not True:
        raise UsageError(f"{run.name} is not finished: repeat the same fmaudit run command")
    cut = next((found for found in audit.measurements if found.partial), None)
    if cut is not None or any(entry.get("partial") for entry in state.get("measurements", ())):
        name = f" ({cut.id})" if cut is not None else ""
        raise UsageError(f"{run.name} was cut short by -L{name}: a baseline needs a run of all items")


def _checked_manifest(run: Path) -> dict[str, str]:
    """The manifest, every file of which is there as it says."""
    try:
        listing = json.loads((run / MANIFEST_FILE).read_bytes())["files"]
        manifest = {str(name): str(digest) for name, digest in listing.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(
            f"{run.name} has no readable {MANIFEST_FILE}: finish the run first (repeat the command)"
        ) from None
    for name, digest in sorted(manifest.items()):
        place = run / name
        if not inside(name):
            raise UsageError(f"{MANIFEST_FILE} of {run.name} lists {name!r}, which is not in it")
        if not place.is_file():
            raise UsageError(f"{run.name}: {name} is missing: the run is not as its manifest says")
        if digest_file(place) != digest:
            raise UsageError(f"{run.name}: {name} changed: the run is not as its manifest says")
    for name in (RUN_FILE, AUDIT_FILE):
        if name not in manifest:
            raise UsageError(f"{run.name}: {name} is not in its manifest: finish the run first")
    return manifest


def _gate_verdicts(run: Path, manifest: Mapping[str, str]) -> list[GateVerdict]:
    """What the run's gate records say, in the order in which they were taken."""
    found = []
    for name in sorted(name for name in manifest if _RECORD_FILE.fullmatch(name)):
        try:
            record = json.loads((run / name).read_bytes())
            policy = record["policy"]
            verdict = GateVerdict(
                policy=policy["id"],
                digest=policy["digest"],
                verdict=record["verdict"],
                looks=record["looks"],
                # Records of earlier releases do not say which audit they were taken on.
                audit=record.get("audit", ""),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UsageError(f"{run.name}: {name} is no gate record: repeat fmaudit gate") from None
        found.append(verdict)
    unlisted = sorted({f"gate/{place.name}" for place in (run / "gate").glob("*.json")} - set(manifest))
    if unlisted:
        raise UsageError(f"{run.name}: {unlisted[0]} is not in its manifest: repeat fmaudit gate")
    return sorted(found, key=lambda one: (one.looks, one.digest))


def _accepted(run: Path, gates: list[GateVerdict], audit: str, accept_failed: str | None) -> str:
    """Why a run without a passed gate is taken; empty where it passed."""
    if accept_failed is not None and not accept_failed.strip():
        raise UsageError("--accept-failed wants a reason, which the baseline keeps")
    obstacle = _obstacle(gates, audit)
    if not obstacle:
        if accept_failed is not None:
            raise UsageError(f"the latest gate record of {run.name} says pass: leave --accept-failed out")
        return ""
    if accept_failed is None:
        raise UsageError(f"{run.name} {obstacle}, or give --accept-failed REASON")
    return accept_failed.strip()


def _obstacle(gates: list[GateVerdict], audit: str) -> str:
    if not gates:
        return "was never gated: hold it against your policy first (fmaudit gate RUN --policy FILE)"
    latest = [gate for gate in gates if gate.looks == gates[-1].looks]
    for gate in latest:
        if gate.audit != audit:
            return f"was gated (policy {gate.policy!r}) on another {AUDIT_FILE}: repeat fmaudit gate"
        if gate.verdict != "pass":
            return (
                f"did not pass its latest gate (policy {gate.policy!r}: {gate.verdict}): "
                "take the run of a release that did"
            )
    return ""


def _history(run: Path, output: Path) -> list[Replaced]:
    """What the baseline in ``output`` replaced, and then that baseline itself."""
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output.name} is a file: choose another folder with -o")
    if run.resolve() in (output.resolve(), *output.resolve().parents):
        raise UsageError(f"{output.name} lies in the run itself: choose another folder with -o")
    place = output / BASELINE_FILE
    if not place.exists():
        others = [one.name for one in output.iterdir()] if output.is_dir() else []
        if set(others) - {_STAGED}:
            raise UsageError(f"{output.name} is not empty and holds no baseline: choose another with -o")
        return []
    before = parse_record(place.read_bytes(), output)
    left = Replaced(audit=before.audit, reason=before.reason, accepted_failed=before.accepted_failed)
    return [*before.history, left]


def _kept(run: Path, state: Mapping[str, Any], manifest: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """Every file of a baseline with its bytes."""
    for name in (RUN_FILE, AUDIT_FILE, *sorted(name for name in manifest if _GATE_FILE.fullmatch(name))):
        yield name, _bytes(run, name, manifest)
    records = [entry for entry in state["measurements"] if entry["state"] == "measured"]
    probes = probes_of(records)
    retested = set(state.get("retests", ()))
    for entry in records:
        probe = probes[question_of(entry)]
        measured = record_id(entry)
        _check_version(measured, entry, probe)
        keys = [entry["key"], *([retest_key(entry["key"])] if measured in retested else [])]
        for key in keys:
            folder = f"evidence/{entry['subject']}/{key}"
            parts = sorted(place.name for place in (run / folder).glob("part-*.parquet"))
            for part in parts:
                name = f"{folder}/{part}"
                yield name, without_text(_bytes(run, name, manifest), probe)


def _check_version(name: str, entry: Mapping[str, Any], probe: Probe) -> None:
    if probe.version != entry["version"]:
        raise UsageError(
            f"{name} was measured by version {entry['version']} of {probe.id} and version {probe.version} is "
            "installed: install the former"
        )


def _bytes(run: Path, name: str, manifest: Mapping[str, str]) -> bytes:
    """The bytes that the manifest speaks of, even if the file was changed since it was checked."""
    data = (run / name).read_bytes()
    if manifest.get(name) != digest_bytes(data):
        raise UsageError(f"{run.name}: {name} is not as its manifest says: repeat the fmaudit run command")
    return data


def _exchange(output: Path, record: BaselineRecord) -> None:
    """Put the staged files in place; a kill in between leaves a baseline that is refused."""
    # The record comes first, so that a folder is only ever replaced where it says whose it is.
    write_atomically(output / BASELINE_FILE, record.to_bytes())
    kept, aside = output / RUN_FOLDER, output / _ASIDE
    shutil.rmtree(aside, ignore_errors=True)
    if kept.exists():
        kept.replace(aside)
    (output / _STAGED).replace(kept)
    shutil.rmtree(aside, ignore_errors=True)
