"""Word pieces: decoding inverts encoding in any language."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signrep_core.errors import TrainingError
from signrep_core.model.vocabulary import END, PAD, START, UNKNOWN, clean_text, train_vocabulary

GERMAN = ["heute regnet es in süddeutschland", "morgen größtenteils sonnig – bis 25 °c", "im übrigen land schön"]
CHINESE = ["今天天气很好。", "明天，会下雨吗？", "他喜欢喝茶。"]
ENGLISH = ["the mother is good", "the house is good", "hello, the mother is good", "no, I wait for the car"]


@pytest.mark.parametrize("texts", [GERMAN, CHINESE, ENGLISH])
def test_decoding_inverts_encoding(texts):
    vocabulary = train_vocabulary(texts, 60)
    assert [vocabulary.decode(vocabulary.encode(text)) for text in texts] == texts


@settings(max_examples=30)
@given(st.lists(st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1), min_size=1))
def test_decoding_inverts_encoding_for_any_clean_text_of_known_characters(texts):
    texts = [clean_text(text, lowercase=False) for text in texts]
    texts = [text for text in texts if text and "▁" not in text]
    if texts:
        vocabulary = train_vocabulary(texts, 50)
        assert [vocabulary.decode(vocabulary.encode(text)) for text in texts] == texts


def test_the_same_texts_give_the_same_bytes():
    assert train_vocabulary(ENGLISH, 40).model == train_vocabulary(ENGLISH, 40).model


def test_special_pieces_come_first_and_are_in_no_text():
    vocabulary = train_vocabulary(ENGLISH, 40)
    assert [vocabulary.decode([piece]) for piece in (PAD, START, END)] == ["", "", ""]
    assert not {PAD, UNKNOWN, START, END} & {piece for text in ENGLISH for piece in vocabulary.encode(text)}


def test_a_character_outside_the_training_text_is_unknown():
    vocabulary = train_vocabulary(ENGLISH, 40)
    assert UNKNOWN in vocabulary.encode("the zebra")


def test_a_small_corpus_gives_fewer_pieces_and_the_log_says_so(caplog):
    vocabulary = train_vocabulary(ENGLISH, 7000)
    assert 10 < len(vocabulary) < 100
    assert f"of 7000 pieces is asked for; 4 training sentences give {len(vocabulary)}" in caplog.text


def test_a_vocabulary_too_small_for_all_characters_is_enlarged(caplog):
    vocabulary = train_vocabulary(["abc", "déf"], 5)  # six characters, the mark of a beginning, four special
    assert len(vocabulary) == 11
    assert "of 5 pieces is asked for; the training text needs 11" in caplog.text


def test_a_very_long_sentence_is_learned_from():
    vocabulary = train_vocabulary(["word " * 5000 + "ß"], 20)
    assert UNKNOWN not in vocabulary.encode("ß")


def test_training_without_text_says_what_to_do():
    with pytest.raises(TrainingError, match="no training sentence has a text; fill the sheet's column text"):
        train_vocabulary(["", ""], 100)


def test_text_is_cleaned_of_spaces_and_of_capitals_if_asked():
    assert clean_text("  The\tMOTHER \n is  GOOD ", lowercase=True) == "the mother is good"
    assert clean_text("Große  Ärzte", lowercase=False) == "Große Ärzte"
