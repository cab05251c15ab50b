from __future__ import annotations

import hashlib
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

DATE = "2026-01-02T03-04-05.678901"


def hashed(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def sample(
    doc_id: int, values: dict[str, Any], *, subject: str = "a", filter_: str = "none"
) -> dict[str, Any]:
    doc = {"question": f"Question {doc_id}?", "subject": subject}
    return {
        "doc_id": doc_id,
        "doc": doc,
        "target": "yes",
        "arguments": {"gen_args_0": {"arg_0": doc["question"], "arg_1": {"until": ["\n"]}}},
        "resps": [["answer"]],
        "filtered_resps": [f"answer {doc_id}"],
        "filter": filter_,
        "metrics": list(values),
        "doc_hash": hashed(doc),
        "prompt_hash": hashed(doc["question"]),
        "target_hash": hashed("yes"),
        **values,
    }


def results(task: str, metrics: dict[str, Any], n: int, **changes: Any) -> dict[str, Any]:
    """What lm-evaluation-harness writes beside its samples; ``metrics`` by ``name,filter``."""
    names = list(dict.fromkeys(name.partition(",")[0] for name in metrics))
    higher = changes.pop("higher", dict.fromkeys(names, True))
    found = {
        "results": {task: {"alias": task, **metrics}},
        "configs": {
            task: {
                "task": task,
                "dataset_path": "toy/data",
                "doc_to_text": "{{question}}",
                "metric_list": [{"metric": name, "aggregation": changes.get(name, "mean")} for name in names],
                "output_type": "generate_until",
                "generation_kwargs": {"until": ["\n"], "do_sample": False},
                "repeats": 1,
            }
        },
        "versions": {task: changes.pop("version", 1.0)},
        "n-shot": {task: changes.pop("shots", 0)},
        "higher_is_better": {task: higher},
        "n-samples": {task: {"original": changes.pop("original", n), "effective": n}},
        "config": {"model": "hf", "model_dtype": changes.pop("dtype", "torch.float32"), "device": "cuda:0"},
        "model_name": changes.pop("model", "toy/base"),
        "lm_eval_version": "0.4.13",
        "chat_template": None,
    }
    return found


@pytest.fixture
def write_log(tmp_path: Path) -> Callable[..., Path]:
    """Writes samples and results as lm-evaluation-harness does; returns the samples file."""

    def write(
        name: str, samples: list[dict[str, Any]], summary: dict[str, Any] | None, task: str = "toy"
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        path = folder / f"samples_{task}_{DATE}.jsonl"
        path.write_text("".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in samples), "utf-8")
        if summary is not None:
            (folder / f"results_{DATE}.json").write_text(json.dumps(summary), "utf-8")
        return path

    return write


@pytest.fixture
def accuracy_log(write_log: Callable[..., Path]) -> Callable[..., Path]:
    """A log of one accuracy whose per-item values are drawn with ``seed`` at ``rate``."""

    def make(name: str, rate: float, *, n: int = 80, seed: int = 0, **changes: Any) -> Path:
        draw = random.Random(seed)
        values = [float(draw.random() < rate) for _ in range(n)]
        samples = [sample(i, {"acc": v}, subject="abcd"[i % 4]) for i, v in enumerate(values)]
        return write_log(
            name, samples, results("toy", {"acc,none": sum(values) / n}, n, model=name, **changes)
        )

    return make


def evaluation(task: str = "sums", **changes: Any) -> dict[str, Any]:
    """The header of a log of Inspect."""
    count = changes.pop("count")
    return {
        "task": task,
        "task_version": changes.pop("version", 3),
        "task_args": {},
        "dataset": {"name": "toy", "samples": count, "sample_ids": [f"q{i}" for i in range(count)]},
        "model": changes.pop("model", "provider/model"),
        "model_generate_config": {"temperature": 0.5},
        "config": {"epochs": changes.pop("epochs", 1)},
        "packages": {"inspect_ai": "0.3.285"},
        "scorers": [
            {"name": "match", "options": changes.pop("options", {}), "metrics": [{"name": "accuracy"}]}
        ],
    }


def scored(place: int, value: Any, *, epoch: int = 1, **changes: Any) -> dict[str, Any]:
    """A sample of a log of Inspect; messages carry random ids as the tool writes them."""
    return {
        "id": f"q{place}",
        "epoch": epoch,
        "input": [{"id": f"r{random.random()}", "role": "user", "content": f"What is {place}?"}],
        "target": str(place),
        "metadata": {"subject": "odd" if place % 2 else "even"},
        "scores": {} if value is None else {"match": {"value": value}},
        "output": {"completion": f"It is {place}."},
        **changes,
    }


def inspect_log(samples: list[dict[str, Any]], accuracy: float | None, **changes: Any) -> dict[str, Any]:
    count = changes.pop("count", len({entry["id"] for entry in samples}))
    metrics = {} if accuracy is None else {"accuracy": {"name": "accuracy", "value": accuracy}}
    return {
        "version": 2,
        "status": changes.pop("status", "success"),
        "plan": {"steps": [{"solver": changes.pop("solver", "generate"), "params": {}}], "config": {}},
        "results": {"scores": [{"name": "match", "scorer": "match", "metrics": metrics}]},
        "eval": evaluation(count=count, **changes),
        "samples": samples,
    }


@pytest.fixture
def kit() -> SimpleNamespace:
    """The builders above, for tests."""
    return SimpleNamespace(
        date=DATE, sample=sample, results=results, scored=scored, inspect_log=inspect_log, zipped=zipped
    )


def zipped(path: Path, members: dict[str, Any], method: int) -> Path:
    """A zip archive of JSON members, stored (0), deflated (8) or packed with zstandard (93)."""
    if method != 93:
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, content in members.items():
                archive.writestr(name, json.dumps(content))
        return path
    body, index = b"", b""
    for name, content in members.items():
        data, label = json.dumps(content).encode(), name.encode()
        packed = pa.Codec("zstd").compress(data, asbytes=True)
        fields = struct.pack(
            "<HHHHHIIIHH", 20, 0, 93, 0, 33, zlib.crc32(data), len(packed), len(data), len(label), 0
        )
        index += (
            b"PK\1\2" + struct.pack("<H", 20) + fields + struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + label
        )
        body += b"PK\3\4" + fields + label + packed
    end = struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(index), len(body), 0)
    path.write_bytes(body + index + b"PK\5\6" + end)
    return path
