"""The ledger as its callers see it: one object, a class for each role."""

import contextlib
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import trio

from daemon.domain.progress import Progress, unwatched
from daemon.domain.records import EVENTS_FOLDER, MEDIA_FOLDER
from daemon.files.folder import LocalFiles
from daemon.files.port import FileStore
from daemon.ledger.accounts import Accounts, Sessions
from daemon.ledger.admin.connection import postgres_driver
from daemon.ledger.audit import Audit
from daemon.ledger.candidates import Candidates
from daemon.ledger.chats import ChatSnapshots, Exchanges, Handovers
from daemon.ledger.comparisons import Comparisons
from daemon.ledger.desk import DeskRecords
from daemon.ledger.drivers.port import Cluster, Database, Meter, Role, Transactions
from daemon.ledger.drivers.sqlite.opening import open_database
from daemon.ledger.enquiries import Enquiries
from daemon.ledger.files import AUDIO_FOLDER, DeletedFiles, KeptFiles
from daemon.ledger.intake import Calls, Inbox
from daemon.ledger.knowledge import Passages, Questions
from daemon.ledger.mcp import McpLists
from daemon.ledger.media import MediaItems
from daemon.ledger.nodes import Commands, Node, SharedKeys, WaitingCalls
from daemon.ledger.notifications import Notifications
from daemon.ledger.operator_actions import OperatorActions
from daemon.ledger.outbox import Escalations, InterimMessages, Outbox
from daemon.ledger.people import (
    KEY_FILE,
    Facts,
    Identities,
    contact_key,
    keep_contact_key,
)
from daemon.ledger.process_records import (
    Backlog,
    DashboardLog,
    ProcessHistory,
    Samples,
    Stages,
)
from daemon.ledger.references import References
from daemon.ledger.reminders import Reminders
from daemon.ledger.runs import Orphans, Runs
from daemon.ledger.search import SearchIndex
from daemon.ledger.templates import Templates
from daemon.ledger.text_versions import TextVersions
from daemon.ledger.threads import Memories, Threads
from daemon.ledger.tokens import ApiTokens, IdempotencyKeys
from daemon.ledger.topics import Topics
from daemon.ledger.turn_outcome import Validations
from daemon.ledger.turns import Turns
from daemon.ledger.usage import UsageBook
from daemon.ledger.views import Views
from daemon.ledger.webhook_deliveries import WebhookDeliveries
from daemon.system.private_files import files_in, make_folder, tighten

FOLDERS = (EVENTS_FOLDER, MEDIA_FOLDER, AUDIO_FOLDER)
"""The folders of files beside the store."""

OUR_FILES = ("recado.", "contact.key")
"""Beginnings of the names of our files: the data directory may hold others."""


