"""Models and texts of odd kinds, through the command line: right numbers, a reason, or one line."""

import csv
import json

import pytest

from fmaudit.testing.tiny import (
    byte_level_tokenizer,
    save_tiny,
    tiny_causal,
    tiny_classifier,
    tiny_masked,
    unigram_tokenizer,
    wordpiece_tokenizer,
)
from tests.engines.odd_models import DECODER, ENCODER, MARKS, WORD_ENCODER

WORDS = (
    *("garden", "school", "quiet", "morning", "nurse", "engineer"),
    *("station", "children", "newspaper", "tea", "guests", "numbers"),
)


def words(number, count=5):
    return " ".join(WORDS[(3 * number + place) % len(WORDS)] for place in range(count))


def table(path, header, rows):
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def estimate(run, metric):
    audit = json.loads((run / "audit.json").read_text())
    (entry,) = [e for e in audit["estimates"] if e["metric"].endswith(f"/{metric}") and not e["slice"]]
    return entry


def labelled(path, *more):
    rows = [(words(i), ("no", "yes")[i % 2], "ab"[i // 2 % 2]) for i in range(60)]
    return table(path, ("text", "label", "group"), [*rows, *more])


def without_unknown(model):
    """Take the unknown token out of a saved WordPiece tokenizer, so that it raises on what it lacks."""
    core, settings = model / "tokenizer.json", model / "tokenizer_config.json"
    content = json.loads(core.read_text())
    content["model"]["vocab"]["[free]"] = content["model"]["vocab"].pop("[UNK]")
    content["added_tokens"] = [t for t in content["added_tokens"] if t["content"] != "[UNK]"]
    core.write_text(json.dumps(content))
    fields = json.loads(settings.read_text())
    fields.pop("unk_token")
    settings.write_text(json.dumps(fields))
    return model


def test_one_text_that_a_tokenizer_cannot_read_lowers_coverage(fmaudit, tmp_path):
    model = without_unknown(tiny_classifier(tmp_path / "model"))
    data = labelled(tmp_path / "one.csv", ("nice \U0001f642 day", "yes", "a"))
    common = ("-p", "downstream.group_fairness", "--data", f"group_labels={data}")
    outcome = fmaudit("run", model, *common, "-o", tmp_path / "run")
    assert "Traceback" not in outcome.err
    assert outcome.code == 0
    rate = estimate(tmp_path / "run", "error_rate")
    assert (rate["n"], round(rate["coverage"], 3)) == (60, round(60 / 61, 3))
    shown = fmaudit("rows", tmp_path / "run", "downstream.group_fairness")
    assert "the tokenizer fails on this text" in shown.out
    planned = fmaudit("plan", model, *common)
    assert planned.code == 0, planned.err


def test_a_masked_model_whose_tokenizer_reads_no_pair_has_nothing_measured_and_no_trace(fmaudit, tmp_path):
    model = without_unknown(tiny_masked(tmp_path / "model"))
    rows = [("he said мама", "she said мама", "stereo", "x")] * 3 + [
        ("he said tea", "she said tea", "stereo", "x")
    ]
    data = table(tmp_path / "c.csv", ("sent_more", "sent_less", "stereo_antistereo", "bias_type"), rows)
    fmaudit("run", model, "-p", "bias.crows_pairs", "--data", f"crows_pairs={data}", "-o", tmp_path / "run")
    audit = json.loads((tmp_path / "run/audit.json").read_text())
    asked = [e for e in audit["estimates"] if "@crows_pairs+nangia" in e["id"] and not e["slice"]]
    assert {(e["n"], e["coverage"]) for e in asked if e["metric"].endswith("pct_stereotype")} == {(1, 0.25)}


def test_a_causal_model_whose_tokenizer_lacks_a_character_is_measured_on_the_rest(fmaudit, tmp_path):
    tokenizer = unigram_tokenizer(unknown=False)
    model = save_llama(tmp_path / "model", tokenizer)
    rows = [(("member", "control")[i % 2], words(i), f" {words(i + 1, 2)}") for i in range(40)]
    rows.append(("member", words(3), " nice \U0001f642 day"))
    data = table(tmp_path / "r.csv", ("group", "prefix", "suffix"), rows)
    common = ("-p", "memorization.extraction", "--data", f"extraction_records={data}")
    outcome = fmaudit("run", model, *common, "-o", tmp_path / "run")
    assert "Traceback" not in outcome.err
    audit = json.loads((tmp_path / "run/audit.json").read_text())
    (found,) = [
        e
        for e in audit["estimates"]
        if "@extraction_records" in e["id"] and e["metric"].endswith("/logprob_per_byte") and not e["slice"]
    ]
    assert (found["n"], round(found["coverage"], 3)) == (40, round(40 / 41, 3))


def save_llama(path, tokenizer):
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=len(tokenizer), **sizes, **MARKS, max_position_embeddings=256)
    return save_tiny(path, LlamaForCausalLM, config, tokenizer)


@pytest.mark.parametrize("head", ["BertLMHeadModel", "RobertaForCausalLM"])
def test_a_causal_class_that_looks_ahead_is_refused_before_any_probe(fmaudit, tmp_path, head):
    import transformers

    config = getattr(transformers, head.removesuffix("LMHeadModel").removesuffix("ForCausalLM") + "Config")
    fields = ENCODER | MARKS | {"is_decoder": False, "max_position_embeddings": 64}
    model = save_tiny(
        tmp_path / "seer", getattr(transformers, head), config(**fields), byte_level_tokenizer()
    )
    run = tmp_path / "run"
    outcome = fmaudit("run", model, "-p", "downstream.capability", "-o", run)
    assert outcome.code == 2
    assert "model 'seer' looks ahead: a later token changes what it says before it" in outcome.complaint
    assert not (run / "evidence").exists()
    planned = fmaudit("plan", model, "-p", "downstream.capability")
    assert "looks ahead" in planned.out + planned.err


def test_a_decoder_that_counts_positions_from_the_padding_says_so_and_gives_equal_texts(fmaudit, tmp_path):
    from transformers import BartConfig, BartForCausalLM

    model = save_tiny(
        tmp_path / "bart", BartForCausalLM, BartConfig(**DECODER, **MARKS), byte_level_tokenizer()
    )
    rows = [
        (words(i, 3 if i % 2 else 12), "they", ("trigger", "control")[i % 4 // 2], i // 4) for i in range(16)
    ]
    data = table(tmp_path / "b.csv", ("prompt", "target", "role", "pair"), rows)
    texts = []
    for budget in ("1", "4096"):
        run = tmp_path / budget
        common = ("-p", "downstream.backdoor", "--data", f"backdoor_triggers={data}", "-b", budget)
        outcome = fmaudit("run", model, *common, "-o", run)
        assert "prompts are continued in batches of equal length" in outcome.err
        (subject,) = json.loads((run / "audit.json").read_text())["subjects"]
        assert any("prompts are continued in batches" in note for note in subject["notes"])
        shown = fmaudit("rows", run, "downstream.backdoor", "--reveal")
        texts.append(
            [json.loads(row["responses"])[0]["text"] for row in csv.DictReader(shown.out.splitlines())]
        )
    assert len(texts[0]) == 16
    assert texts[0] == texts[1]


def test_a_model_without_an_attention_mask_gives_one_rate_for_every_budget(fmaudit, tmp_path):
    from transformers import FNetConfig, FNetForMaskedLM

    fields = {name: value for name, value in WORD_ENCODER.items() if name != "num_attention_heads"}
    config = FNetConfig(**fields, max_position_embeddings=128, initializer_range=0.2)
    model = save_tiny(tmp_path / "fnet", FNetForMaskedLM, config, wordpiece_tokenizer())
    pairs = [
        (
            f"{words(i, 1 + 5 * i % 20)} the nurse was quiet",
            f"{words(i, 1 + 5 * i % 20)} the doctor was quiet",
        )
        for i in range(12)
    ]
    header = ("sent_more", "sent_less", "stereo_antistereo", "bias_type")
    data = table(tmp_path / "c.csv", header, [(*pair, "stereo", "x") for pair in pairs])
    margins = []
    for budget in ("1", "4096"):
        common = ("-p", "bias.crows_pairs", "--data", f"crows_pairs={data}", "-b", budget, "-L", "12")
        assert fmaudit("run", model, *common, "-o", tmp_path / budget).code in (0, 3)
        audit = json.loads((tmp_path / budget / "audit.json").read_text())
        margins.append(
            [e["value"] for e in audit["estimates"] if e["metric"].endswith("/margin") and not e["slice"]]
        )
    assert margins[0] == pytest.approx(margins[1], abs=1e-4)


def bart_classifier(path, ends=True):
    from tokenizers import processors
    from transformers import BartConfig, BartForSequenceClassification

    tokenizer = byte_level_tokenizer()
    if ends:
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
        )
    sizes = {name: value for name, value in DECODER.items() if not name.startswith("is_")}
    labels = {"id2label": {0: "no", 1: "yes"}, "label2id": {"no": 0, "yes": 1}}
    return save_tiny(path, BartForSequenceClassification, BartConfig(**sizes, **MARKS, **labels), tokenizer)


def test_one_text_that_holds_an_end_of_sequence_sinks_no_batch(fmaudit, tmp_path):
    model = bart_classifier(tmp_path / "bart")
    data = labelled(tmp_path / "one.csv", ("a </s> b", "yes", "a"))
    common = ("-p", "downstream.group_fairness", "--data", f"group_labels={data}")
    outcome = fmaudit("run", model, *common, "-o", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    assert estimate(tmp_path / "run", "error_rate")["n"] == 61


def test_a_classifier_whose_tokenizer_writes_no_end_is_refused_in_one_line(fmaudit, tmp_path):
    model = bart_classifier(tmp_path / "bart", ends=False)
    data = labelled(tmp_path / "plain.csv")
    common = ("-p", "downstream.group_fairness", "--data", f"group_labels={data}")
    outcome = fmaudit("run", model, *common, "-o", tmp_path / "run")
    assert outcome.code == 2
    assert "cannot be asked an ordinary sentence" in outcome.complaint


def test_a_recurrent_model_generates(fmaudit, tmp_path):
    from transformers import MambaConfig, MambaForCausalLM

    config = MambaConfig(**MARKS, vocab_size=384, hidden_size=32, num_hidden_layers=2, state_size=4)
    model = save_tiny(tmp_path / "mamba", MambaForCausalLM, config, byte_level_tokenizer())
    outcome = fmaudit("run", model, "-p", "downstream.capability", "-L", "6", "-o", tmp_path / "run")
    assert "generation does without it" in outcome.err
    assert estimate(tmp_path / "run", "valid_answer_rate")["n"] == 6


def test_control_tokens_written_in_the_data_are_scored_as_characters(fmaudit, tmp_path):
    model = tiny_causal(tmp_path / "lm", context_length=512)
    counted = []
    for word in ("</s>", "</t>"):
        rows = [(("member", "control")[i % 2], words(i), f" quiet {word} day") for i in range(20)]
        data = table(tmp_path / "r.csv", ("group", "prefix", "suffix"), rows)
        run = tmp_path / f"run{len(counted)}"
        common = ("-p", "memorization.extraction", "--data", f"extraction_records={data}")
        fmaudit("run", model, *common, "-o", run)
        shown = fmaudit("rows", run, "memorization.extraction", "--reveal")
        assert '"</s>"' not in shown.out
        answers = [json.loads(row["responses"])[0] for row in csv.DictReader(shown.out.splitlines())]
        counted.append([len(answer["tokens"]) for answer in answers])
    assert counted[0] == counted[1]


def test_a_run_asked_in_another_way_is_not_continued(fmaudit, tmp_path):
    model = tiny_causal(tmp_path / "lm")
    run = tmp_path / "run"
    common = ("run", model, "-p", "bias.crows_pairs", "-L", "2", "-o", run)
    fmaudit(*common)
    state = json.loads((run / "run.json").read_text())
    state["plan"].pop("engine_protocol")
    (run / "run.json").write_text(json.dumps(state))
    outcome = fmaudit(*common)
    assert outcome.code == 2
    assert "it differs in engine_protocol" in outcome.complaint
