"""Data loader workers, and the system limits that they need."""

import resource

import pytest

from bert_lightning.data.datamodule import StreamDataModule
from bert_lightning.errors import UserError


@pytest.fixture
def limits(monkeypatch):
    """The limits of open files that a process has, soft and hard, and what it sets them to."""
    now = [[1024, 4096]]
    monkeypatch.setattr(resource, "getrlimit", lambda kind: tuple(now[-1]))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, values: now.append(list(values)))
    return now


def module(num_workers):
    return StreamDataModule(train=[1], validation=[1], batch_size=1, num_workers=num_workers)


def test_the_limit_of_open_files_is_raised_where_that_is_allowed(limits):
    module(4)
    assert limits == [[1024, 4096]]
    module(64)
    assert limits[-1] == [2112, 4096]


def test_too_few_open_files_for_the_workers_are_refused(limits):
    limits.append([32, 32])
    module(0)
    with pytest.raises(UserError, match=r"num_workers=2 needs about 128 open files, and this system allows 32: raise"):
        module(2)
