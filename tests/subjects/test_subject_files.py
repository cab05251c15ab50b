import json
import shutil

import pytest

from fmaudit.errors import SubjectError
from fmaudit.subjects.digest import digest_subject
from fmaudit.subjects.files import locate
from fmaudit.subjects.spec import SubjectSpec, parse_spec
from fmaudit.testing.tiny import tiny_causal, tiny_lora


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    base = tiny_causal(root / "base")
    return {"base": base, "lora": tiny_lora(base, root / "lora")}


@pytest.fixture
def base(originals, tmp_path):
    return shutil.copytree(originals["base"], tmp_path / "base")


@pytest.fixture
def lora(originals, tmp_path):
    return shutil.copytree(originals["lora"], tmp_path / "lora")


def edit(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def find(path, adapter=None, **allowed):
    return locate(
        SubjectSpec("directory", str(path), str(adapter) if adapter else None, None, "m"), **allowed
    )


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def shard(base, lost=None):
    from safetensors.torch import load_file, save_file

    tensors = load_file(base / "model.safetensors")
    names = sorted(tensors)
    parts = {"model-1.safetensors": names[:5], "model-2.safetensors": names[5:]}
    for file, held in parts.items():
        save_file({name: tensors[name] for name in held if name != lost}, base / file)
    weight_map = {name: file for file, held in parts.items() for name in held}
    (base / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (base / "model.safetensors").unlink()
    return names


def test_complete_model_is_found(base, lora):
    files = find(base, lora)
    assert files.weights == (base / "model.safetensors",)
    assert files.adapter_weights == lora / "adapter_model.safetensors"
    assert files.notes == ()


def test_shards_are_found(base):
    shard(base)
    assert [path.name for path in find(base).weights] == ["model-1.safetensors", "model-2.safetensors"]


def test_missing_shard_is_named(base):
    shard(base)
    (base / "model-2.safetensors").unlink()
    with pytest.raises(SubjectError, match=r"model-2\.safetensors is missing"):
        find(base)


def test_shard_without_its_tensor_is_named(base):
    lost = "model.norm.weight"
    shard(base, lost)
    with pytest.raises(SubjectError, match=rf"lacks the tensor '{lost}'"):
        find(base)


def test_index_cannot_leave_the_directory(base):
    shard(base)
    edit(base / "model.safetensors.index.json", lambda v: v["weight_map"].update(x="../other.safetensors"))
    with pytest.raises(SubjectError, match="outside"):
        find(base)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_missing_file_is_named(base, name):
    (base / name).unlink()
    with pytest.raises(SubjectError, match=name.replace(".", r"\.")):
        find(base)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_half_written_file_is_named(base, name):
    truncate(base / name)
    with pytest.raises(SubjectError, match=name.replace(".", r"\.")) as caught:
        find(base)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"\x01", b"\xff" * 64, b"\x02" + b"\0" * 7 + b"[]", b"\x04" + b"\0" * 7 + b"null"]
)
def test_garbage_weights_are_refused(base, content):
    (base / "model.safetensors").write_bytes(content)
    with pytest.raises(SubjectError, match="safetensors"):
        find(base)


def test_half_written_adapter_is_named(base, lora):
    truncate(lora / "adapter_model.safetensors")
    with pytest.raises(SubjectError, match=r"adapter_model\.safetensors is half-written"):
        find(base, lora)


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_missing_adapter_file_is_named(base, lora, name):
    (lora / name).unlink()
    with pytest.raises(SubjectError, match=name.replace(".", r"\.")):
        find(base, lora)


def test_adapter_without_base_and_mixture_are_refused(base, lora):
    with pytest.raises(SubjectError, match="BASE::adapter="):
        find(lora)
    shutil.copy(lora / "adapter_config.json", base)
    with pytest.raises(SubjectError, match="a model and an adapter"):
        find(base)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth"])
def test_pickles_are_refused(base, name):
    (base / "model.safetensors").rename(base / name)
    with pytest.raises(SubjectError, match="--allow-pickle"):
        find(base)


def test_pickles_beside_safetensors_are_never_read(base):
    (base / "pytorch_model.bin").write_bytes(b"x")
    assert find(base).weights == (base / "model.safetensors",)


def test_pickled_adapter_is_refused_or_noted(base, lora):
    (lora / "adapter_model.safetensors").rename(lora / "adapter_model.bin")
    with pytest.raises(SubjectError, match=r"adapter_model\.bin is a pickle"):
        find(base, lora)
    assert "adapter_model.bin" in find(base, lora, allow_pickle=True).notes[0]


