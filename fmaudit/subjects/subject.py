"""Subjects ready to be asked: lazily loaded, base and adapters on one shared model."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from fmaudit.canonical import digest as digest_of
from fmaudit.engines.start import Start, own_start
from fmaudit.engines.traits import ModelTraits
from fmaudit.errors import SubjectError
from fmaudit.subjects.adapters import attach, refuse_prompt_learning, sharing_key, switch
from fmaudit.subjects.digest import DigestCache, SubjectDigest, digest_subject
from fmaudit.subjects.files import SubjectFiles, locate
from fmaudit.subjects.labels import label_fault
from fmaudit.subjects.load import Kind, LoadOptions, load_model, load_tokenizer, model_kind
from fmaudit.subjects.logits import probe_logits
from fmaudit.subjects.safety import read_json
from fmaudit.subjects.spec import SubjectSpec
from fmaudit.subjects.vocabulary import check_vocabulary, make_room, resized_rows

_NO_LIMIT = 1 << 24


class LoadedSubject:
    """One model under audit. Identity is known at once; weights are loaded on first use.

    Args:
        files: The subject's checked files.
        identity: Their digests.
        shared: The model it runs on, possibly with other subjects.
        adapter_key: The name of its adapter on that model; ``None`` for the base.
    """

    def __init__(
        self, files: SubjectFiles, identity: SubjectDigest, shared: SharedModel, adapter_key: str | None
    ) -> None:
        self.files = files
        self.spec: SubjectSpec = files.spec
        self.kind: Kind = shared.kind
        self.digest: str = identity.total
        self.parts: Mapping[str, str] = identity.parts
        self.device: str = shared.device
        self.dtype: str = shared.dtype
        self._shared = shared
        self._adapter_key = adapter_key
        self._notes: list[str] = list(files.notes)
        self._start: Start | None = None

    @property
    def name(self) -> str:
        """What documents show."""
        return self.spec.name

    @property
    def notes(self) -> tuple[str, ...]:
        """What the report has to say about how this subject was loaded."""
        return (*self._notes, *self._shared.notes)

    def note(self, text: str) -> None:
        """Add a line for the report; a repeated one is kept once."""
        if text not in self._notes:
            self._notes.append(text)

    @property
    def is_loaded(self) -> bool:
        """Whether the weights are in memory."""
        return self._shared.is_loaded

    @property
    def model(self) -> Any:
        """The transformers model, loaded if it was not; ask it only inside :meth:`active`."""
        return self._shared.load()

    @property
    def plain_logits(self) -> Sequence[Any]:
        """Logits of the fixed texts before any adapter touched the shared model."""
        return self._shared.plain_logits(self.tokenizer)

    @cached_property
    def tokenizer(self) -> Any:
        """The fast tokenizer; the adapter's own where its directory holds one."""
        return self._shared.tokenizer(self.files)

    @contextmanager
    def active(self) -> Iterator[Any]:
        """The model with this subject's adapter on (every adapter off for a base). Cheap when already so."""
        yield self._shared.switch(self._adapter_key)

    def shares_model_with(self, other: LoadedSubject) -> bool:
        """Whether both run on one loaded model."""
        return self._shared is other._shared

    @property
    def carries_adapters(self) -> bool:
        """Whether adapters are on the model it runs on, switched off or on."""
        return bool(self._shared.adapters)

    def release(self) -> None:
        """Drop the weights from memory, for every subject that shares them; the next use loads them again."""
        self._shared.release()

    @cached_property
    def context_length(self) -> int:
        """Tokens the model can hold: by its configuration, its position tables and its tokenizer."""
        from fmaudit.engines.positions import position_rows

        with self.active() as model:
            return context_length(model.config, self.tokenizer, position_rows(model, self.device))

    @cached_property
    def traits(self) -> ModelTraits:
        """How it has to be asked, found out by asking it with its adapter on."""
        from fmaudit.engines.asking import ask_traits
        from fmaudit.engines.operation import LoadedModel

        with self.active() as model:
            return ask_traits(LoadedModel(model, self.tokenizer, self.device, self.context_length), self.kind)

    @cached_property
    def eos_ids(self) -> tuple[int, ...]:
        """Every token id that ends a text: of tokenizer, configuration and generation configuration."""
        generation = self.files.root / "generation_config.json"
        declared = [self.tokenizer.eos_token_id, getattr(self.model.config, "eos_token_id", None)]
        if generation.is_file() and not self.files.is_gguf:
            declared.append(read_json(generation).get("eos_token_id"))
        flat = [ids for entry in declared for ids in (entry if isinstance(entry, list) else [entry])]
        return tuple(sorted({int(value) for value in flat if value is not None}))

    @property
    def start(self) -> Start:
        """What its texts are scored from: what its run has in common, else what its tokenizer asks for."""
        return own_start(self.tokenizer) if self._start is None else self._start

    def start_from(self, start: Start) -> None:
        """Score its texts from ``start`` from now on."""
        self._start = start

    @cached_property
    def pad_id(self) -> int:
        """A valid id for padding, always masked."""
        return next((int(v) for v in (self.tokenizer.pad_token_id, *self.eos_ids) if v is not None), 0)


def context_length(config: Any, tokenizer: Any, positions: int | None = None) -> int:
    """Tokens that a model of this configuration can hold, with this tokenizer.

    ``positions``: the reach of its position tables, where it has some and was asked.
    Configurations of models without absolute positions may say -1, which limits nothing.
    """
    declared = (getattr(config.get_text_config(), "max_position_embeddings", None), positions)
    limits = (*declared, tokenizer.model_max_length)
    return int(min((limit for limit in limits if limit and 0 < limit < _NO_LIMIT), default=_NO_LIMIT))


