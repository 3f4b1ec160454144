from __future__ import annotations

from pathlib import Path

import pytest

from damoos.files import write_whole


def test_text_and_bytes_replace_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, "ü\n")
    assert path.read_bytes() == "ü\n".encode()
    write_whole(path, b"\x00\r\n")
    assert path.read_bytes() == b"\x00\r\n" and list(tmp_path.iterdir()) == [path]


def test_where_it_fails_the_old_file_stays_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "there"
    (folder / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        write_whole(folder, "new")
    assert list(tmp_path.iterdir()) == [folder] and (folder / "inside").is_dir()
