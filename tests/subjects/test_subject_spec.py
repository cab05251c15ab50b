import pytest

from fmaudit.errors import SubjectError
from fmaudit.subjects.spec import parse_named_spec, parse_spec


def test_forms(tmp_path):
    folder = tmp_path / "base"
    folder.mkdir()
    assert parse_spec(str(folder)).source == "directory"
    assert parse_spec("org/model").source == "hub"
    assert parse_spec("org/model::revision=main").revision == "main"
    gguf = parse_spec(f"{tmp_path}/some.Q4.gguf::adapter=/x/lora")
    assert (gguf.source, gguf.adapter, gguf.name) == ("gguf", "/x/lora", "some.Q4 + lora")


def test_names_carry_no_path(tmp_path, monkeypatch):
    (tmp_path / "base").mkdir()
    monkeypatch.chdir(tmp_path / "base")
    assert parse_spec(".").name == "base"
    assert parse_spec(f"{tmp_path}/base/::adapter={tmp_path}/lora/").name == "base + lora"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("org/model::adaptor=x", ["::adaptor=x", "::adapter=", "::revision="]),
        ("org/model::adapter=", ["::adapter=", "not an option"]),
        ("org/model::adapter=a::adapter=b", ["twice"]),
        ("", ["empty"]),
        ("/no/such/place", ["no such directory"]),
        ("./no/such", ["no such directory"]),
        ("m.gguf::revision=x", ["hub id"]),
    ],
)
def test_refusals_say_what_is_possible(text, words):
    with pytest.raises(SubjectError) as caught:
        parse_spec(text)
    assert all(word in str(caught.value) for word in words)
    assert "\n" not in str(caught.value)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "weights.bin"
    path.touch()
    with pytest.raises(SubjectError, match=r"only FILE\.gguf"):
        parse_spec(str(path))


def test_alias_and_paths_that_contain_an_equals_sign(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("runs/lr=1", "lr=2", "base", "lora"):
        (tmp_path / folder).mkdir(parents=True)
    named = parse_named_spec("mine=base::adapter=lora")
    assert (named.name, named.location, named.adapter) == ("mine", "base", "lora")
    assert parse_named_spec("runs/lr=1").location == "runs/lr=1"
    assert parse_named_spec("lr=2").location == "lr=2"
    assert parse_named_spec("base::adapter=lora").name == "base + lora"
    assert parse_named_spec("x=runs/lr=1").location == "runs/lr=1"


def test_parent_names_another_subject_of_the_run(tmp_path):
    (tmp_path / "tuned").mkdir()
    spec = parse_named_spec(f"mine={tmp_path}/tuned::adapter=lora::parent=first")
    assert (spec.parent, spec.adapter, spec.name) == ("first", "lora", "mine")
    assert parse_spec("org/model").parent is None
    with pytest.raises(SubjectError, match="twice"):
        parse_spec("org/model::parent=a::parent=b")
    with pytest.raises(SubjectError, match="::parent="):
        parse_spec("org/model::parent=")