@pytest.mark.parametrize("where", ["config.json", "tokenizer_config.json", "modeling_own.py"])
def test_remote_code_is_refused_or_noted(base, where):
    if where.endswith(".py"):
        (base / where).write_text("raise SystemExit")
    else:
        edit(base / where, lambda value: value.update(auto_map={"AutoConfig": "own.Config"}))
    with pytest.raises(SubjectError, match="--allow-remote-code"):
        find(base)
    assert "own code was allowed" in find(base, allow_remote_code=True).notes[0]


def test_gguf_that_is_none(tmp_path):
    path = tmp_path / "m.gguf"
    with pytest.raises(SubjectError, match="no such file"):
        locate(parse_spec(str(path)))
    path.write_bytes(b"something else")
    with pytest.raises(SubjectError, match="not a GGUF file"):
        locate(parse_spec(str(path)))


def test_unknown_hub_model_says_what_was_tried(monkeypatch):
    import huggingface_hub

    asked = []

    def unreachable(repo_id, *, local_files_only, **_):
        asked.append(local_files_only)
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(SubjectError, match="not in the hub cache") as caught:
        locate(parse_spec("nobody/nothing"))
    assert asked == [True, False]
    assert "\n" not in str(caught.value)


def test_cached_hub_model_needs_no_network(monkeypatch, originals):
    import huggingface_hub

    def cached(repo_id, *, local_files_only, **_):
        assert local_files_only
        return str(originals["base"])

    monkeypatch.setattr(huggingface_hub, "snapshot_download", cached)
    files = locate(parse_spec("org/model"))
    assert files.root == originals["base"]
    assert files.revision == originals["base"].name


