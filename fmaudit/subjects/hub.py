"""Hub ids: the local cache first; the network only because the user named something that is not local."""

from __future__ import annotations

from pathlib import Path

from fmaudit.errors import SubjectError

_PATTERNS = ["*.json", "*.jinja", "*.safetensors", "*.txt", "*.model", "additional_chat_templates/*"]


def snapshot(
    repo_id: str, revision: str | None, allow_pickle: bool, allow_remote_code: bool
) -> tuple[Path, str]:
    """Directory of a hub model's snapshot, and its commit.

    Raises:
        SubjectError: not in the cache, and the hub cannot be reached or does not know it.
    """
    patterns = _PATTERNS + ["*.bin"] * allow_pickle + ["*.py"] * allow_remote_code
    cached = _fetch(repo_id, revision, patterns, offline=True)
    if isinstance(cached, Path) and _has_weights(cached):
        return cached, cached.name
    fetched = _fetch(repo_id, revision, patterns, offline=False)
    if isinstance(fetched, Path):
        return fetched, fetched.name
    raise SubjectError(
        f"no model {repo_id!r}: no such directory here, not in the hub cache, and the hub did not give it "
        f"({type(fetched).__name__}); check the name, or download it first and name its directory"
    )


def _has_weights(root: Path) -> bool:
    indexed = (root / "model.safetensors.index.json").is_file()
    shards = list(root.glob("*.safetensors"))
    adapter = (root / "adapter_config.json").is_file()
    return (
        bool(shards or list(root.glob("*.bin")))
        and (adapter or (root / "config.json").is_file())
        and (not indexed or all(shard.is_file() for shard in shards))
    )


def _fetch(repo_id: str, revision: str | None, patterns: list[str], *, offline: bool) -> Path | Exception:
    import huggingface_hub

    from fmaudit.subjects.quiet import quiet

    try:
        with quiet():
            path = huggingface_hub.snapshot_download(
                repo_id, revision=revision, allow_patterns=patterns, local_files_only=offline
            )
    except Exception as error:  # the client's failures have no common type, and all mean the same here
        return error
    return Path(str(path))
