"""The suite finds each breach of the contract: one broken probe a test."""

import itertools
from dataclasses import replace

import pytest

from fmaudit.cards import Card
from fmaudit.data import dataset_from_rows
from fmaudit.probe import Binary, Categorical, Contrast, Item, Mean, Observation, Probe, Rate, Real, probe
from fmaudit.requests import Decoding, Generate, Generations, LabelScores, Score, TokenScores
from fmaudit.testing import check_probe, conformance, fake_responses
from fmaudit.testing.fakes import INSTRUMENT

CARD = Card.model_validate(
    {
        "id": "tea_pairs",
        "title": "Tea",
        "licence": "CC0-1.0",
        "origin": "written for a test",
        "source": {"kind": "local"},
        "columns": {"tea": {}, "other": {}},
        "how_to_get": "write it",
    }
)
DATA = dataset_from_rows(
    CARD, [{"tea": f"tea number {number}", "other": f"milk number {number} or so"} for number in range(6)]
)


@pytest.fixture(autouse=True)
def card_at_hand(monkeypatch):
    monkeypatch.setattr(conformance, "load_card", lambda dataset_id, beside: CARD)


@probe("tea.preference", version=1, dataset="tea_pairs")
class Tea(Probe):
    """Does the model prefer tea?"""

    needs = ("score",)
    measures = (Binary("outcome"), Real("severity", unit="nats"), Categorical("kind", ("hot", "cold")))
    metrics = (Rate("preference", direction="target", ideal=0.5), Mean("margin"))
    contrasts = (Contrast("first_half", "preference", "half", "first", "second"),)

    def items(self, data):
        for number, row in enumerate(data.rows):
            yield Item(f"t{number}", dict(row), slices={"half": "first" if number < 3 else "second"})

    def requests(self, item):
        return Score(item.payload["tea"]), Score(item.payload["other"])

    def observe(self, item, responses):
        margin = responses[0].total - responses[1].total
        return Observation({"outcome": int(margin > 0), "severity": margin, "kind": "hot"})

    def swap(self, item):
        return replace(item, payload={"tea": item.payload["other"], "other": item.payload["tea"]})


class Written(Tea):
    """Is the text that the model writes long?"""

    needs = ("generate",)
    instruments = True
    measures = (Binary("outcome"), Real("severity", low=-0.5, high=0.5))
    metrics = (Rate("preference"),)

    def requests(self, item):
        return (Generate(item.payload["tea"], n=3),)

    def observe(self, item, responses):
        return [self.judge(sample, number) for number, sample in enumerate(responses[0].samples)]

    def judge(self, sample, number):
        score = sample.scores[INSTRUMENT]
        if score.value is None:
            return Observation({}, {"outcome": score.reason, "severity": score.reason}, number)
        value = score.value - 0.5
        return Observation({"outcome": int(value > 0), "severity": value}, {}, number)

    def swap(self, item):
        return None


def check(cls, **overrides):
    check_probe(type("Changed", (cls,), overrides), DATA)


@pytest.mark.parametrize("cls", [Tea, Written])
def test_a_sound_probe_passes(cls):
    check(cls)
    check_probe(cls(), DATA)


COUNTER = itertools.count()


def observed(**values):
    sound = {"outcome": 1, "severity": 1.0, "kind": "hot"}
    return lambda self, item, responses: Observation(sound | values)


def items_of(*items):
    return lambda self, data: iter(items)


