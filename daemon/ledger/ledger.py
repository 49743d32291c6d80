"""The ledger as its callers see it: one object, a class for each role."""

import contextlib
from collections.abc import AsyncIterator, Callable, Collection
from copy import copy
from pathlib import Path
from typing import Any, Self

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
from daemon.ledger.drivers.port import Cluster, Database, Meter, Transactions
from daemon.ledger.drivers.sqlite.opening import open_database
from daemon.ledger.enquiries import Enquiries
from daemon.ledger.files import AUDIO_FOLDER, DeletedFiles, KeptFiles
from daemon.ledger.intake import Calls, Inbox
from daemon.ledger.knowledge import Passages, Questions
from daemon.ledger.labels import ChatLabelRecords, DeskLabels
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
from daemon.ledger.turns import Turns, Validations
from daemon.ledger.usage import UsageBook
from daemon.ledger.views import Views
from daemon.ledger.webhook_deliveries import WebhookDeliveries
from daemon.system.private_files import files_in, make_folder, tighten

FOLDERS = (EVENTS_FOLDER, MEDIA_FOLDER, AUDIO_FOLDER)
"""The folders of files beside the store."""

OUR_FILES = ("recado.", "contact.key")
"""Beginnings of the names of our files: the data directory may hold others."""


class Store:
    """All that is durable. The class of each attribute says who may call it."""

    def __init__(
        self,
        database: Database,
        data_dir: Path,
        *,
        contact_key: bytes,
        events: Path | None,
        files: FileStore,
        cluster: Cluster | None,
    ) -> None:
        """``events``: the folder of large webhook calls; None: they are rows."""
        self.data_dir = data_dir
        """Where the files beside the database are."""
        self.contact_key = contact_key
        """The key of the hashes of contacts."""
        self.database = database
        self.long_work = trio.Lock()
        """Held by each write of a job that changes many rows."""
        self.cluster = cluster
        """The nodes of a database that can have several; None: this process has everything."""
        self.file_store = files
        self._events = events
        # What is written for no single number, here or by the task of the process that leads.
        process = database.of()
        self.notifications = Notifications(process)
        self.deleted_files = DeletedFiles(database)
        self.audit = Audit(process)
        self.api_tokens = ApiTokens(process)
        self.idempotency_keys = IdempotencyKeys(process)
        self.passages = Passages(database)
        self.mcp_lists = McpLists(process)
        self.text_versions = TextVersions(process)
        self.search = SearchIndex(database)
        self.comparisons = Comparisons(process)
        self.dashboard_log = DashboardLog(process)
        self.samples = Samples(process)
        self.accounts = Accounts(process)
        self.desk = DeskRecords(process)
        self.desk_labels = DeskLabels(process)
        self.sessions = Sessions(process)
        self.stages = Stages(process)
        self.process_history = ProcessHistory(process)
        self.waiting_calls = WaitingCalls(database.with_own_connection())
        self.commands = Commands(process)
        self.files = KeptFiles(files)
        self._write_by(database)

    def _write_by(self, writes: Transactions) -> None:
        """Make the roles of those who write for one number, or for all of them."""
        self.writes = writes
        self.inbox = Inbox(writes, self._events, self.contact_key)
        self.media = MediaItems(writes, self.data_dir / MEDIA_FOLDER)
        self.references = References(writes)
        self.calls = Calls(writes)
        self.turns = Turns(writes)
        self.runs = Runs(writes)
        self.orphans = Orphans(writes)
        self.outbox = Outbox(writes)
        self.threads = Threads(writes)
        self.validations = Validations(writes)
        self.memories = Memories(writes)
        self.identities = Identities(writes)
        self.facts = Facts(writes)
        self.interim = InterimMessages(writes)
        self.escalations = Escalations(writes)
        self.usage = UsageBook(writes)
        self.exchanges = Exchanges(writes)
        self.operator_actions = OperatorActions(writes)
        self.chat_labels = ChatLabelRecords(writes)
        self.templates = Templates(writes)
        self.handovers = Handovers(writes)
        self.questions = Questions(writes)
        self.views = Views(writes)
        self.webhooks = WebhookDeliveries(writes)
        self.reminders = Reminders(writes)
        self.enquiries = Enquiries(writes)
        self.topics = Topics(writes)
        self.candidates = Candidates(writes)
        self.snapshots = ChatSnapshots(writes)
        self.backlog = Backlog(writes)

    def of(self, number: str) -> Self:
        """The same ledger for those who write for this number of ours only."""
        return self.over(self.database.of(number))

    def over(self, writes: Transactions) -> Self:
        """The same ledger over another way into the database."""
        other = copy(self)
        other._write_by(writes)  # noqa: SLF001 - its own
        return other


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
        store = Store(
            database,
            data_dir,
            contact_key=key,
            events=None if url else data_dir / EVENTS_FOLDER,
            files=files,
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
