"""The dashboard's views of chats and work: the ledger's views, with masked numbers.

Words that were written stay as they are. Times are Unix seconds. All raise StoreUnavailable.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from zoneinfo import ZoneInfo

from daemon.conversation.numbers import Numbers
from daemon.conversation.opening import Process
from daemon.conversation.recovery import RecoveryReport
from daemon.domain.dashboard_values import ChatQuery
from daemon.domain.ids import is_group, local_part, phone_digits
from daemon.domain.knowledge.ranking import FoundPassage
from daemon.domain.limits import MICROS, day_of
from daemon.domain.messages import ChatKey, JsonObject, Label
from daemon.domain.records import MEDIA_FOLDER
from daemon.domain.redaction import mask_numbers
from daemon.domain.rendering.templates import APPROVED
from daemon.ledger.files import AUDIO_FOLDER
from daemon.ledger.nodes import NodeState
from daemon.ledger.views.bubbles import Before
from daemon.ledger.views.chat_states import Live
from daemon.ops.rehearsal.writing import as_case
from daemon.tools import builtin_tools

STATES = {"gathering": "writing", "loop": "paused"}
"""The state that is shown for what a chat's task does, where the two differ."""

MIME_TYPES = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "oga": "audio/ogg",
    "opus": "audio/ogg",
    "m4a": "audio/mp4",
    "mp4": "video/mp4",
    "pdf": "application/pdf",
}
"""By a file's ending; all other files are downloaded as bytes."""

NAME_MAX = 255
"""Of a file's name, in bytes (Linux, ``limits.h``)."""

NAME_CHARACTERS = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-")


TURNS_OF_A_CASE = 5
"""Of a stored conversation that becomes a case."""


