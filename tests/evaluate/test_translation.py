"""BLEU and ROUGE-L against sacrebleu's own numbers and against counting by hand."""

import math

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from signrep_core.evaluate.translation import (
    Scorer,
    Translation,
    commonest_sentence,
    compare,
    shuffle_references,
    translation_columns,
)
from signrep_core.store.schemas import TRANSLATIONS
from signrep_core.store.tables import read_table, write_table

REFERENCES = ["The dog bit the man.", "It was not unexpected.", "The man bit him first."]
HYPOTHESES = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]


def test_bleu_4_is_what_sacrebleu_says_of_the_corpus():
    score = Scorer()
    assert score(HYPOTHESES, REFERENCES)["BLEU-4"] == pytest.approx(
        sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES]).score
    )
    assert score.signature() == f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{sacrebleu.__version__}"


@settings(max_examples=25)
@given(st.lists(st.tuples(*[st.text("ab cdé.", min_size=1, max_size=30)] * 2), min_size=1, max_size=5))
def test_bleu_4_is_what_sacrebleu_says_of_any_corpus(pairs):
    hypotheses, references = zip(*pairs, strict=True)
    expected = sacrebleu.corpus_bleu(list(hypotheses), [list(references)], tokenize="13a").score
    assert Scorer()(hypotheses, references)["BLEU-4"] == pytest.approx(expected)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_bleu_1_to_4_are_made_of_sacrebleu_s_own_precisions(seed, n_sentences):
    """BLEU-n is the brevity penalty times the geometric mean of the first n precisions of one and the same count."""
    rng = np.random.default_rng(seed)
    references = [" ".join(rng.choice(list("abcdef"), rng.integers(6, 15))) for _ in range(n_sentences)]
    hypotheses = [f"{text[: len(text) // 2 // 2 * 2]}{rng.choice(list('abcdef'))} b" for text in references]
    whole = sacrebleu.corpus_bleu(hypotheses, [references], smooth_method="none")
    found = Scorer()(hypotheses, references)
    for n in (1, 2, 3, 4):
        if all(whole.precisions[:n]):
            mean = math.exp(sum(math.log(precision) for precision in whole.precisions[:n]) / n)
            assert found[f"BLEU-{n}"] == pytest.approx(whole.bp * mean)


def test_bleu_by_hand():
    # 6 words, 5 of 6 in place: 5/6 words, 3/5 pairs, 2/4 triples, 1/3 fours; as long as the reference.
    found = Scorer("none")(["the cat sat on a mat"], ["the cat sat on the mat"])
    assert found["BLEU-1"] == pytest.approx(100 * 5 / 6)
    assert found["BLEU-2"] == pytest.approx(100 * math.sqrt(5 / 6 * 3 / 5))
    assert found["BLEU-3"] == pytest.approx(100 * (5 / 6 * 3 / 5 * 2 / 4) ** (1 / 3))
    assert found["BLEU-4"] == pytest.approx(100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** (1 / 4))
    assert found["ROUGE-L"] == pytest.approx(100 * 5 / 6)


def test_a_short_hypothesis_is_penalised():
    found = Scorer("none")(["the cat"], ["the cat sat on"])
    assert found["BLEU-1"] == pytest.approx(100 * math.exp(1 - 4 / 2))
    assert found["ROUGE-L"] == pytest.approx(100 * 2 * 1 * 0.5 / 1.5)  # precision 1, recall 1/2


def test_rouge_is_the_mean_over_sentences():
    found = Scorer("none")(["a b", "c d"], ["a b", "x y"])
    assert found["ROUGE-L"] == pytest.approx(50)


@pytest.mark.parametrize(
    ("tokenizer", "hypothesis", "reference", "expected"),
    [
        ("13a", "im süden größtenteils schön", "im norden größtenteils schön", 75),  # three of four words
        ("char", "今天天气很好", "今天天气不好", 100 * 5 / 6),  # five of six characters
        ("zh", "今天天气很好", "今天天气不好", 100 * 5 / 6),
        ("char", "今天 天气", "今天天气", 100),  # spaces do not count
    ],
)
def test_letters_outside_ascii_count(tokenizer, hypothesis, reference, expected):
    found = Scorer(tokenizer)([hypothesis], [reference])
    assert found["ROUGE-L"] == pytest.approx(expected)
    assert found["BLEU-1"] == pytest.approx(expected)


def test_chinese_counted_as_words_is_one_word():
    assert Scorer("13a")(["今天天气很好"], ["今天天气不好"])["ROUGE-L"] == 0


def test_capitals_count_unless_told_otherwise():
    assert Scorer()(["THE CAT SAT ON"], ["the cat sat on"])["ROUGE-L"] == 0
    found = Scorer(lowercase=True)(["THE CAT SAT ON"], ["the cat sat on"])
    assert (found["ROUGE-L"], found["BLEU-4"]) == (100, pytest.approx(100))


def test_an_empty_hypothesis_scores_nothing():
    assert set(Scorer()([""], ["the cat sat on the mat"]).values()) == {0.0}


def test_chance_is_the_commonest_training_sentence():
    assert commonest_sentence(["a", "b", "b"], ["x", "y", "z"]) == ["b", "b", "b"]


@given(st.integers(2, 40), st.integers(0, 5))
def test_no_reference_is_shuffled_to_itself(n, seed):
    references = [f"w{k}" for k in range(n)]
    shuffled = shuffle_references(references, seed)
    assert sorted(shuffled) == sorted(references)
    assert all(a != b for a, b in zip(shuffled, references, strict=True))


def test_translations_stand_beside_chance_and_other_peoples_references():
    references = ["e f g h", "i j k l", "m n o p"]
    translations = [Translation(f"v{k}", text, text, 0.0) for k, text in enumerate(references)]
    result = compare(translations, ["a b c d", "e f g h", "e f g h"], "none", lowercase=False)
    assert result["metrics"]["ROUGE-L"] == 100
    assert result["chance"] == Scorer("none")(["e f g h"] * 3, references)
    assert result["chance"]["ROUGE-L"] == pytest.approx(100 / 3)
    assert result["baselines"]["other_references"]["ROUGE-L"] == 0  # none stands for itself


def test_a_comparison_states_its_protocol():
    translations = [Translation("v", "the cat sat on the mat", "the cat sat on the mat", -0.5)]
    result = compare(translations, ["a dog"], "13a", lowercase=True)
    assert result["metrics"]["BLEU-4"] == pytest.approx(100)
    assert result["protocol"]["bleu"].startswith("nrefs:1|case:lc|")
    assert result["protocol"]["tokenizer"] == "13a"
    assert compare([], ["a dog"], "13a", lowercase=True)["metrics"] is None


def test_hypotheses_are_kept_beside_references(tmp_path):
    translations = [Translation("v", "Größe\tgut", "今天", -0.5), Translation("w", "b", "", -np.inf)]
    write_table(tmp_path / "t.parquet", TRANSLATIONS, translation_columns(translations))
    table = read_table(tmp_path / "t.parquet", TRANSLATIONS)
    assert table["hypothesis"] == ["今天", ""]
    assert table["reference"] == ["Größe\tgut", "b"]
    assert table["score"].tolist() == [-0.5, -np.inf]
    write_table(tmp_path / "e.parquet", TRANSLATIONS, translation_columns([]))
    assert read_table(tmp_path / "e.parquet", TRANSLATIONS)["video_id"] == []
