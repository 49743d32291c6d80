"""The files that go out with messages: whole or not there, never one for another."""

import os
import random
import re
from pathlib import Path

import pytest

from daemon.files.folder import LocalFiles
from daemon.ledger.files import KeptFiles


@pytest.fixture
def files(tmp_path: Path) -> KeptFiles:
    """An empty folder that does not exist yet."""
    return KeptFiles(LocalFiles(tmp_path))


async def test_voice_notes_have_unguessable_names(files: KeptFiles, tmp_path: Path) -> None:
    rng = random.Random(1)  # noqa: S311 - repeatable on purpose
    names = [await files.keep_voice(b"OggS", "ogg", now=1.5, random=rng) for _ in range(3)]
    assert len(set(names)) == 3
    assert all(re.fullmatch(r"voice_1500_\d+\.ogg", name) for name in names)
    assert max(len(name) for name in names) > 30
    assert await files.read(names[0]) == b"OggS"
    assert await files.read("voice_1_1.ogg") is None
    assert (tmp_path / "audio").stat().st_mode & 0o077 == 0


async def test_a_copy_is_named_by_its_content(files: KeptFiles, tmp_path: Path) -> None:
    source = tmp_path / "Menu.PDF"
    source.write_bytes(b"one")
    first, size = await files.keep_copy(source, most=3)
    assert (size, first.endswith(".pdf")) == (3, True)
    assert await files.keep_copy(source, most=3) == (first, 3)
    source.write_bytes(b"two")
    second, _ = await files.keep_copy(source, most=3)
    assert (await files.read(first), await files.read(second)) == (b"one", b"two")
    for bad in (b"", b"four"):
        source.write_bytes(bad)
        with pytest.raises(ValueError, match="1 to 3 bytes"):
            await files.keep_copy(source, most=3)


async def test_old_files_go_unless_they_are_in_use_or_used_again(
    files: KeptFiles, tmp_path: Path
) -> None:
    source = tmp_path / "a.png"
    names = []
    for content in (b"1", b"2", b"3"):
        source.write_bytes(content)
        names.append((await files.keep_copy(source, most=9))[0])
        os.utime(tmp_path / "audio" / names[-1], (100, 100))
    await files.keep_copy(source, most=9)
    assert await files.drop_old(before=200, in_use={names[0]}) == 1
    assert await files.read(names[1]) is None
    assert sorted(path.name for path in (tmp_path / "audio").iterdir()) == sorted(
        [names[0], names[2]]
    )