class Remembers(Tea):
    """Its answers depend on what it has seen."""

    def __init__(self, variant=""):
        super().__init__(variant)
        self.seen = 0

    def observe(self, item, responses):
        self.seen += 1
        return Observation({"outcome": 1, "severity": float(self.seen), "kind": "hot"})


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        ({"version": 0}, "version 0"),
        ({"id": "Tea"}, "family.name"),
        ({"title": " "}, "no title"),
        ({"needs": ()}, "declares no request kind"),
        ({"needs": ("score", "sing")}, "unknown request kind 'sing'"),
        ({"measures": ()}, "declares no measures"),
        ({"measures": (Binary("outcome"), Binary("outcome"))}, "two measures are called 'outcome'"),
        ({"measures": (Real("outcome"), Real("severity"))}, "outcome must be Binary"),
        ({"metrics": (Rate("preference", of="love"),)}, "of 'love', which is not declared"),
        ({"metrics": (Rate("preference", of="severity"),)}, "severity is not Binary"),
        ({"metrics": (Mean("preference", of="kind"),)}, "kind is Categorical"),
        ({"metrics": (Rate("preference", direction="target"),)}, "direction target needs an ideal"),
        ({"metrics": (Rate("Share of tea"),)}, "not lower_case_with_underscores"),
        ({"metrics": (Rate("preference", delta=0.0),)}, "delta 0.0 is not positive"),
        ({"contrasts": (Contrast("c", "none", "half", "a", "b"),)}, "metric 'none', which is not declared"),
        ({"contrasts": (Contrast("c", "preference", "third", "a", "b"),)}, "splits by 'third'"),
        ({"items": items_of()}, "no items"),
        ({"items": items_of(Item("", {}, slices={"half": ""}))}, "an id is no text"),
        ({"items": items_of(*[Item("a", {}, slices={"half": ""})] * 2)}, "two items have the id 'a'"),
        (
            {"items": lambda self, data: iter([Item(f"{next(COUNTER)}", {}, slices={"half": ""})])},
            "items differ between two enumerations",
        ),
        ({"items": items_of(Item("a", {}, slices={"half": 3}))}, "slices must map strings to strings"),
        (
            {"items": items_of(Item("a", {}, slices={"half": ""}), Item("b", {}))},
            "item 'b': other slice columns",
        ),
        ({"items": items_of(Item("a", {}, slices={"half": ""}, weight=0.0))}, "weight 0.0"),
        ({"items": items_of(Item("a", {"x": []}, slices={"half": ""}))}, "payload holds a value"),
        ({"requests": lambda self, item: ()}, "no requests"),
        ({"requests": lambda self, item: (Generate("a"),)}, "asks Generate, which needs or variants"),
        ({"requests": lambda self, item: (Score(["a"]),)}, "a request is not hashable"),
        ({"requests": lambda self, item: (Score(f"{next(COUNTER)}"),)}, "requests differ when asked twice"),
        ({"observe": observed(outcome=2)}, "outcome is 2, not 0 or 1"),
        ({"observe": observed(outcome=None)}, "outcome is None, not a number"),
        ({"observe": observed(severity=float("nan"))}, "severity is nan"),
        ({"observe": observed(severity=-1.0)}, "outcome 1 with severity -1.0"),
        ({"observe": observed(kind="mild")}, "'mild' is not a declared level"),
        ({"observe": observed(kind=1)}, "kind is 1, not a string"),
        ({"observe": observed(extra=1)}, "extra is not a declared measure"),
        ({"observe": lambda self, *_: Observation({"outcome": 1})}, "neither valued nor invalid"),
        (
            {"observe": lambda self, item, _: Observation(observed()(self, item, ()).values, {"kind": "x"})},
            "kind is both valued and invalid",
        ),
        (
            {"observe": lambda self, *_: Observation({}, dict.fromkeys(("outcome", "severity", "kind"), ""))},
            "outcome is invalid without a reason",
        ),
        ({"observe": lambda self, item, responses: []}, "no observation"),
        ({"observe": lambda self, item, _: [observed()(self, item, ())] * 2}, "the same sample number"),
        ({"observe": observed()}, "severity 1.0 becomes 1.0 when the sides are swapped"),
        ({"datasets": ("coffee",)}, "no data set at hand of coffee: pass data="),
    ],
)
def test_a_breach_is_found_and_named(overrides, complaint):
    with pytest.raises(AssertionError) as caught:
        check(Tea, **overrides)
    assert complaint in str(caught.value)


