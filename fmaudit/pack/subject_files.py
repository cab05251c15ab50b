"""Whether a folder of model files is the subject that was audited, and the digest it is bound by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fmaudit.errors import UsageError
from fmaudit.pack.model_digest import model_digest

_ADAPTER_CONFIG = "adapter_config.json"


def bound_models(subjects: Mapping[str, Mapping[str, Any]], given: Mapping[str, Path]) -> dict[str, str]:
    """OpenSSF root digests by subject id.

    Args:
        subjects: The subjects of run.json, by id.
        given: Folder or file by subject id: of an adapted model that is an adapter, the adapter's folder.

    Raises:
        UsageError: an unknown subject, or files that are not those that were audited; names the part.
    """
    found: dict[str, str] = {}
    for name, place in given.items():
        if name not in subjects:
            raise UsageError(f"--model {name}: no such subject; this run has {', '.join(sorted(subjects))}")
        check_files(name, subjects[name].get("parts") or {}, place)
        found[name] = model_digest(place)
    return found


def check_files(name: str, parts: Mapping[str, str], place: Path) -> None:
    """Raise UsageError where the files at ``place`` are not the subject with these digests of parts."""
    if not place.exists():
        raise UsageError(f"--model {name}: there is no folder or file {place.name}; check the path")
    if "weights" not in parts:
        raise UsageError(
            f"--model {name}: the run never saw its weights, so that no folder can be bound to it"
        )
    is_adapter = (place / _ADAPTER_CONFIG).is_file()
    if is_adapter != ("adapter" in parts):
        what = (
            "is an adapter and the subject is none"
            if is_adapter
            else "is no adapter: name the adapter's folder"
        )
        raise UsageError(f"--model {name}: {place.name} {what}")
    own = _adapter_parts(place) if is_adapter else _model_parts(place)
    for part in sorted(own):
        if own[part] != parts.get(part):
            raise UsageError(
                f"--model {name}: {place.name} is not the model that was audited: its {part} differs"
            )


def _model_parts(place: Path) -> Mapping[str, str]:
    from fmaudit.subjects.digest import digest_subject
    from fmaudit.subjects.files import locate
    from fmaudit.subjects.spec import parse_spec

    # Files are hashed and nothing of them is loaded, so that pickles and code do no harm here.
    return digest_subject(locate(parse_spec(str(place)), allow_pickle=True, allow_remote_code=True)).parts


def _adapter_parts(place: Path) -> Mapping[str, str]:
    from fmaudit.subjects.digest import digest_subject
    from fmaudit.subjects.files import SubjectFiles
    from fmaudit.subjects.safety import read_json
    from fmaudit.subjects.spec import SubjectSpec

    weights = next(
        (
            place / name
            for name in ("adapter_model.safetensors", "adapter_model.bin")
            if (place / name).is_file()
        ),
        None,
    )
    if weights is None:
        raise UsageError(f"--model: the adapter {place.name} has no weights; check the path")
    files = SubjectFiles(
        spec=SubjectSpec("directory", str(place)),
        root=place,
        weights=(),
        tokenizer_root=place,
        adapter_root=place,
        adapter_weights=weights,
        adapter_config=read_json(place / _ADAPTER_CONFIG),
    )
    return {"adapter": digest_subject(files).parts["adapter"]}