OF_NO_NUMBER = frozenset(
    {
        "passages",
        "deleted_files",
        "dashboard_log",
        "samples",
        "accounts",
        "sessions",
        "stages",
        "process_history",
        "waiting_calls",
        "api_tokens",
        "idempotency_keys",
        "commands",
        "audit",
        "notifications",
        "mcp_lists",
        "desk",
        "text_versions",
        "search",
        "comparisons",
    }
)
"""Roles that write for no single number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """All that is durable. The class of each field says who may call it."""

    data_dir: Path
    """Where the files beside the database are."""
    contact_key: bytes
    """The key of the hashes of contacts."""
    database: Database
    writes: Transactions
    """How those who use this one write: for one number, or for all of them."""
    inbox: Inbox
    references: References
    calls: Calls
    turns: Turns
    runs: Runs
    orphans: Orphans
    notifications: Notifications
    outbox: Outbox
    files: KeptFiles
    file_store: FileStore
    deleted_files: DeletedFiles
    threads: Threads
    validations: Validations
    media: MediaItems
    memories: Memories
    identities: Identities
    facts: Facts
    interim: InterimMessages
    escalations: Escalations
    usage: UsageBook
    exchanges: Exchanges
    dashboard_log: DashboardLog
    samples: Samples
    accounts: Accounts
    desk: DeskRecords
    sessions: Sessions
    stages: Stages
    snapshots: ChatSnapshots
    process_history: ProcessHistory
    backlog: Backlog
    waiting_calls: WaitingCalls
    commands: Commands
    cluster: Cluster | None
    """The nodes of a database that can have several; None: this process has everything."""
    operator_actions: OperatorActions
    templates: Templates
    audit: Audit
    api_tokens: ApiTokens
    idempotency_keys: IdempotencyKeys
    handovers: Handovers
    passages: Passages
    mcp_lists: McpLists
    questions: Questions
    views: Views
    webhooks: WebhookDeliveries
    reminders: Reminders
    enquiries: Enquiries
    topics: Topics
    candidates: Candidates
    text_versions: TextVersions
    search: SearchIndex
    comparisons: Comparisons

    def of(self, number: str) -> "Store":
        """The same ledger for those who write for this number of ours only."""
        return self.over(self.database.of(number))

    def over(self, writes: Transactions) -> "Store":
        """The same ledger over another way into the database."""
        values: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        for name, role in values.items():
            if isinstance(role, Role) and name not in OF_NO_NUMBER:
                values[name] = role.over(writes)
        return Store(**{**values, "writes": writes})


@contextlib.asynccontextmanager
async def open_store(
    data_dir: Path,
    *,
    url: str = "",
    numbers: Collection[str] = (),
    clock: Callable[[], float],
    meter: Meter | None = None,
    files: FileStore | None = None,
    node: Node | None = None,
    upgrading: Progress = unwatched,
) -> AsyncIterator[Store]:
    """Open the store, repaired after a crash.

    Without ``url`` it is SQLite's file in ``data_dir``, for this process alone; else PostgreSQL's
    tables, where this ``node`` owns its share of ``numbers``. ``clock`` measures
    durations, in seconds. ``files``: where the files of messages are; None: in ``data_dir``.
    ``upgrading`` gets the steps that bring older tables up to date, in a thread. Raises StoreInUse
    or StoreDamaged.
    """
    files = files or LocalFiles(data_dir)
    opening = _open(
        data_dir, url, numbers, clock=clock, meter=meter, node=node, upgrading=upgrading
    )
    async with opening as opened:
        database, key, cluster = opened
        process = database.of()
        store = Store(
            data_dir=data_dir,
            contact_key=key,
            database=database,
            writes=database,
            inbox=Inbox(database, None if url else data_dir / EVENTS_FOLDER, key),
            references=References(database),
            calls=Calls(database),
            turns=Turns(database),
            runs=Runs(database),
            orphans=Orphans(database),
            notifications=Notifications(process),
            outbox=Outbox(database),
            files=KeptFiles(files),
            file_store=files,
            deleted_files=DeletedFiles(database),
            threads=Threads(database),
            validations=Validations(database),
            media=MediaItems(database, data_dir / MEDIA_FOLDER),
            memories=Memories(database),
            identities=Identities(database),
            facts=Facts(database),
            interim=InterimMessages(database),
            escalations=Escalations(database),
            usage=UsageBook(database),
            exchanges=Exchanges(database),
            operator_actions=OperatorActions(database),
            templates=Templates(database),
            audit=Audit(process),
            api_tokens=ApiTokens(process),
            idempotency_keys=IdempotencyKeys(process),
            handovers=Handovers(database),
            passages=Passages(database),
            mcp_lists=McpLists(process),
            questions=Questions(database),
            views=Views(database),
            webhooks=WebhookDeliveries(database),
            reminders=Reminders(database),
            enquiries=Enquiries(database),
            topics=Topics(database),
            candidates=Candidates(database),
            text_versions=TextVersions(process),
            search=SearchIndex(database),
            comparisons=Comparisons(process),
            dashboard_log=DashboardLog(process),
            samples=Samples(process),
            accounts=Accounts(process),
            desk=DeskRecords(process),
            sessions=Sessions(process),
            stages=Stages(process),
            snapshots=ChatSnapshots(database),
            process_history=ProcessHistory(process),
            backlog=Backlog(database),
            waiting_calls=WaitingCalls(process),
            commands=Commands(process),
            cluster=cluster,
        )
        await trio.to_thread.run_sync(_keep_private, data_dir)
        if cluster is None or (cluster.leads and cluster.is_alone):
            await store.outbox.repair()
        yield store


@contextlib.asynccontextmanager
async def _open(
    data_dir: Path,
    url: str,
    numbers: Collection[str],
    *,
    clock: Callable[[], float],
    meter: Meter | None,
    node: Node | None,
    upgrading: Progress,
) -> AsyncIterator[tuple[Database, bytes, Cluster | None]]:
    """Open the database; also gives the key of contacts."""
    if not url:
        async with open_database(
            data_dir / "recado.db", clock=clock, meter=meter, upgrading=upgrading
        ) as database:
            yield database, contact_key(data_dir), None
        return
    make_folder(data_dir)
    node = node or Node()
    opening: contextlib.AbstractAsyncContextManager[Any] = postgres_driver().open_postgres(
        url,
        clock=clock,
        meter=meter,
        terms=node.terms,
        numbers=numbers,
        waits=node.waits,
        upgrading=upgrading,
    )
    async with opening as opened:
        keys = SharedKeys(opened.of())
        key = await keys.agree(KEY_FILE, contact_key(data_dir))
        await trio.to_thread.run_sync(keep_contact_key, data_dir, key)
        yield opened, key, opened


def _keep_private(data_dir: Path) -> None:
    """Tighten the modes of the data directory and of our files directly in it."""
    data_dir = data_dir.resolve()
    ours = [path for path in files_in(data_dir) if path.name.startswith(OUR_FILES)]
    tighten([data_dir, *ours, *(data_dir / folder for folder in FOLDERS)])


def tighten_files(data_dir: Path) -> int:
    """Tighten the modes of the files in the store's folders; gives how many were too wide.

    Blocks for as long as it takes to look at all of them.
    """
    return sum(tighten(files_in(data_dir / folder)) for folder in FOLDERS)
