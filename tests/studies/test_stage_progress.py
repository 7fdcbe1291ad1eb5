"""The lines that show how far the runs of a study are."""

import io

import pytest

from bert_lightning.studies import records
from bert_lightning.studies.planned_runs import planned_runs
from bert_lightning.studies.stage_progress import Stage, StageProgress
from bert_lightning.studies.study_file import read_study


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def runs(written):
    return planned_runs(read_study(written()))


def end(run):
    run.folder.mkdir(parents=True)
    records.result_file(run).write_text("{}")


def test_a_file_gets_a_line_when_a_stage_is_over(runs):
    stream = io.StringIO()
    progress = StageProgress([Stage("first", runs[:2]), Stage("second", runs[2:3])], stream)
    end(runs[0])
    progress.update()
    assert stream.getvalue() == ""
    records.claim_of(runs[1]).path.mkdir(parents=True)
    records.write_failure(runs[1], ValueError("a run that failed is over, too"))
    progress.update()
    assert stream.getvalue().split()[0] == "first"
    end(runs[2])
    progress.update()
    progress.update()
    assert [line.split()[0] for line in stream.getvalue().splitlines()] == ["first", "second"]


def test_a_terminal_gets_a_bar_of_the_runs_that_are_over_or_of_the_time(runs):
    by_runs, by_time = Terminal(), Terminal()
    end(runs[0])
    StageProgress([Stage("a", runs[:2])], by_runs).update()
    assert by_runs.getvalue().count("━") == 12  # half of 24
    StageProgress([Stage("a", runs[:2], seconds=1e-9)], by_time).update()
    assert by_time.getvalue().count("━") == 24  # longer than expected
    assert not by_time.getvalue().endswith("\n")
    progress = StageProgress([Stage("a", runs[:2])], by_runs)
    progress.close()
    assert by_runs.getvalue().endswith("\n")  # what is printed next begins a line of its own
