"""Files are 0600 and folders 0700, whatever the umask and whoever made the folder."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from support.ledgers import CHANNEL, message
from support.place import store_in

from daemon.domain.messages import Webhook
from daemon.domain.records import MEDIA_FOLDER
from daemon.ledger.intake import ROW_BODY_BYTES
from daemon.ledger.ledger import tighten_files
from daemon.ledger.statuses import NEVER
from daemon.media.files import Draft
from daemon.system.private_files import make_folder, new_file, tighten

pytestmark = pytest.mark.sqlite


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    """The umask of this process, for a while."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def too_wide(folder: Path) -> dict[str, str]:
    """What is below a folder, itself included, with another mode than it should have."""
    wanted = {True: 0o700, False: 0o600}
    modes = {p: stat.S_IMODE(p.lstat().st_mode) for p in (folder, *folder.rglob("*"))}
    return {str(p): oct(mode) for p, mode in modes.items() if mode != wanted[p.is_dir()]}


async def fill(folder: Path) -> None:
    """Make a store, with a file of every kind beside it."""
    async with store_in(folder) as store:
        call = Webhook(channel=CHANNEL, event="messages.post", messages=(message("m-1"),))
        large = b"x" * (ROW_BODY_BYTES + 1)
        await store.inbox.accept(
            call, large, verdicts=[""], now=1, pause_until=0, resend_since=NEVER
        )
        await store.files.keep_voice(b"OggS", "ogg", now=1, random=Random(1))  # noqa: S311
        draft = Draft(folder / MEDIA_FOLDER, limit=10)
        draft.add(b"x")
        draft.keep_unchecked("bin")
        assert too_wide(folder) == {}


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o277])
async def test_files_are_private_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        await fill(tmp_path / "data")


async def test_wider_modes_are_tightened_at_the_start(tmp_path: Path) -> None:
    """In a folder that somebody else has made, and files of an earlier version."""
    folder = tmp_path / "data"
    await fill(folder)
    (folder / "theirs.txt").write_text("not ours")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o664)
    assert too_wide(folder)
    async with store_in(folder):
        tighten_files(folder)
        assert too_wide(folder) == {str(folder / "theirs.txt"): "0o664"}


async def test_a_folder_behind_a_link_is_tightened(tmp_path: Path) -> None:
    """As systemd's state directory of a dynamic user is."""
    (tmp_path / "private").mkdir(mode=0o755)
    (tmp_path / "data").symlink_to("private")
    async with store_in(tmp_path / "data"):
        assert too_wide(tmp_path / "private") == {}


def test_links_and_missing_files_are_unchanged(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("somebody's")
    target.chmod(0o644)
    link.symlink_to(target)
    os.mkfifo(tmp_path / "pipe", 0o644)
    assert tighten([link, tmp_path / "pipe", tmp_path / "gone"]) == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o644


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    new_file(tmp_path / "a" / "b" / "c").close()
    with pytest.raises(FileExistsError):
        new_file(tmp_path / "a" / "b" / "c")
