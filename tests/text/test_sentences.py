import pytest

from bert_lightning.text.sentences import clean, split_position, split_sentences


def test_html_breaks_become_line_ends_and_control_characters_go():
    assert clean("Good.<br /><br />Bad<BR>end\x00.\x07") == "Good.\nBad\nend."
    assert clean("a < b, café, 你好, tab\there") == "a < b, café, 你好, tab\there"


def test_sentences_do_not_cross_lines_and_abbreviations_do_not_end_them():
    text = "Mr. Smith saw Dr. Jones. He liked it!\n\n  A title without a stop\nNext line."
    assert split_sentences(text, "en") == [
        "Mr. Smith saw Dr. Jones.",
        "He liked it!",
        "A title without a stop",
        "Next line.",
    ]


def test_chinese_sentences():
    assert split_sentences("我来到北京。你好吗？很好！", "zh") == ["我来到北京。", "你好吗？", "很好！"]


def test_a_document_stands_in_the_same_place_however_it_is_cut():
    whole = "One sentence.  Another one.\nA third."
    assert split_position([whole]) == split_position(["One sentence.", "Another one.", "A third."])
    assert split_position([whole]) != split_position([whole + "!"])


def test_places_are_uniform():
    places = [split_position([f"document {i}"]) for i in range(4000)]
    assert sum(place < 0.05 for place in places) / 4000 == pytest.approx(0.05, abs=0.01)
