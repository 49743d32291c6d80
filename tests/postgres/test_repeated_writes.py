"""A write whose commit was cut off is repeated, and has one effect, whatever became of the first.

Of every method of the ledger that writes: `support.repeated_writes` has a case for each, and a new
method without one fails here.
"""

import ast
import importlib
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from support.ledgers import CHANNEL
from support.place import POSTGRES
from support.postgres_proxy import proxy_before
from support.repeated_writes import CASES, EVENTS, REPEATED_ON_PURPOSE, Scene

import daemon.ledger
from daemon.domain.messages import ChatKey
from daemon.errors import CommitUnknown
from daemon.ledger.drivers.port import Role
from daemon.ledger.drivers.postgres import writer
from daemon.ledger.drivers.postgres.connection import connect
from daemon.ledger.ledger import open_store
from daemon.ledger.webhook_deliveries import Subscription

DRAWN = ["hash", "digest", "salt", "ref"]
"""Columns with something drawn at random."""

NEW_NAME = re.compile("forgotten-[0-9a-f]+")

OTHERS = {"numbers", "nodes", "tombstones"}
"""Tables that other tasks of the ledger write, or whose key is drawn."""

WRITES = ("database.write", "database.of().write", "store.writes.write")
"""How functions call a database themselves, or say that it is to be called."""

Effects = dict[str, tuple[list[str], list[str]]]
"""By method: the rows that are new, and those that are gone."""


def roles() -> Iterator[type[Role]]:
    for module in pkgutil.walk_packages(daemon.ledger.__path__, "daemon.ledger."):
        importlib.import_module(module.name)
    waiting = [Role]
    while waiting:
        role = waiting.pop()
        yield role
        waiting += role.__subclasses__()


def marked_methods() -> Iterator[str]:
    """The methods that are marked as a transaction."""
    for role in roles():
        for name, method in vars(role).items():
            code = getattr(method, "__code__", None)
            if code is not None and code.co_qualname == "transaction.<locals>.run":
                yield f"{role.__name__}.{name}"


def direct_writes() -> Iterator[str]:
    """The functions that call `Database.write` themselves; each further call has a number."""
    package = Path(daemon.__file__).parent
    for path in sorted(package.rglob("*.py")):
        if path.parent.parent.name == "drivers" or path.parent.name == "drivers":
            continue
        found = Counter(_writing(ast.parse(path.read_text()), ""))
        for name, count in found.items():
            yield from (f"{name} {n}" if n > 1 else name for n in range(1, count + 1))


def _writing(node: ast.AST, name: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        inner = name
        if isinstance(child, ast.ClassDef | ast.AsyncFunctionDef) and name.count(".") < 1:
            inner = f"{name}.{child.name}" if name else child.name
        if isinstance(child, ast.Attribute) and ast.unparse(child).endswith(WRITES):
            yield name
        yield from _writing(child, inner)


def test_every_method_that_writes_has_a_case() -> None:
    methods = {*marked_methods(), *direct_writes()}
    assert len(methods) > 90
    assert methods - CASES.keys() - REPEATED_ON_PURPOSE.keys() == set()
    assert (CASES.keys() | REPEATED_ON_PURPOSE.keys()) - methods == set()
    assert CASES.keys() & REPEATED_ON_PURPOSE.keys() == set()


class Rows:
    """The rows of a database, seen from outside of the ledger."""

    def __init__(self, server: "psycopg.Connection[Any]") -> None:
        self._server = server
        columns = server.execute(
            "SELECT table_name, column_name, is_identity FROM information_schema.columns"
            " WHERE table_schema = 'public'"
        ).fetchall()
        drawn = sql.Literal(DRAWN)
        self._look = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {} || (to_jsonb(t) - {}::text[])::text FROM {} t").format(
                sql.Literal(f"{table} "), drawn, sql.Identifier(table)
            )
            for table in sorted({table for table, _, _ in columns} - OTHERS)
        )
        self._number = sql.SQL(" UNION ALL ").join(
            sql.SQL(
                "SELECT setval(pg_get_serial_sequence({}, {}),"
                " (SELECT COALESCE(MAX({}), 0) + 1 FROM {}), false)"
            ).format(*map(sql.Literal, (table, name)), *map(sql.Identifier, (name, table)))
            for table, name, numbered in columns
            if numbered == "YES"
        )

    def all(self) -> Counter[str]:
        """Every row, with its table."""
        found = self._server.execute(self._look)
        return Counter(NEW_NAME.sub("forgotten", row) for (row,) in found)

    def number_again(self) -> None:
        """Number new rows as if no transaction had been undone."""
        self._server.execute(self._number)


async def effects(folder: Path, *, arrives: bool | None) -> Effects:
    """Call each method; unless ``arrives`` is None, a second time after an unknown commit."""
    url = POSTGRES.url(folder)
    host = str(conninfo_to_dict(url)["host"])
    found: Effects = {}
    with proxy_before(Path(host)) as proxy, closing(connect(url)) as server:
        rows = Rows(server)
        through = url.replace(host, str(proxy.folder))
        async with open_store(folder, url=through, clock=lambda: 0.0) as store:
            await store.webhooks.subscribe(
                [Subscription(endpoint="crm", events=EVENTS)], numbers=[CHANNEL], now=1
            )
            for number, name in enumerate(CASES):
                key = ChatKey(CHANNEL, f"57300{1000000 + number}@s.whatsapp.net")
                rows.number_again()
                action = await CASES[name](Scene(store, key))
                rows.number_again()
                before = rows.all()
                if arrives is not None:
                    proxy.cut_next_commit(arrives=arrives)
                    with pytest.raises(CommitUnknown):
                        await action()
                    proxy.over.wait(90)
                    rows.number_again()
                await action()
                after = rows.all()
                found[name] = (sorted(after - before), sorted(before - after))
    return found


async def test_a_write_of_unknown_outcome_is_repeated_and_has_one_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_STORE", "postgres")
    monkeypatch.setattr(writer, "RESOLVE_SECONDS", 0.0)
    once = await effects(tmp_path / "once", arrives=None)
    assert [name for name, rows in once.items() if not any(rows)] == []
    for arrives in (False, True):
        repeated = await effects(tmp_path / f"arrives-{arrives}", arrives=arrives)
        differing = [(n, once[n], repeated[n]) for n in CASES if once[n] != repeated[n]]
        assert not differing, differing[0]