class TestDigest:
    def parts(self, path, adapter=None):
        return digest_subject(find(path, adapter))

    def test_content_not_place(self, base, lora, tmp_path):
        before = self.parts(base, lora)
        moved, adapter = base.rename(tmp_path / "moved"), lora.rename(tmp_path / "elsewhere")
        edit(adapter / "adapter_config.json", lambda v: v.update(base_model_name_or_path="/other/machine"))
        edit(adapter / "adapter_config.json", lambda v: v["target_modules"].reverse())
        edit(moved / "config.json", lambda value: value.update(transformers_version="9"))
        assert self.parts(moved, adapter) == before
        assert set(before.parts) == {"weights", "config", "adapter", "tokenizer", "chat_template"}

    @pytest.mark.parametrize(
        ("part", "file"),
        [("config", "config.json"), ("tokenizer", "tokenizer.json"), ("tokenizer", "tokenizer_config.json")],
    )
    def test_each_json_changes_its_part_alone(self, base, part, file):
        before = self.parts(base)
        edit(base / file, lambda value: value.update(extra=1))
        after = self.parts(base)
        assert {name for name in before.parts if before.parts[name] != after.parts[name]} == {part}
        assert after.total != before.total

    def test_weights_and_adapter(self, base, lora):
        before = self.parts(base, lora)
        for path in (base / "model.safetensors", lora / "adapter_model.safetensors"):
            data = bytearray(path.read_bytes())
            data[-1] ^= 1
            path.write_bytes(data)
        after = self.parts(base, lora)
        assert {n for n in before.parts if before.parts[n] != after.parts[n]} == {"weights", "adapter"}

    def test_adapter_scaling_changes_the_adapter(self, base, lora):
        before = self.parts(base, lora)
        edit(lora / "adapter_config.json", lambda value: value.update(lora_alpha=99))
        assert self.parts(base, lora).parts["adapter"] != before.parts["adapter"]

    def test_template_in_either_file_is_the_same(self, base):
        before = self.parts(base)
        template = base / "chat_template.jinja"
        edit(base / "tokenizer_config.json", lambda v: v.update(chat_template=template.read_text()))
        template.unlink()
        assert self.parts(base) == before
        edit(base / "tokenizer_config.json", lambda value: value.update(chat_template="other"))
        assert self.parts(base).parts["chat_template"] != before.parts["chat_template"]

    def test_end_tokens_of_generation_are_the_model(self, base):
        place = base / "generation_config.json"
        before = self.parts(base)
        edit(place, lambda value: value.update(eos_token_id=[2, 7]))
        after = self.parts(base)
        assert set(after.parts) - set(before.parts) == {"generation"}
        assert after.total != before.total
        edit(
            place,
            lambda value: value.update(eos_token_id=[7, 2, 2], temperature=0.3, transformers_version="9"),
        )
        assert self.parts(base) == after
        # Without the file the model's own configuration ends texts, and says the same.
        edit(place, lambda value: value.update(eos_token_id=2))
        assert self.parts(base) == before
        place.unlink()
        assert self.parts(base) == before

    @pytest.mark.parametrize("ends", [None, [2, 7], 3])
    def test_what_is_digested_is_what_ends_a_text(self, base, ends):
        from transformers import AutoModelForCausalLM

        def change(value):
            value.pop("eos_token_id", None)
            value.update({"eos_token_id": ends} if ends is not None else {})

        edit(base / "generation_config.json", change)
        used = AutoModelForCausalLM.from_pretrained(base).generation_config.eos_token_id
        assert used == ends
        assert "generation" in self.parts(base).parts

    def test_how_tensors_are_spread_over_files_is_not(self, base, lora):
        from safetensors.torch import load_file, save_file

        before = self.parts(base, lora)
        tensors = load_file(base / "model.safetensors")
        save_file(dict(reversed(tensors.items())), base / "model.safetensors", {"format": "pt", "by": "x"})
        assert self.parts(base, lora) == before
        shard(base)
        assert self.parts(base, lora) == before
        edit(base / "model.safetensors.index.json", lambda value: value.update(metadata={"total_size": 1}))
        for number in (1, 2):
            (base / f"model-{number}.safetensors").rename(base / f"part-{number}.safetensors")
        text = (base / "model.safetensors.index.json").read_text().replace("model-", "part-")
        (base / "model.safetensors.index.json").write_text(text)
        assert self.parts(base, lora) == before

    def test_pickled_tensors_are_the_same_tensors(self, base):
        import torch
        from safetensors.torch import load_file

        before = self.parts(base)
        tensors = load_file(base / "model.safetensors")
        (base / "model.safetensors").unlink()
        for form in (True, False):
            torch.save(tensors, base / "pytorch_model.bin", _use_new_zipfile_serialization=form)
            assert digest_subject(find(base, allow_pickle=True)) == before

    @pytest.mark.parametrize(
        "change",
        [
            lambda tensors: tensors.update({"model.norm.bias": tensors.pop("model.norm.weight")}),
            lambda tensors: tensors.update({"model.norm.weight": tensors["model.norm.weight"].double()}),
            lambda tensors: tensors.update(
                {
                    "lm_head.weight": tensors["lm_head.weight"].reshape(
                        -1, 2 * tensors["lm_head.weight"].shape[1]
                    )
                }
            ),
        ],
        ids=["name", "dtype", "shape"],
    )
    def test_name_dtype_and_shape_are_the_weights(self, base, change):
        from safetensors.torch import load_file, save_file

        before = self.parts(base)
        tensors = load_file(base / "model.safetensors")
        change(tensors)
        save_file(tensors, base / "model.safetensors")
        assert self.parts(base).parts["weights"] != before.parts["weights"]

    def test_key_order_of_a_tokenizer_is_not_the_model_but_an_added_token_is(self, base):
        before = self.parts(base)
        place = base / "tokenizer.json"
        content = json.loads(place.read_text())
        place.write_text(json.dumps(dict(reversed(content.items())), indent=4))
        assert self.parts(base) == before
        (base / "added_tokens.json").write_text(json.dumps({"<new>": 383}))
        assert self.parts(base).parts["tokenizer"] != before.parts["tokenizer"]

    def test_weights_are_read_in_pieces(self, base, monkeypatch):
        before = self.parts(base)
        monkeypatch.setattr("fmaudit.subjects.tensor_digest._CHUNK", 100)
        assert self.parts(base) == before

    def test_end_tokens_beside_a_gguf_file_are_its_own(self, tmp_path):
        path = tmp_path / "m.gguf"
        path.write_bytes(b"GGUF and whatever it holds")

        def found():
            return digest_subject(locate(parse_spec(str(path))))

        before = found()
        assert set(before.parts) == {"weights"}
        (tmp_path / "generation_config.json").write_text('{"eos_token_id": 5}')
        assert set(found().parts) == {"weights", "generation"}
        assert found().parts["weights"] == before.parts["weights"]
