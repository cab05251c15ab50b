"""Models that were trained, on the same text: what weights and predictions then have in common."""

import itertools
import math
import shutil

import numpy as np
import pytest
from scipy.stats import kstest

from fmaudit.subjects import LoadOptions, open_subjects, parse_spec
from fmaudit.subjects.kinship import verify_lineage
from fmaudit.subjects.tensors import record_weights
from fmaudit.subjects.unit_matching import match_units
from fmaudit.testing.tiny import tiny_causal

pytestmark = pytest.mark.slow

SUBJECTS = ("the nurse", "an engineer", "the old doctor", "my neighbour", "a guest", "the child")
VERBS = ("reads", "sells", "visits", "writes", "watches", "paints")
OBJECTS = ("the newspaper", "a blue door", "the garden", "some tea", "an old house", "the station")
ENDINGS = ("in the morning", "at night", "for years", "during the day", "with children", "behind the school")


def sentences(count, seed):
    rng = np.random.default_rng(seed)

    def near(options, place):
        # What comes next depends on what came before, so that there is something to learn.
        return options[(place + (rng.random() < 0.35) * int(rng.integers(6))) % 6], place

    texts = []
    for _ in range(count):
        parts = []
        for _ in range(3):
            place = int(rng.integers(6))
            parts.append(" ".join(near(options, place)[0] for options in (SUBJECTS, VERBS, OBJECTS, ENDINGS)))
        texts.append(". ".join(parts) + ".")
    return texts


TEXTS = sentences(40, seed=99)


def train(path, texts, steps, seed, rate=3e-3):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(path)
    tokenizer = AutoTokenizer.from_pretrained(path)
    ids = [torch.tensor([tokenizer.bos_token_id, *tokenizer(t)["input_ids"]][:96]) for t in texts]
    batch = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=tokenizer.pad_token_id)
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.1)
    model.train()
    for _ in range(steps):
        rows = batch[rng.choice(len(batch), 8)]
        labels = rows.masked_fill(rows == tokenizer.pad_token_id, -100)
        loss = model(rows, attention_mask=(rows != tokenizer.pad_token_id).long(), labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("trained")
    texts = sentences(200, seed=0)
    return [
        train(tiny_causal(root / f"m{seed}", seed=seed, width=48, initializer_range=0.05), texts, 150, seed)
        for seed in range(10)
    ]


def opened(paths):
    return open_subjects([parse_spec(str(path)) for path in paths], LoadOptions(device="cpu"))


def test_models_trained_on_the_same_text_from_other_seeds_are_independent(trained):
    hidden = [record_weights(subject).hidden for subject in opened(trained)]
    found = [match_units(a, b) for a, b in itertools.combinations(hidden, 2)]
    order, permuted = (
        np.exp([getattr(f, name) for f in found]) for name in ("log_p_order", "log_p_permuted")
    )
    # 45 pairs of 10 models are nearly independent of each other.
    for p in (order, permuted):
        assert kstest(p, "uniform").pvalue > 0.001
        assert p.min() > 0.0005
    assert min(f.log_p for f in found) > math.log(0.001)


def test_children_verified_and_independent_models_refuted(trained, tmp_path):
    base, other, *references = trained[:6]
    children = {}
    for name, parent in (("child", base), ("child_of_other", other)):
        children[name] = shutil.copytree(parent, tmp_path / name)
        train(children[name], sentences(100, seed=5), 30, seed=3, rate=1e-3)
    paths = [base, *children.values(), other, *references]
    subjects = opened(paths)
    found = verify_lineage(
        subjects[0],
        dict(zip((*children, "other"), subjects[1:4], strict=True)),
        {f"r{i}": subject for i, subject in enumerate(subjects[4:])},
        TEXTS,
    )
    states = {name: finding.state for name, finding in found.adapted.items()}
    assert states == {"child": "verified", "child_of_other": "refuted", "other": "refuted"}
    assert {finding.state for finding in found.references.values()} == {"refuted"}
    assert all(finding.verified is not True for finding in found.reference_pairs.values())
    # Of six unrelated pairs one agrees best; not refuted, it counts as one lineage rather than two.
    undecided = [pair for pair, finding in found.reference_pairs.items() if finding.state == "unknown"]
    assert len(undecided) <= 1
    assert len(set(found.groups.values())) == 4 - len(undecided)
