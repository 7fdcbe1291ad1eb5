"""Files are complete or absent, and a path that is not a regular file is not replaced."""

import errno
import os
import socket
import stat
import tempfile
import threading
from pathlib import Path

import pytest

from bert_lightning.errors import UserError
from bert_lightning.runs.atomic_writes import _to_replace, output_file, output_folder, replace_atomically
from bert_lightning.tasks.output import json_lines


def written(path, text="new\n"):
    with output_file(path) as file:
        file.write(text)


def _fill_up(folder):
    (folder / "file").write_text("x")
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_is_replaced_when_it_is_whole(tmp_path):
    path = tmp_path / "out"
    path.write_text("old\n")
    path.chmod(0o640)
    with output_file(path) as file:
        file.write("new\n")
        assert path.read_text() == "old\n"
    assert path.read_text() == "new\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    with pytest.raises(TypeError), output_file(path) as file:
        file.writelines(["half", 1])
    assert path.read_text() == "new\n"
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("there", [True, False])
def test_a_symlink_stays_and_its_file_is_written(there, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "file"
    if there:
        target.write_text("old\n")
    link = tmp_path / "link"
    link.symlink_to("elsewhere/file")
    written(link)
    assert link.is_symlink()
    assert target.read_text() == "new\n"
    assert sorted(os.listdir(tmp_path / "elsewhere")) == ["file"]


@pytest.mark.parametrize("linked", [False, True])
def test_a_fifo_is_written_into(linked, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    path = tmp_path / "link" if linked else fifo
    if linked:
        path.symlink_to(fifo)
    read = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_text()))
    reader.start()
    with json_lines(str(path), None) as write:
        write({"a": 1})
    reader.join(10)
    assert read == ['{"a": 1}\n']
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert path.is_symlink() == linked


def test_a_fifo_whose_reader_leaves_is_one_line(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with json_lines(str(fifo), None) as write:
        os.close(reader)
        with pytest.raises(UserError, match=r"fifo cannot be written \(Broken pipe\)"):
            write({"a": 1})
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_what_programs_have_open_is_never_replaced():
    """Only asked, never written: a rename over /dev/stdout would replace the device."""
    with Path(__file__).open(encoding="utf-8") as file:
        assert _to_replace(Path(f"/proc/self/fd/{file.fileno()}")) is None


def test_a_link_to_what_a_program_has_open_is_not_replaced_either(tmp_path):
    with Path(__file__).open(encoding="utf-8") as file:
        (tmp_path / "first").symlink_to(f"/proc/self/fd/{file.fileno()}")
        (tmp_path / "second").symlink_to("first")
        assert _to_replace(tmp_path / "second") is None


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs /dev/shm, where files are in memory")
def test_a_file_in_memory_is_a_file():
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        assert _to_replace(Path(file.name)) == Path(file.name)


def test_what_cannot_be_written_is_refused_in_one_line(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket"))
    before = sorted(os.listdir(tmp_path))
    for name, message in {
        "": "is a folder: give the name of a file",
        "none/out": "the folder .*none does not exist: create it first",
        "loop": "Too many levels of symbolic links",
        "file/out": "Not a directory",
        "socket": "No such device or address",
        "n" * 300: "File name too long",
    }.items():
        with pytest.raises(UserError, match=f"output=.*{message}"):
            written(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == before
    server.close()


def test_a_file_that_the_user_may_not_write_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "out"
    path.write_text("old\n")
    path.chmod(0o444)
    if os.access(path, os.W_OK):
        pytest.skip("root may write everything")
    with pytest.raises(UserError, match="Permission denied"):
        written(path)


def test_what_a_killed_process_left_is_dropped_and_not_followed(tmp_path):
    (tmp_path / "precious").write_text("keep")
    (tmp_path / "out.partial").symlink_to("precious")
    with replace_atomically(tmp_path / "out") as file:
        file.write("new")
    assert (tmp_path / "precious").read_text() == "keep"
    assert sorted(os.listdir(tmp_path)) == ["out", "precious"]


def test_a_folder_is_whole_or_absent(tmp_path):
    with output_folder(tmp_path / "a" / "b") as folder:
        (folder / "file").write_text("x")
    assert os.listdir(tmp_path / "a" / "b") == ["file"]
    with pytest.raises(UserError, match=r"cannot be written \(No space"), output_folder(tmp_path / "c" / "d") as folder:
        _fill_up(folder)
    assert os.listdir(tmp_path) == ["a"]
    (tmp_path / "link").symlink_to("nowhere")
    for path in (tmp_path / "a", tmp_path / "link"):
        with pytest.raises(UserError, match="exists already: choose another path"), output_folder(path):
            pass
    assert (tmp_path / "link").is_symlink()