def test_an_outcome_that_does_not_follow_the_sides_is_found():
    def observe(self, item, responses):
        margin = responses[0].total - responses[1].total
        return Observation({"outcome": 1, "severity": margin, "kind": "hot"})

    with pytest.raises(AssertionError, match="outcome"):
        check(Tea, observe=observe)


def test_a_probe_with_a_memory_is_found():
    with pytest.raises(AssertionError, match="depends on which items were observed before"):
        check(Remembers)


def test_a_probe_that_changes_its_data_is_found():
    def items(self, data):
        for row in data.rows:
            row.pop("other", None)
        return iter([Item("a", {}, slices={"half": ""})])

    own = dataset_from_rows(CARD, [{"tea": "a", "other": "b"}])
    with pytest.raises(AssertionError, match="changes the data"):
        check_probe(type("Changed", (Tea,), {"items": items}), own)


def test_a_missing_score_that_counts_as_harmless_is_found():
    def judge(self, sample, number):
        value = (sample.scores[INSTRUMENT].value or 0.0) - 0.5
        return Observation({"outcome": int(value > 0), "severity": value}, {}, number)

    with pytest.raises(AssertionError, match="gave no value and nothing is invalid"):
        check(Written, judge=judge)


def test_a_module_that_loads_a_framework_is_found(tmp_path, monkeypatch):
    source = (
        "import wave\nfrom fmaudit.probe import Binary, Item, Observation, Probe, probe\n"
        "from fmaudit.requests import Score\n"
        "@probe('tea.heavy', version=1, dataset='tea_pairs')\nclass Heavy(Probe):\n    'Heavy.'\n"
        "    needs = ('score',)\n    measures = (Binary('outcome'),)\n"
        "    def items(self, data): yield Item('a', {})\n"
        "    def requests(self, item): return (Score('a'),)\n"
        "    def observe(self, item, responses): return Observation({'outcome': 1})\n"
    )
    (tmp_path / "heavy_tea.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    import heavy_tea

    check_probe(heavy_tea.Heavy, DATA)
    monkeypatch.setattr(conformance, "_FORBIDDEN", ("wave",))
    with pytest.raises(AssertionError, match="importing heavy_tea loads wave"):
        check_probe(heavy_tea.Heavy, DATA)


def test_a_missing_card_is_found(monkeypatch):
    monkeypatch.undo()
    with pytest.raises(AssertionError, match="'tea_pairs' has no card"):
        check_probe(Tea, DATA)


def test_fake_answers_have_the_shape_of_an_engines():
    greedy = Score("a b c", decoding=Decoding(temperature=0.0))
    scores, texts = fake_responses([greedy, Generate("x", n=4, max_new_tokens=3)], seed=1)
    assert isinstance(scores, TokenScores)
    assert len(scores.tokens) == len(scores.logprob) == len(scores.gap) == 3
    assert all((value == 0.0) == best for value, best in zip(scores.decoded, scores.is_argmax, strict=True))
    assert isinstance(texts, Generations)
    assert len(texts.samples) == 4
    assert all(sample.n_tokens <= 3 for sample in texts.samples)


def test_fake_answers_depend_on_seed_and_request_alone():
    first, second = Score("a b"), Score("c d")
    assert fake_responses([first, second], 3) == fake_responses([second, first], 3)[::-1]
    assert fake_responses([first], 3) != fake_responses([first], 4)


def test_fake_labels_are_the_given_ones():
    from fmaudit.requests import Classify

    (answer,) = fake_responses([Classify("a")], labels=("no", "yes", "perhaps"))
    assert isinstance(answer, LabelScores)
    assert answer.labels == ("no", "yes", "perhaps")
    assert sum(answer.probability) == pytest.approx(1.0)
