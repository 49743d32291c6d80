"""The work of the daemon as the dashboard shows it: runs, queues, dead letters, the day's cost."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import trio

from daemon.conversation.deps import Dependencies
from daemon.conversation.recovery import RecoveryReport
from daemon.conversation.registry import ChatRegistry
from daemon.domain.audit_chain import Actor
from daemon.domain.eligibility import Policy
from daemon.domain.ids import is_group
from daemon.domain.limits.budget import MICROS, day_of
from daemon.domain.masking import mask_numbers
from daemon.domain.messages import ChatKey, JsonObject
from daemon.domain.records import EVENTS_FOLDER
from daemon.errors import WebhookError
from daemon.gateway.kinds import DEFAULT
from daemon.ledger.admin.replay import Replayed, judge_of, replay_dead, replay_event, stored_event
from daemon.ledger.drivers.sqlite.database import transaction
from daemon.ledger.drivers.sqlite.opening import open_cli_connection
from daemon.ledger.views.chat_list import Live
from daemon.ops.conversations import masked

OBSTACLES = {
    "": "",
    "not refused": "it is not a refused one any more",
    "paused": "a person has this chat; give it back to the bot first",
    "replayed": "its question was put back in and is answered anew",
}
"""Why a send is not said again, as the pages have words for it."""


class RunningWorkbench:
    """Implements `daemon.http.desk.Workbench`. Made by the composer, used by HTTP handlers."""

    def __init__(
        self,
        deps: Dependencies,
        chats: ChatRegistry,
        *,
        live: Callable[[], dict[ChatKey, Live]],
        recovery: RecoveryReport,
        data_dir: Path,
    ) -> None:
        """``live`` says what the chats' tasks are doing."""
        self._deps = deps
        self._chats = chats
        self._live = live
        self._recovery = recovery
        self._data_dir = data_dir

    async def work(self) -> JsonObject:
        """Everything that the page of work shows; see the protocol."""
        deps, live = self._deps, self._live()
        day = day_of(deps.now(), deps.rules.zone)
        continued = [key for key, _ in self._recovery.continued]
        told = await deps.store.views.work(
            [*live, *continued], day=day, since=self._recovery.began_at, now=deps.now()
        )
        people = told["people"]
        statistics = self._chats.statistics()
        return {
            "stats": {
                "tasks": statistics.chats,
                "windows": statistics.windows,
                "runs": statistics.runs,
                "working": statistics.working,
                "places": int(deps.run_slots.total_tokens),
                "taken": deps.run_slots.borrowed_tokens,
            },
            "chats": [
                {
                    **_person(people, key),
                    "state": doing.state,
                    "since": doing.since,
                    "queued": doing.queued,
                    "turn": doing.turn,
                    "run": told["runs"].get(key),
                }
                for key, doing in sorted(live.items(), key=lambda entry: entry[1].since)
                if doing.state != "idle"
            ],
            "outbox": told["outbox"],
            "sends": _shown(people, told["sends"]),
            "dead_turns": _shown(people, told["dead_turns"]),
            "doubtful": _shown(people, told["doubtful"]),
            "failed_sends": _shown(people, told["failed_sends"]),
            "unreadable": [
                {**event, "reason": mask_numbers(event["reason"])} for event in told["unreadable"]
            ],
            "recovery": self._recovered(people, told["expired"]),
            "budget": self._spending(people, told["spending"], day),
        }

    def _recovered(self, people: Mapping[ChatKey, JsonObject], expired: int) -> JsonObject:
        report = self._recovery
        return {
            "began_at": report.began_at,
            "ended_at": report.ended_at,
            "in_time": report.in_time,
            "waiting": report.waiting,
            "continued": [{**_person(people, key), "at": at} for key, at in report.continued],
            "more": report.more,
            "harvested": self._counted("harvested"),
            "asked_again": self._counted("asked_again"),
            "expired": expired,
        }

    def _counted(self, how: str) -> int:
        """How often work of an earlier process was taken up in this way."""
        return int(
            sum(
                sample.value
                for family in self._deps.metrics.recoveries.collect()
                for sample in family.samples
                if sample.name.endswith("_total") and sample.labels == {"how": how}
            )
        )

    def _spending(
        self, people: Mapping[ChatKey, JsonObject], spent: JsonObject, day: str
    ) -> JsonObject:
        limits = self._deps.rules.budget
        return {
            "day": day,
            "currency": limits.currency,
            "limits": {
                "contact_tokens": limits.contact_tokens,
                "contact_cost": limits.contact_cost,
                "total_tokens": limits.total_tokens,
                "total_cost": limits.total_cost,
            },
            "total": {
                "tokens": spent["total"]["tokens"],
                "cost": spent["total"]["micros"] / MICROS,
                "spent": spent["total"]["spent"],
            },
            "chats": [
                {
                    **_person(people, entry["key"]),
                    "tokens": entry["tokens"],
                    "cost": entry["micros"] / MICROS,
                    "counted_tokens": entry["counted_tokens"],
                    "counted_cost": entry["counted_micros"] / MICROS,
                    "spent": entry["spent"],
                }
                for entry in spent["chats"]
            ],
        }

    # -- doing ---------------------------------------------------------------------------------

    async def cancel_run(self, ref: str, *, by: Actor) -> bool:
        """Cancel the run of a chat; see the protocol."""
        key = await self._deps.store.views.key_of(ref)
        if key is None or not self._chats.release(key):
            return False
        await self._deps.store.audit.write(by, "cancel run", key.chat, now=self._deps.now())
        return True

    async def replay_dead(self, ref: str, *, by: Actor) -> int:
        """Put dead messages back in; see the protocol. Goes the way of `recado replay`."""
        key = await self._deps.store.views.key_of(ref) if ref else None
        if ref and key is None:
            return 0
        chats = (key.chat,) if key else ()
        put_back = partial(
            _replay_dead,
            self._data_dir,
            chats,
            self._deps.rules.policy,
            by=by,
            now=self._deps.now(),
        )
        return self._wake(await trio.to_thread.run_sync(put_back), key)

    async def replay_event(self, number: int, *, by: Actor) -> int | None:
        """Read an event anew; see the protocol."""
        put_back = partial(
            _replay_event,
            self._data_dir,
            number,
            self._deps.rules.policy,
            by=by,
            now=self._deps.now(),
        )
        replayed = await trio.to_thread.run_sync(put_back)
        return None if replayed is None else self._wake(replayed, None)

    async def send_again(self, number: int, *, by: Actor) -> str | None:
        """Let a refused message be said once more; see the protocol."""
        obstacle, key = await self._deps.store.operator_actions.send_again(
            number,
            agents_chat=self._deps.rules.escalation.chat,
            by=by,
            now=self._deps.now(),
        )
        if key is not None and not obstacle:
            self._chats.wake(key)
        return OBSTACLES.get(obstacle)

    async def drop_send(self, number: int, *, by: Actor) -> str | None:
        """Let a refused message be; see the protocol."""
        return OBSTACLES.get(
            await self._deps.store.operator_actions.drop_send(number, by=by, now=self._deps.now())
        )

    def _wake(self, replayed: list[Replayed], key: ChatKey | None) -> int:
        """Have one chat look at once; the sweep tells the others. Gives how many were put back."""
        done = sum(one.done for one in replayed)
        if done and key is not None:
            self._chats.wake(key)
        return done


