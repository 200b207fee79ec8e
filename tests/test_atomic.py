"""A file is there whole, or as it was before."""

from __future__ import annotations

import os

import pytest

from batchvet.atomic import write_atomically


def test_a_file_is_replaced_and_its_directory_made(tmp_path):
    path = tmp_path / "a" / "b" / "file"
    write_atomically(path, b"one")
    write_atomically(path, memoryview(b"two"))
    assert path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["file"]


def test_without_replacing_the_first_writer_wins(tmp_path):
    write_atomically(tmp_path / "file", b"first", replace=False)
    write_atomically(tmp_path / "file", b"second", replace=False)
    assert (tmp_path / "file").read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["file"]


def test_without_hard_links_the_file_is_there_all_the_same(tmp_path, monkeypatch):
    def refused(*arguments):
        raise OSError("no hard links here")

    monkeypatch.setattr(os, "link", refused)
    write_atomically(tmp_path / "file", b"content", replace=False)
    assert (tmp_path / "file").read_bytes() == b"content"


def test_what_does_not_read_back_is_not_there(tmp_path):
    def damaged(content: bytes) -> None:
        assert content == b"new"
        raise ValueError("damaged")

    write_atomically(tmp_path / "file", b"old")
    with pytest.raises(ValueError, match="damaged"):
        write_atomically(tmp_path / "file", b"new", check=damaged)
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_write_that_breaks_off_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    write_atomically(tmp_path / "file", b"old")

    def broken(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]
