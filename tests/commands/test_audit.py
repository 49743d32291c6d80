"""`recado audit`: who did what, and a chain that shows what was taken out of it."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from support.ledgers import LAURA, OPERATOR, accept, message
from support.operator import recado_at
from support.place import store_in
from support.rows import change, delete, insert, rows

from daemon.domain.audit_chain import Actor
from daemon.ops.commands.place import os_actor

NOW = time.time()
STRANGER = Actor(name="anybody", address="198.51.100.4")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A stopped store with five rows in its audit."""

    async def fill() -> None:
        async with store_in(tmp_path) as store:
            await accept(store, message("m-1"))
            await store.operator_actions.pause(
                LAURA.chat, NOW + 60, by=OPERATOR, now=NOW - 8 * 86400
            )
            await store.audit.write(STRANGER, "login failed", now=NOW - 3)
            await store.audit.write(OPERATOR, "reveal", LAURA.chat, now=NOW - 2)
            await store.audit.write(OPERATOR, "backup", "/srv/copy.db", now=NOW - 1)

    trio.run(fill)
    return tmp_path


def listed(data_dir: Path, *options: str) -> list[tuple[str, str]]:
    done = recado_at(data_dir, "audit", "--json", *options)
    assert done.exit_code == 0, done.stderr
    return [(row["action"], row["actor"]) for row in json.loads(done.stdout)]


def test_rows_are_listed_and_found_by_time_action_and_actor(data_dir: Path) -> None:
    assert len(listed(data_dir)) == 4
    assert listed(data_dir, "--since", "7d")[0] == ("login failed", "anybody")
    assert listed(data_dir, "--action", "reveal") == [("reveal", OPERATOR.name)]
    assert listed(data_dir, "--actor", "MARIA", "--since", "1h") == [
        ("reveal", OPERATOR.name),
        ("backup", OPERATOR.name),
    ]
    shown = recado_at(data_dir, "audit").stdout
    assert "5730…4567" in shown
    assert "198.51.100.4" in shown
    assert LAURA.chat not in shown


def test_revealing_a_number_leaves_a_row(data_dir: Path) -> None:
    assert LAURA.chat in recado_at(data_dir, "audit", "--reveal").stdout
    assert listed(data_dir)[-1] == ("reveal", os_actor().name)


@pytest.mark.parametrize(
    "options", [["--since", "soon"], ["--since", "1e999d"], ["--verify", "--known", "x"]]
)
def test_unreadable_input_is_refused(data_dir: Path, options: list[str]) -> None:
    assert recado_at(data_dir, "audit", *options).exit_code == 2
    assert recado_at(data_dir, "audit", "--known", f"1:{'0' * 64}").exit_code == 2


def drop(data_dir: Path, where: dict[str, int]) -> None:
    """Take rows out of the chain."""
    delete(data_dir, "audit_details", where={f"audit_{column}": n for column, n in where.items()})
    delete(data_dir, "audit", where=where)


TAMPERED: dict[str, tuple[Callable[[Path], object], int]] = {
    "actor": (lambda at: change(at, "audit", {"actor": "user pedro"}, where={"id": 2}), 2),
    "subject": (
        lambda at: change(at, "audit_details", {"subject": "m-9"}, where={"audit_id": 3}),
        3,
    ),
    "middle row": (lambda at: drop(at, {"id": 2}), 2),
    "first row": (lambda at: drop(at, {"id": 1}), 1),
    "last row": (lambda at: drop(at, {"id": 4}), 4),
    "all rows": (lambda at: drop(at, {}), 1),
    "added row": (lambda at: insert(at, "audit", rows(at, "audit", limit=1)[0] | {"id": 5}), 5),
}


@pytest.mark.parametrize("name", sorted(TAMPERED))
def test_the_first_broken_row_is_named(data_dir: Path, name: str) -> None:
    sound = recado_at(data_dir, "audit", "--verify")
    assert sound.exit_code == 0
    assert "sound: 4 rows" in sound.stdout
    tamper, broken = TAMPERED[name]
    tamper(data_dir)
    done = recado_at(data_dir, "audit", "--verify")
    assert done.exit_code == 1
    assert done.stdout.startswith(f"row {broken}: ")
    told = recado_at(data_dir, "audit", "--verify", "--json")
    assert told.exit_code == 1
    assert json.loads(told.stdout)["broken"] == broken


def test_a_head_kept_elsewhere_shows_a_chain_that_was_cut_with_its_head(data_dir: Path) -> None:
    head = json.loads(recado_at(data_dir, "audit", "--verify", "--json").stdout)["head"]
    (third,) = rows(data_dir, "audit", "hash", where={"id": 3})
    drop(data_dir, {"id": 4})
    change(data_dir, "audit_head", {"id": 3, "hash": third["hash"]})
    assert recado_at(data_dir, "audit", "--verify").exit_code == 0
    cut = recado_at(data_dir, "audit", "--verify", "--known", head)
    assert (cut.exit_code, cut.stdout[:6]) == (1, "row 4:")


@pytest.mark.sqlite  # it makes a backup
def test_exports_and_backups_leave_rows(data_dir: Path) -> None:
    assert recado_at(data_dir, "export", LAURA.chat).exit_code == 0
    assert recado_at(data_dir, "backup", str(data_dir / "copy.db")).exit_code == 0
    assert recado_at(data_dir, "unanswered", "--reveal").exit_code == 1
    mine = os_actor().name
    assert listed(data_dir, "--since", "1m")[-3:] == [
        ("export", mine), ("backup", mine), ("reveal", mine),
    ]  # fmt: skip
    assert recado_at(data_dir, "audit", "--verify").exit_code == 0


def test_sudo_names_the_user_before(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = os_actor().name
    monkeypatch.setenv("SUDO_USER", "maria-before")
    assert os_actor().name == f"user maria-before as {alone.removeprefix('user ')}"
