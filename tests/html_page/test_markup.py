import re

from bert_lightning.html_page.markup import remarks


def test_what_is_said_of_several_stands_once():
    of_all = [(f"arm {n}", f"one seed; it got {n}") for n in range(4)]
    assert [item.strip() for item in texts(remarks(of_all, "All arms"))] == [
        "All arms: one seed", *(f"arm {n}: it got {n}" for n in range(4))
    ]  # fmt: skip
    of_some = [("a", "one seed"), ("b", ""), ("c", "one seed"), ("d", "one seed")]
    assert [item.strip() for item in texts(remarks(of_some, "All arms"))] == ["a; c; d: one seed"]
    assert remarks([("a", "")], "All arms") is None


def texts(markup):
    """The text of each item of a list."""
    return [re.sub("<[^>]+>", "", item) for item in str(markup).split("</li>")[:-1]]
