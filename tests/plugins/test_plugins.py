import sys
import textwrap
from importlib.metadata import entry_points

import pytest

from fmaudit.errors import ExitCode, ProbeError
from fmaudit.plugins import card_folder, declared_names, expand, list_probes, load_probe, select
from fmaudit.probe import Probe, probe

PROBE = """
from fmaudit.probe import Probe, probe

@probe("tea.preference", version=1, dataset="tea_pairs")
class TeaPreference(Probe):
    "Does the model prefer tea?"
    variants = {"hot": ("score",), "cold": ("score",)}
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a distribution with one probe on the path, as an installer would."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def put(source=PROBE, *, id="tea.preference", dist="tea_probes", target="TeaPreference"):
        (tmp_path / f"{dist}_module.py").write_text(textwrap.dedent(source), encoding="utf-8")
        info = tmp_path / f"{dist}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(
            f"[fmaudit.probes]\n{id} = {dist}_module:{target}\n", encoding="utf-8"
        )
        return tmp_path

    yield put
    for name in set(sys.modules) - before:
        if name.endswith("_module"):
            del sys.modules[name]


def entry(probe_id, **options):
    return next(entry for entry in list_probes(**options) if entry.id == probe_id)


def test_a_third_party_probe_is_listed_without_being_imported(install):
    install("raise SystemExit('imported')")
    found = entry("tea.preference")
    assert (found.distribution, found.version, found.broken_reason) == ("tea_probes", "1.2", None)
    assert "tea_probes_module" not in sys.modules


def test_a_third_party_probe_is_loaded_and_expanded(install):
    folder = install()
    cls = load_probe("tea.preference")
    assert [one.variant for one in expand(cls)] == ["hot", "cold"]
    assert card_folder(cls) == folder
    assert entry("tea.preference", check=True).broken_reason is None
    assert "tea.preference" in select(["tea"])


def test_a_probe_without_variants_expands_to_one():
    @probe("tea.plain", version=1, dataset="tea_pairs")
    class Plain(Probe):
        """Plain."""

    assert [one.variant for one in expand(Plain)] == [""]


@pytest.mark.parametrize(
    ("source", "options", "complaint"),
    [
        ("import no_such_module_here", {}, "ModuleNotFoundError: No module named 'no_such_module_here'"),
        ("def broken(:", {}, "SyntaxError"),
        ("raise ValueError('first\\nsecond')", {}, "ValueError: first; repair or uninstall tea_probes 1.2"),
        (PROBE, {"target": "Missing"}, "AttributeError"),
        (PROBE, {"id": "tea.other"}, "calls itself 'tea.preference'"),
        ("TeaPreference = dict", {}, "is not a subclass of fmaudit.probe.Probe"),
        (PROBE.replace("version=1", "version=0"), {}, "has version 0"),
        (PROBE.replace('"tea_pairs"', "()"), {}, "names no data set"),
    ],
)
def test_a_broken_probe_is_listed_with_its_reason_and_cannot_run(install, source, options, complaint):
    install(source, **options)
    name = options.get("id", "tea.preference")
    assert entry(name).broken_reason is None
    assert complaint in entry(name, check=True).broken_reason
    with pytest.raises(ProbeError, match=r"repair or uninstall tea_probes 1\.2") as caught:
        load_probe(name)
    assert "\n" not in str(caught.value)
    assert name in select(["tea.*"])


def test_two_distributions_with_one_id_are_both_named(install):
    install()
    install(dist="other_probes")
    with pytest.raises(ProbeError, match=r"shipped by (tea|other)_probes 1.2 and by") as caught:
        list_probes()
    assert "tea_probes" in str(caught.value)
    assert "other_probes" in str(caught.value)


def test_selection_by_family_id_and_glob():
    everything = select([])
    assert everything == sorted(everything)
    assert select(["bias"]) == [name for name in everything if name.startswith("bias.")]
    both = ["bias.crows_pairs", "downstream.capability"]
    assert select(both[::-1]) == both
    assert select(["*.crows_*", "bias.crows_pairs"]) == ["bias.crows_pairs"]


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("bias.crow_pairs", "did you mean bias.crows_pairs"),
        ("crows_pairs", "bias.crows_pairs"),
        ("biass", "did you mean bias"),
        ("zzz", "unknown probe 'zzz': see fmaudit ls probes"),
    ],
)
def test_an_unknown_probe_names_near_ones(asked, hint):
    for call in (lambda: select([asked]), lambda: load_probe(asked)):
        with pytest.raises(ProbeError, match="see fmaudit ls probes") as caught:
            call()
        assert hint in str(caught.value)
        assert caught.value.exit_code == ExitCode.USAGE


def test_every_own_probe_is_found():
    own = {entry.name for entry in entry_points(group="fmaudit.probes") if entry.dist.name == "fmaudit"}
    assert own <= {found.id for found in list_probes()}
    assert {"bias.crows_pairs", "memorization.extraction"} <= own


def test_probes_declare_what_they_may_be_asked():
    declared = declared_names()
    negation = declared["downstream.negation"]
    assert negation.contrasts["downstream.negation/failure_rate"] == {"negated_minus_affirmative"}
    assert "extraction_records" in declared["memorization.extraction"].datasets
    crows = declared["bias.crows_pairs"]
    assert "causal_sum" in crows.variants
    assert crows.contrasts["bias.crows_pairs/pct_stereotype"] == frozenset()
