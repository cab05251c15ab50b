"""Identity by content: what a subject is, independent of where it lies.

What changes an answer takes part: tensors, configuration, tokenizer, the tokens that
end a generated text. What does not, takes none: how tensors are spread over files,
metadata, the order of keys and of set-valued fields, a machine's paths, the writing
library's version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmaudit.canonical import digest, digest_bytes, digest_file
from fmaudit.subjects.files import TOKENIZER_FILES, SubjectFiles
from fmaudit.subjects.safety import code_files, read_json
from fmaudit.subjects.tensor_digest import tensors_digest

DigestCache = MutableMapping[tuple[Path, ...], str]
_CONFIG_NOISE = frozenset({"_name_or_path", "transformers_version"})
_ADAPTER_NOISE = frozenset({"base_model_name_or_path", "peft_version", "inference_mode"})
_ADAPTER_SETS = frozenset({"target_modules", "modules_to_save", "exclude_modules", "target_parameters"})
_TOKENIZER_NOISE = frozenset(
    {
        "name_or_path",
        "chat_template",
        "transformers_version",
        "is_local",
        "tokenizer_file",
        "special_tokens_map_file",
    }
)


@dataclass(frozen=True, slots=True)
class SubjectDigest:
    """``total`` identifies the subject; ``parts`` says in what two subjects differ.

    Parts: ``weights``, ``config``, and where the subject has them ``adapter``,
    ``tokenizer``, ``chat_template``, ``code``, and ``generation`` where its
    generation_config.json ends texts at other tokens than its config.json. A GGUF
    file's weights digest also covers its configuration, tokenizer and template.
    """

    parts: Mapping[str, str]
    total: str


def digest_subject(files: SubjectFiles, cache: DigestCache | None = None) -> SubjectDigest:
    """Digest every file of a subject; ``cache`` keeps a shared base from being read twice."""
    cache = {} if cache is None else cache
    parts = {"weights": weights_digest(files, cache)}
    if files.config:
        parts["config"] = _digest_json(_without(files.config, _CONFIG_NOISE))
    ends = _generation_ends(files)
    if ends is not None and ends != _ends(files.config):
        parts["generation"] = digest({"eos": ends})
    if files.adapter_weights is not None:
        parts["adapter"] = digest(
            {
                "config": _adapter_config_digest(files),
                "weights": _tensors((files.adapter_weights,), cache),
            }
        )
    if not files.tokenizer_is_gguf:
        parts |= _tokenizer_parts(files.tokenizer_root, cache)
    code = [] if files.is_gguf else code_files(files.root)
    if code:
        parts["code"] = digest({path.name: digest_file(path) for path in code})
    return SubjectDigest(parts, digest(parts))


def weights_digest(files: SubjectFiles, cache: DigestCache | None = None) -> str:
    """Digest of the base weights alone, without configuration and adapter."""
    return _tensors(files.weights, {} if cache is None else cache)


def _tensors(paths: tuple[Path, ...], cache: DigestCache) -> str:
    if paths not in cache:
        cache[paths] = tensors_digest(paths)
    return cache[paths]


def _generation_ends(files: SubjectFiles) -> list[int] | None:
    """The end tokens of generation_config.json, the one thing that sampling takes from it."""
    path = files.root / "generation_config.json"
    return _ends(read_json(path)) if path.is_file() else None


def _ends(config: Mapping[str, Any]) -> list[int]:
    declared = config.get("eos_token_id")
    many = declared if isinstance(declared, list) else [declared]
    return sorted({int(end) for end in many if end is not None})


def _without(value: Mapping[str, Any], noise: frozenset[str]) -> dict[str, Any]:
    return {key: entry for key, entry in value.items() if key not in noise}


def _digest_json(value: Any) -> str:
    # RFC 8785 has no integers beyond 2^53, but tokenizers use 10^30 for "no limit".
    return digest_bytes(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def _adapter_config_digest(files: SubjectFiles) -> str:
    config = _without(files.adapter_config, _ADAPTER_NOISE)
    for key in _ADAPTER_SETS & config.keys():
        if isinstance(config[key], list):
            config[key] = sorted(config[key])
    return _digest_json(config)


def _tokenizer_parts(root: Path, cache: DigestCache) -> dict[str, str]:
    hashed = {name: _text(root / name, cache) for name in TOKENIZER_FILES if (root / name).is_file()}
    config_path = root / "tokenizer_config.json"
    config = read_json(config_path) if config_path.is_file() else {}
    hashed["tokenizer_config.json"] = _digest_json(_without(config, _TOKENIZER_NOISE))
    parts = {"tokenizer": digest(hashed)}
    templates = _chat_templates(root, config)
    if templates:
        parts["chat_template"] = _digest_json(templates)
    return parts


def _text(path: Path, cache: DigestCache) -> str:
    """Digest of a tokenizer's file; of its content where that is JSON."""
    if (path,) not in cache:
        cache[(path,)] = _digest_json(read_json(path)) if path.suffix == ".json" else digest_file(path)
    return cache[(path,)]


def _chat_templates(root: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    templates: dict[str, Any] = {}
    if config.get("chat_template"):
        templates["default"] = config["chat_template"]
    legacy = root / "chat_template.json"
    if legacy.is_file():
        templates["default"] = read_json(legacy).get("chat_template")
    main = root / "chat_template.jinja"
    if main.is_file():
        templates["default"] = main.read_text(encoding="utf-8")
    for extra in sorted((root / "additional_chat_templates").glob("*.jinja")):
        templates[extra.stem] = extra.read_text(encoding="utf-8")
    return templates