class OperatorViews:
    """One object for the whole process. Made by the composer, used by HTTP handlers."""

    def __init__(self, process: Process, numbers: Numbers, recovery: RecoveryReport) -> None:
        self._recovery = recovery
        self._files = process.store.file_store
        self._views = process.store.views
        self._search = process.store.search
        self._desk_labels = process.store.desk_labels
        self._reminders = process.store.reminders
        self._templates = process.store.templates
        self._comparisons = process.store.comparisons
        self._numbers = numbers
        self._run_slots = process.run_slots
        self._metrics = process.telemetry.metrics
        self._now = process.telemetry.now

    @property
    def numbers(self) -> tuple[str, ...]:
        """The names of our numbers, where there are several."""
        return self._numbers.names if len(self._numbers) > 1 else ()

    # -- conversations ---------------------------------------------------------------------------

    async def key_of(self, ref: str) -> ChatKey | None:
        """Return the chat with this public name; None if there is none."""
        return await self._views.key_of(ref)

    async def chats(self, wanted: ChatQuery, *, before: str) -> JsonObject:
        """Return one page of the list: `chats`, `next` (empty at the end) and `states`.

        ``before``: the `next` of the page before. `states` counts the chats in each state but
        ``idle``; ``mine`` those of the account, and ``unread`` those that wait for somebody to
        look.
        """
        wanted = replace(wanted, before=_list_place(before))
        if wanted.query and wanted.words:
            await self._search.refresh()
        page = await self._views.chats(wanted, self._live(), now=self._now())
        at, ref = page["next"] or (0.0, "")
        return {
            "chats": [self._shown_chat(chat) for chat in page["chats"]],
            "next": f"{at!r}-{ref}" if ref else "",
            "states": page["states"],
            "mine": page["mine"],
            "unread": page["unread"],
        }

    async def messages_with(self, wanted: ChatQuery, *, before: str) -> JsonObject:
        """Return one page of the messages with the words of the query: `found`, and `next`.

        Each has `ref`, `name` and `number` of its chat, the `id` of its bubble, `at`, and `parts`:
        pairs of a text and whether it was looked for.
        """
        await self._search.refresh()
        page = await self._views.found(
            wanted, self._live(), before=_text_place(before), now=self._now()
        )
        return {
            "found": [
                {
                    "ref": text["ref"],
                    "name": mask_numbers(text["name"]),
                    "number": _masked(text["chat"]),
                    "ours": self._ours(text["number"]),
                    "id": text["id"],
                    "at": text["at"],
                    "parts": [(part.text, part.marked) for part in text["parts"]],
                }
                for text in page["found"]
            ],
            "next": str(page["next"] or ""),
        }

    async def place_of(self, key: ChatKey, name: str) -> str | None:
        """Return what asks `bubbles` for the page with a message; None if there is none of it."""
        place = await self._views.place_of(key, name)
        if place is None:
            return None
        return "" if place == Before() else f"{place.came}-{place.went}"

    async def chat(self, key: ChatKey) -> JsonObject | None:
        """Return one chat as the list has it, with its `labels` (None if they are not known)."""
        chat = await self._views.chat(key, self._live(), now=self._now())
        if not chat:
            return None
        number = self._numbers.get(key.number)
        details = await number.services.number.chat_info.details(key) if number else None
        costs = await self._views.costs(key)
        labels = None
        if number:
            services = number.services
            labels = services.number.labels.of_chat(details, chat["labels"])
            if labels not in {None, chat["labels"]} and self._numbers.serves(key.number):
                # They were changed while nobody was told.
                await services.store.chat_labels.keep(key, labels or (), now=self._now())
        return {
            **self._shown_chat(chat),
            "labels": None if labels is None else list(labels),
            "costs": {name: micros / MICROS for name, micros in costs.items()},
            "currency": number.services.config.rules.budget.currency if number else "",
        }

    async def labels(self, key: ChatKey | None = None) -> dict[str, str]:
        """Return the labels that chats can have, each with its colour: of a chat's number, or all.

        A colour is a word of CSS; empty if there is none.
        """
        labels, of_desk = list[Label](), False
        for number in self._numbers:
            if key is None or number.name == key.number:
                known = await number.services.number.labels.known()
                labels += known or ()
                of_desk |= known is None
        if of_desk:
            labels += await self._desk_labels.all()
        found: dict[str, str] = {}
        for label in labels:
            color = label.color.lower()
            is_word = color.isascii() and color.isalpha()
            found.setdefault(label.name, color if is_word else "")
        return found

    @property
    def labelled_here(self) -> tuple[str, ...]:
        """The numbers whose chats have labels of the desk's list: their gateways have none."""
        return tuple(
            one.name for one in self._numbers if not one.services.number.gateway.capabilities.labels
        )

    async def as_case(self, key: ChatKey, request_id: str) -> str:
        """Return a turn of a chat, and those before it, as a case for `recado rehearse`.

        Empty if nothing of it is text that was answered. Names and numbers are replaced.
        """
        number = self._numbers.get(key.number)
        tools = number.services.config.toolbox.all_tools if number else ()
        own = [tool.name for tool in tools if tool not in builtin_tools.ALL]
        found = await self._views.recorded(key, request_id, most=TURNS_OF_A_CASE)
        return as_case(found, request_id, own) if any(one.says for one in found) else ""

    async def comparisons(self) -> list[JsonObject]:
        """Return the newest comparisons with candidates; see `daemon.ledger.comparisons`."""
        return [
            {**one, "ours": self._ours(one["channel"])} for one in await self._comparisons.newest()
        ]

    async def comparison(
        self, number: int, *, show: str, after: int, limit: int
    ) -> JsonObject | None:
        """Return a comparison with some of its turns; None if there is none of this number."""
        found = await self._comparisons.one(number, show=show, after=after, limit=limit)
        if found is None:
            return None
        rows = [
            {**row, "name": mask_numbers(row["name"]), "number": _masked(row["chat"])}
            for row in found["rows"]
        ]
        return {**found, "ours": self._ours(found["channel"]), "rows": rows}

    async def templates(self, key: ChatKey) -> list[JsonObject]:
        """Return the templates that may be sent in a chat, with what a customer reads of each."""
        known = await self._templates.of_number(key.number)
        return [
            {
                "name": template.name,
                "language": template.language,
                "words": template.words({}),
                "parameters": list(template.parameters),
            }
            for template in known
            if template.status == APPROVED
        ]

    async def bubbles(self, key: ChatKey, *, before: str, limit: int) -> JsonObject:
        """Return `bubbles`, oldest first, and `next`, which asks for those before them."""
        page, place = await self._views.bubbles(key, before=_bubble_place(before), limit=limit)
        for bubble in page:
            bubble["author"] = mask_numbers(bubble["author"])
            bubble["name"] = mask_numbers(bubble["name"])
        return {"bubbles": page, "next": f"{place.came}-{place.went}" if place else ""}

    async def bubble(self, key: ChatKey, name: str) -> JsonObject | None:
        """Return one message of a chat by its `id`; None if there is none."""
        side, _, number = name.partition("-")
        if side not in {"in", "out"} or not (number.isascii() and number.isdecimal()):
            return None
        above = int(number[:18]) + 1
        before = f"{above}-0" if side == "in" else f"0-{above}"
        page = await self.bubbles(key, before=before, limit=1)
        return next((bubble for bubble in page["bubbles"] if bubble["id"] == name), None)

    async def turns(self, key: ChatKey, *, limit: int) -> list[JsonObject]:
        """Return the last turns, newest first; `turn` is the name of each in the log."""
        return await self._views.turns(key, limit=limit)

    async def turn(self, key: ChatKey, name: str) -> JsonObject | None:
        """Return everything the ledger has about a turn of a chat; None if it is none of it."""
        trace = await self._views.trace(name)
        if trace is None or key != ChatKey(trace.channel, trace.chat):
            return None
        shown = asdict(trace)
        for field in ("channel", "chat", "events"):
            del shown[field]
        for row in (shown["turn"], *shown["messages"], *shown["outbox"]):
            row.pop("chat", None)
        for entry in shown["audit"]:
            entry["subject"] = mask_numbers(entry["subject"])
        return shown

    async def ref_of_turn(self, name: str) -> str:
        """Return the public name of a turn's chat; empty if there is none."""
        key = await self._views.chat_of_turn(name)
        chat = key and await self._views.chat(key, {}, now=self._now())
        return str(chat["ref"]) if chat else ""

    async def file(self, name: str) -> tuple[Path, str] | None:
        """Return the path of a file of a message, and its MIME type; None if there is none."""
        if not 0 < len(name) <= NAME_MAX or name.startswith(".") or set(name) - NAME_CHARACTERS:
            return None
        mime = MIME_TYPES.get(name.rpartition(".")[2].lower(), "application/octet-stream")
        for folder in (MEDIA_FOLDER, AUDIO_FOLDER):
            if await self._files.fetch(folder, name):
                return self._files.path(folder, name), mime
        return None

    def _live(self) -> dict[ChatKey, Live]:
        return {
            state.key: Live(
                state=STATES.get(state.doing, state.doing),
                since=state.since,
                queued=state.queued,
                turn=state.request_id,
            )
            for state in self._numbers.states()
        }

    async def reminders(self, key: ChatKey) -> list[JsonObject]:
        """Return the reminders of a chat."""
        found = await self._reminders.waiting(key)
        return [
            {
                "id": one.id,
                "kind": one.kind,
                "at": one.due_at,
                "text": one.text,
                "is_note": one.is_note,
            }
            for one in found
        ]

    def zone(self, key: ChatKey) -> ZoneInfo:
        """Return the time zone in which times of a chat's number are meant."""
        number = self._numbers.get(key.number) or self._numbers.first
        return number.services.config.rules.zone

    # -- the daemon ------------------------------------------------------------------------------

    async def nodes(self) -> list[NodeState]:
        """Return the nodes of a cluster; none where one process has the store."""
        return await self._views.nodes(self._now())

    async def search_knowledge(self, question: str, *, number: str) -> list[FoundPassage] | None:
        """Return what a number's documents say to a question; None if it has none."""
        one = self._numbers.get(number)
        base = one.services.knowledge if one else None
        return None if base is None else await base.search(question)

    # -- work ------------------------------------------------------------------------------------

    async def work(self) -> JsonObject:
        """Return everything that the page of work shows."""
        live, statistics = self._live(), self._numbers.statistics()
        now = self._now()
        recovered = [key for key, _ in self._recovery.continued]
        zones = {one.name: one.services.config.rules.zone for one in self._numbers}
        days = {number: day_of(now, zone) for number, zone in zones.items()}
        rows = await self._views.work(
            [*live, *recovered], days=days, since=self._recovery.began_at, now=now
        )
        people = rows["people"]
        lists = ("sends", "dead_turns", "doubtful", "failed_sends", "dead_webhooks", "reminders")
        return {
            "stats": {
                "tasks": statistics.chats,
                "windows": statistics.windows,
                "runs": statistics.runs,
                "working": statistics.working,
                "places": self._run_slots.total,
                "taken": self._run_slots.taken,
            },
            "chats": [
                {
                    **self._person(people, key),
                    "state": doing.state,
                    "since": doing.since,
                    "queued": doing.queued,
                    "turn": doing.turn,
                    "run": rows["runs"].get(key),
                }
                for key, doing in sorted(live.items(), key=lambda entry: entry[1].since)
                if doing.state != "idle"
            ],
            "outbox": rows["outbox"],
            **{name: self._shown(people, rows[name]) for name in lists},
            "unreadable": [
                {**event, "reason": mask_numbers(event["reason"])} for event in rows["unreadable"]
            ],
            "questions": rows["questions"],
            "recovery": self._recovered(people, rows["expired"]),
            "budget": self._spending(people, rows["spending"], days),
        }

    def _recovered(self, people: Mapping[ChatKey, JsonObject], expired: int) -> JsonObject:
        report = self._recovery
        return {
            "began_at": report.began_at,
            "ended_at": report.ended_at,
            "in_time": report.in_time,
            "waiting": report.waiting,
            "continued": [{**self._person(people, key), "at": at} for key, at in report.continued],
            "more": report.more,
            "harvested": self._recoveries("harvested"),
            "asked_again": self._recoveries("asked_again"),
            "expired": expired,
        }

    def _recoveries(self, how: str) -> int:
        """The number of runs of an earlier process recovered in this way, by the metrics."""
        samples = (
            sample for family in self._metrics.recoveries.collect() for sample in family.samples
        )
        return int(
            sum(
                sample.value
                for sample in samples
                if sample.name.endswith("_total") and sample.labels == {"how": how}
            )
        )

    def _spending(
        self, people: Mapping[ChatKey, JsonObject], spent: JsonObject, days: Mapping[str, str]
    ) -> JsonObject:
        """The usage of the day, with the limits of each number."""
        unused = {"tokens": 0, "micros": 0, "gateway_micros": 0, "spent": False}
        names = ("contact_tokens", "contact_cost", "total_tokens", "total_cost")
        budgets = {one.name: one.services.config.rules.budget for one in self._numbers}
        limits = {
            number: {name: getattr(budget, name) for name in names}
            for number, budget in budgets.items()
        }
        totals = {number: spent["totals"].get(number, unused) for number in budgets}
        return {
            "numbers": [
                {
                    "ours": self._ours(number),
                    "day": days[number],
                    "currency": budget.currency,
                    "priced": self._has_prices(number),
                    "limits": limits[number],
                    "tokens": totals[number]["tokens"],
                    "cost": totals[number]["micros"] / MICROS,
                    "gateway_cost": totals[number]["gateway_micros"] / MICROS,
                    "spent": totals[number]["spent"],
                }
                for number, budget in budgets.items()
            ],
            "chats": [
                {
                    **self._person(people, entry["key"]),
                    "priced": self._has_prices(entry["key"].number),
                    "limits": limits[entry["key"].number],
                    "tokens": entry["tokens"],
                    "cost": entry["micros"] / MICROS,
                    "gateway_cost": entry["gateway_micros"] / MICROS,
                    "counted_tokens": entry["counted_tokens"],
                    "counted_cost": entry["counted_micros"] / MICROS,
                    "spent": entry["spent"],
                }
                for entry in spent["chats"]
            ],
        }

    def _has_prices(self, number: str) -> bool:
        one = self._numbers.get(number)
        return one is not None and one.services.config.rules.has_prices

    # -- who a chat is with ----------------------------------------------------------------------

    def _shown_chat(self, chat: JsonObject) -> JsonObject:
        """A chat of the list as it may be shown: its number masked, and no id of it."""
        shown = {name: value for name, value in chat.items() if name not in {"channel", "chat"}}
        names = {"name": mask_numbers(chat["name"]), "number": _masked(chat["chat"])}
        open_until = self._open_until(chat)
        return {**shown, **names, "ours": self._ours(chat["channel"]), "open_until": open_until}

    def _open_until(self, chat: JsonObject) -> float | None:
        """Until when anything may be sent in a chat; None if there is no such limit."""
        number = self._numbers.get(chat["channel"])
        seconds = number.services.number.gateway.capabilities.window_seconds if number else 0
        if not seconds or chat["group"]:
            return None
        return float(chat["customer_wrote_at"]) + seconds

    def _ours(self, number: str) -> str:
        """The name of our number, where there are several."""
        return number if len(self._numbers) > 1 else ""

    def _person(self, people: Mapping[ChatKey, JsonObject], key: ChatKey) -> JsonObject:
        """The person of a chat, as they may be shown."""
        known = people.get(key, {"name": "", "ref": ""})
        return {
            "ref": known["ref"],
            "name": mask_numbers(known["name"]),
            "number": _masked(key.chat),
            "group": is_group(key.chat),
            "ours": self._ours(key.number),
        }

    def _shown(
        self, people: Mapping[ChatKey, JsonObject], entries: list[JsonObject]
    ) -> list[JsonObject]:
        """Rows of a list with the person in place of the chat's id; numbers in reasons masked."""
        shown = []
        for entry in entries:
            rest = {name: value for name, value in entry.items() if name != "key"}
            for name in {"reason", "error"} & set(rest):
                rest[name] = mask_numbers(rest[name])
            shown.append({**self._person(people, entry["key"]), **rest})
        return shown


def _masked(chat: str) -> str:
    """A chat's number, most of it hidden."""
    number = mask_numbers(local_part(chat))
    return f"+{number}" if phone_digits(chat) else number


def _list_place(text: str) -> tuple[float, str] | None:
    at, _, ref = text.rpartition("-")
    try:
        return (float(at), ref) if ref else None
    except ValueError:
        return None


def _bubble_place(text: str) -> Before:
    came, _, went = text.partition("-")
    known = came.isascii() and came.isdecimal() and went.isascii() and went.isdecimal()
    return Before(int(came[:18]), int(went[:18])) if known else Before()


def _text_place(text: str) -> int:
    return int(text[:18]) if text.isascii() and text.isdecimal() else 0