class SharedModel:
    """One set of base weights with the adapters of every subject that can share it."""

    def __init__(self, files: SubjectFiles, options: LoadOptions, pool: list[SharedModel]) -> None:
        self.files = files
        self.kind: Kind = model_kind(files)
        self.device = options.resolve_device()
        self.dtype = options.resolve_dtype()
        self.adapters: dict[str, SubjectFiles] = {}
        self.members: list[SubjectFiles] = []
        self.notes: tuple[str, ...] = ()
        self._options = options
        self._pool = pool
        self._model: Any = None
        self._wrapped: Any = None
        self._on: str | None = None
        self._plain: dict[str, Sequence[Any]] = {}
        self._tokenizers: dict[str, Any] = {}

    @property
    def is_loaded(self) -> bool:
        """Whether the weights are in memory."""
        return self._model is not None

    def load(self) -> Any:
        """The model with its adapters on it, switched off; other models leave memory first."""
        if self._model is None:
            for other in self._pool:
                if other is not self:
                    other.release()
            model, notes = load_model(self.files, self._options)
            self.notes = tuple(notes)
            for files in self.adapters.values():
                rows = resized_rows(files)
                if rows is not None:
                    make_room(model, rows)
            for files in self.members:
                check_vocabulary(model, self.tokenizer(files), self.kind, files)
            if self.adapters:
                self._record_plain(model)
                self._wrapped = attach(model, self.adapters, self.device)
            self._model = model
            self._on = None
        return self._model

    def switch(self, adapter_key: str | None) -> Any:
        """The model with that adapter on, or with all off."""
        model = self.load()
        if self._wrapped is not None and self._on != adapter_key:
            switch(self._wrapped, adapter_key)
            self._on = adapter_key
        return model

    def release(self) -> None:
        """Drop the weights."""
        if self._model is None:
            return
        self._model = self._wrapped = None
        gc.collect()
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()

    def tokenizer(self, files: SubjectFiles) -> Any:
        """The tokenizer of one of the subjects, loaded once a directory."""
        key = str(files.tokenizer_root)
        if key not in self._tokenizers:
            self._tokenizers[key] = load_tokenizer(files, self._options)
        return self._tokenizers[key]

    def plain_logits(self, tokenizer: Any) -> Sequence[Any]:
        """Logits of the fixed texts without adapters, as they were before any was put on."""
        if not self.adapters:
            return probe_logits(self.load(), tokenizer, self.kind)
        self.load()
        return self._plain[_tokenizer_key(tokenizer)]

    def _record_plain(self, model: Any) -> None:
        for files in self.members:
            tokenizer = self.tokenizer(files)
            self._plain[_tokenizer_key(tokenizer)] = probe_logits(model, tokenizer, self.kind)


def open_subjects(specs: Sequence[SubjectSpec], options: LoadOptions | None = None) -> list[LoadedSubject]:
    """Find, check and identify every subject, in the order given; loads no weights.

    A base and the adapters on it run on one loaded model where PEFT can switch them
    off again. At most one model is in memory at a time.

    Raises:
        SubjectError: a model is unknown, incomplete, half-written, unsafe or of no known kind.
        UsageError: the device or dtype is unknown.
    """
    options = options or LoadOptions()
    cache: DigestCache = {}
    found: list[tuple[SubjectFiles, SubjectDigest]] = []
    for spec in specs:
        files = locate(spec, allow_pickle=options.allow_pickle, allow_remote_code=options.allow_remote_code)
        refuse_prompt_learning(files)
        _check_labels(files)
        found.append((files, digest_subject(files, cache)))
    homes = _first_sharing_keys(found)
    pool: list[SharedModel] = []
    shared: dict[str, SharedModel] = {}
    subjects = []
    for position, (files, identity) in enumerate(found):
        group = _group(files, identity, homes, position)
        if group not in shared:
            shared[group] = SharedModel(files, options, pool)
            pool.append(shared[group])
        key = f"subject{position}" if files.adapter_root is not None else None
        shared[group].members.append(files)
        if key is not None:
            shared[group].adapters[key] = files
        subjects.append(LoadedSubject(files, identity, shared[group], key))
    return subjects


def _check_labels(files: SubjectFiles) -> None:
    fault = label_fault(files.config) if model_kind(files) == "classifier" else ""
    if fault:
        raise SubjectError(f"classifier {files.spec.name!r}: {fault}")


def _base_identity(identity: SubjectDigest) -> str:
    return digest_of(
        {part: identity.parts.get(part, "") for part in ("weights", "config", "code", "generation")}
    )


def _first_sharing_keys(found: Sequence[tuple[SubjectFiles, SubjectDigest]]) -> dict[str, str]:
    homes: dict[str, str] = {}
    for files, identity in found:
        key = sharing_key(files) if files.adapter_root is not None else None
        if key is not None:
            homes.setdefault(_base_identity(identity), key)
    return homes


def _group(files: SubjectFiles, identity: SubjectDigest, homes: Mapping[str, str], position: int) -> str:
    base = _base_identity(identity)
    if files.adapter_root is None:
        return f"{base}/{homes.get(base, '')}"
    key = sharing_key(files)
    return f"{base}/{key}" if key is not None else f"{base}/alone/{position}"


def _tokenizer_key(tokenizer: Any) -> str:
    return str(id(tokenizer))