def _person(people: Mapping[ChatKey, JsonObject], key: ChatKey) -> JsonObject:
    """Who a chat is, as it may be shown."""
    known = people.get(key, {"name": "", "ref": ""})
    return {
        "ref": known["ref"],
        "name": mask_numbers(known["name"]),
        "number": masked(key.chat),
        "group": is_group(key.chat),
    }


def _shown(people: Mapping[ChatKey, JsonObject], entries: list[JsonObject]) -> list[JsonObject]:
    """Rows of a list with their person in the place of the chat's id, and no number in a reason."""
    shown = []
    for entry in entries:
        rest = {name: value for name, value in entry.items() if name != "key"}
        for name in ("reason", "error"):
            if name in rest:
                rest[name] = mask_numbers(rest[name])
        shown.append({**_person(people, entry["key"]), **rest})
    return shown


def _replay_dead(
    data_dir: Path, chats: tuple[str, ...], policy: Policy, *, by: Actor, now: float
) -> list[Replayed]:
    with open_cli_connection(data_dir) as connection, transaction(connection):
        judge = judge_of(connection, policy, now=now)
        return replay_dead(connection, chats, verdict=judge, by=by, now=now)


def _replay_event(
    data_dir: Path, number: int, policy: Policy, *, by: Actor, now: float
) -> list[Replayed] | None:
    with open_cli_connection(data_dir) as connection, transaction(connection):
        event = stored_event(connection, number, data_dir / EVENTS_FOLDER)
        if event is None:
            return None
        webhook = None
        if event.body is not None:
            try:
                webhook = DEFAULT.parse_webhook(event.body, path_event=event.event)
            except WebhookError:
                webhook = None
        judge = judge_of(connection, policy, now=now)
        return replay_event(connection, event, webhook, verdict=judge, by=by, now=now)
