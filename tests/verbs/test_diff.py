import pytest

from bert_lightning.errors import UserError
from bert_lightning.verbs.diff import split_sides


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["a=1", "a=2"], (["a=1"], ["a=2"])),
        (["a=1", "b=3", "a=2"], (["a=1", "b=3"], ["b=3", "a=2"])),
        (["a=1", "b=3"], (["a=1", "b=3"], [])),
        (["a=1", "b=3", "b=4", "a=2"], (["a=1", "b=3"], ["b=4", "a=2"])),
    ],
)
def test_a_key_given_twice_is_compared(overrides, expected):
    assert split_sides(overrides) == expected


@pytest.mark.parametrize(("overrides", "message"), [([], "compares two"), (["a=1"] * 3, "a is given 3 times")])
def test_what_cannot_be_compared_is_named(overrides, message):
    with pytest.raises(UserError, match=message):
        split_sides(overrides)


def test_resolved_keys_stand_side_by_side(command):
    code, output, errors = command("diff", "optimizer=lamb", "optimizer=muon", "model=base")
    assert code == 0, errors
    head, *rows, last = output.splitlines()
    assert head.split() == ["optimizer=lamb", "model=base", "optimizer=muon", "model=base"]
    assert [row.split() for row in rows] == [
        ["optimizer._target_", "bert_lightning.optim.Lamb", "bert_lightning.optim.Muon"],
        ["optimizer.momentum", "-", "0.95"],
        ["optimizer.fused", "-", "true"],
    ]
    assert last.startswith("3 keys differ, ")


def test_keys_of_one_part_stand_together(command):
    code, output, errors = command("diff", "variant=albert", "variant=bert")
    assert code == 0, errors
    parts = [row.partition(".")[0] for row in output.splitlines()[1:-1]]
    assert len([part for part, before in zip(parts, ["", *parts], strict=False) if part != before]) == len(set(parts))
    assert "_partial_" not in output


def test_an_option_that_is_not_there_gets_one_line(command):
    code, _, errors = command("diff", "variant=nope")
    assert code == 2
    assert errors.count("\n") == 1
    assert "variant=nope: variant has no such option" in errors
