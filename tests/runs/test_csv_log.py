"""Tests of `metrics.csv`: its rows, a resumed run, and a full disk."""

import csv
import errno

import pytest
from lightning.pytorch.loggers import Logger

from bert_lightning.errors import UserError
from bert_lightning.runs.csv_log import CsvLog
from bert_lightning.runs.loggers import FailSafeLogger


def rows(path):
    with path.open(newline="") as file:
        return [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]


def test_rows_and_new_columns(tmp_path):
    log = CsvLog(tmp_path / "metrics.csv")
    log.log_metrics({"b": 1.5}, 0)
    log.log_metrics({"a": 2.0}, 1)
    log.log_metrics({"b": 3.0}, 2)
    assert rows(log.path) == [{"b": "1.5", "step": "0"}, {"a": "2.0", "step": "1"}, {"b": "3.0", "step": "2"}]
    assert log.path.read_text().startswith("a,b,step\n")


def test_a_resumed_log_has_each_step_once(tmp_path):
    path = tmp_path / "metrics.csv"
    log = CsvLog(path)
    for step in range(5):
        log.log_metrics({"a": step / 2}, step)
    with path.open("a") as file:
        file.write("7.5,")  # torn by the end of the process
    again = CsvLog(path, first_step=3)
    again.log_metrics({"a": 9.0}, 3)
    assert [row["step"] for row in rows(path)] == ["0", "1", "2", "3"]
    assert rows(path)[-1]["a"] == "9.0"


def test_a_new_run_does_not_continue_an_old_file(tmp_path):
    path = tmp_path / "metrics.csv"
    CsvLog(path).log_metrics({"a": 1.0}, 0)
    CsvLog(path).log_metrics({"b": 1.0}, 0)
    assert rows(path) == [{"b": "1.0", "step": "0"}]


def test_a_logger_that_fails_is_said_once_and_left_alone(tmp_path, capsys):
    class Broken(Logger):
        name = version = ""
        calls = 0

        def log_hyperparams(self, *_):
            pass

        def log_metrics(self, metrics, step=None):
            self.calls += 1
            raise PermissionError(13, "Permission denied")

    logger = FailSafeLogger(Broken())
    logger.log_metrics({"a": 1.0}, 0)
    logger.log_metrics({"a": 1.0}, 1)
    assert logger.logger.calls == 1
    assert (
        capsys.readouterr().err.count("Broken failed, so the run continues without it: [Errno 13] Permission denied")
        == 1
    )


def test_rows_that_cannot_be_written_wait(tmp_path, monkeypatch, capsys):
    log = CsvLog(tmp_path / "metrics.csv")
    log.log_metrics({"a": 0.5}, 0)

    class Full(csv.DictWriter):
        def writerows(self, waiting):
            super().writerows(waiting[:1])
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(csv, "DictWriter", Full)
        log.log_metrics({"a": 1.5}, 1)
        log.log_metrics({"a": 2.5}, 2)
    log.log_metrics({"a": 3.5}, 3)
    assert capsys.readouterr().err.count("cannot be written (No space left on device): its rows are kept") == 1
    assert [row["a"] for row in rows(log.path)] == ["0.5", "1.5", "2.5", "3.5"]


FOREIGN = {
    "not UTF-8": b"step,a\n\xff\xfe,1\n",
    "no steps": b"a,b\n1,2\n",
    "rows that are too long": b"step,a\n1,2,3\n",
    "rows that are too short": b"step,a,b\n1,2\n",
}


@pytest.mark.parametrize("case", FOREIGN)
def test_what_is_no_log_is_left_as_it_is(case, tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_bytes(FOREIGN[case])
    with pytest.raises(UserError, match=r"metrics\.csv is not the log of a run: move it elsewhere"):
        CsvLog(path, first_step=3)
    assert path.read_bytes() == FOREIGN[case]


def test_a_folder_is_no_log(tmp_path):
    with pytest.raises(UserError, match=r"cannot be read \(Is a directory\)"):
        CsvLog(tmp_path, first_step=3)
