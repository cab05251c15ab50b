"""The root digest of OpenSSF model signing, against values that ``model-signing`` 1.1.1 gave."""

from __future__ import annotations

import hashlib
import os

import pytest

from fmaudit.errors import UsageError
from fmaudit.pack.model_digest import model_digest

FILES = {
    "config.json": b"{}",
    "weights/part.bin": b"\x00\x01\x02",
    "weights-2.bin": b"w2",
    "weights.bin": b"w",
    "tokenizer/vocab.txt": b"a\nb\n",
    "a/.git/inner": b"kept",
    ".gitattributes": b"ignored",
    ".git/HEAD": b"ignored",
    ".github/x.yml": b"ignored",
    ".gitignore": b"ignored",
}


@pytest.fixture
def model(tmp_path):
    for name, data in FILES.items():
        path = tmp_path / "model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "model"


def test_the_digests_of_the_reference_implementation(model):
    """SHA-256 of ``d.digest.digest_value`` of ``model_signing.hashing.hash(model).resource_descriptors()``.

    Computed with model-signing 1.1.1 (sigstore 4.5.1) on these files, and on one of them alone. The
    folder ``weights`` sorts before the file ``weights-2.bin``: paths are compared by their parts.
    """
    assert model_digest(model) == "668995a150886a82f06b0ac031abd6d78cf4f517c5b0b5937801ffb057dcb170"
    single = model_digest(model / "weights.bin")
    assert single == "dc87f8f8b91b839c7bfa59a4b2678f2400143c374ee684f0e05ca8fab3378358"
    assert single == hashlib.sha256(hashlib.sha256(b"w").digest()).hexdigest()


def test_a_signature_beside_the_files_does_not_count(model):
    before = model_digest(model)
    (model / "model.sig").write_text("{}")
    assert model_digest(model) == before


@pytest.mark.parametrize("name", ["config.json", "weights/part.bin", "a/.git/inner"])
def test_any_other_byte_counts(model, name):
    before = model_digest(model)
    (model / name).write_bytes(FILES[name] + b"\0")
    assert model_digest(model) != before


def test_a_new_file_counts(model):
    before = model_digest(model)
    (model / "more.bin").write_bytes(b"")
    assert model_digest(model) != before


def test_what_has_no_digest(model, tmp_path):
    (tmp_path / "empty" / ".git").mkdir(parents=True)
    with pytest.raises(UsageError, match="there are no files in this folder"):
        model_digest(tmp_path / "empty")
    with pytest.raises(UsageError, match="there is no such folder or file"):
        model_digest(tmp_path / "nowhere")
    (model / "linked.bin").symlink_to(model / "weights.bin")
    with pytest.raises(UsageError, match=r"linked\.bin is a link or a special file.*cp -rL"):
        model_digest(model)
    (model / "linked.bin").unlink()
    os.mkfifo(model / "pipe")
    with pytest.raises(UsageError, match="pipe is a link or a special file"):
        model_digest(model)
