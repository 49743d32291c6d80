"""The two ways to kill: at each named point of a scene, and at random under a steady stream."""

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import trio

from daemon.domain.texts import texts
from support.crash import GatewayKind, Harness, open_harness, report
from support.crash_judges import Fault
from support.faults import FaultKind
from support.gateway import EchoMode
from support.model_script import Step

SCENE_SECONDS = 120.0
DRAIN_SECONDS = 150.0
"""How long the last process may take to answer everything that is left."""

MOST_WAITING = 250
"""Messages that may wait for their answers before the stream rests; else a machine that is slow
to start the daemon would only pile up bursts."""

SEND_FAULTS: tuple[tuple[FaultKind, int], ...] = (
    ("drop_after", 0),
    ("drop_before", 0),
    ("half_body", 0),
    ("no_id", 0),
    ("status_after", 502),
    ("status", 500),
    ("status", 429),
)
MODEL_FAULTS = 0.03
"""The share of model calls that fail or are cut."""

ECHO_MODES: tuple[EchoMode, ...] = ("after", "after", "before", "missing", "other_id")
NOTICES = frozenset({texts("es").apology})
"""Texts that the daemon may send besides answers when the model fails repeatedly."""


@dataclass(frozen=True, slots=True)
class KillAt:
    """A kill: a point, and the number of its visit."""

    point: str
    visit: int = 1


@dataclass(frozen=True, slots=True)
class Chain:
    """The kills of one scene, process after process."""

    kills: tuple[KillAt, ...]
    echo: EchoMode = "after"

    def __str__(self) -> str:
        return " → ".join(f"{kill.point} #{kill.visit}" for kill in self.kills)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a series of kills."""

    figures: dict[str, float]
    faults: list[Fault]
    story: str
    """Empty, or the report on the violations."""
    missed: list[str]
    """Kill points that a scene did not reach."""


TWICE_KILLED = (
    Chain((KillAt("after commit of Runs.round_named"), KillAt("before resume"))),
    Chain((KillAt("after commit of Runs.round_named"), KillAt("after resume"))),
    Chain((KillAt("before tool"), KillAt("after commit of Runs.call_ended"))),
    Chain((KillAt("after tool"), KillAt("before commit of Runs.call_ended"))),
    Chain((KillAt("after send"), KillAt("before list")), "missing"),
    Chain((KillAt("after send"), KillAt("before outbox sent")), "missing"),
    Chain((KillAt("before send"), KillAt("before outbox repeat")), "missing"),
    Chain((KillAt("before send"), KillAt("after outbox repeat")), "missing"),
    Chain((KillAt("before send"), KillAt("after send")), "missing"),
)
"""Kills of the recovery from a kill: of a harvest, of a reconciled send, of a repeated one."""


def every_point(counted: Counter[str]) -> list[Chain]:
    """A kill at every visit of every point."""
    return [
        Chain((KillAt(point, visit),))
        for point, visits in counted.items()
        for visit in range(1, visits + 1)
    ]


def one_visit_each(counted: Counter[str], *, seed: int) -> list[Chain]:
    """A kill at each point, at a visit of it that the seed chooses.

    Webhooks come in their own time: when two messages become one turn there are fewer visits, so
    that the last ones may be missed.
    """
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    return [
        Chain((KillAt(point, rng.randint(1, (visits + 1) // 2)),))
        for point, visits in counted.items()
    ]


def evenly(chains: Sequence[Chain], most: int) -> list[Chain]:
    """At most so many of them, evenly spaced."""
    if len(chains) <= most:
        return list(chains)
    return [chains[number * len(chains) // most] for number in range(most)]


async def play_scene(harness: Harness, number: int) -> None:
    """Two chats: a burst of two that books a room, and one message; each answer has two parts."""
    first, second = f"57300{2 * number:07d}", f"57300{2 * number + 1:07d}"
    await harness.write(first, book=True)
    await harness.write(second)
    await harness.write(first)


async def count_points(folder: Path, *, seed: int, kind: GatewayKind = "whapi") -> Counter[str]:
    """Play the scene once without a kill; returns the number of visits of each point."""
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    async with open_harness(folder, rng=rng, kind=kind) as harness:
        trace = folder / "trace.txt"
        await harness.daemon.start(trace=str(trace))
        await harness.daemon.ready()
        harness.daemon.arm()
        await play_scene(harness, 0)
        assert await harness.finish(seconds=SCENE_SECONDS), "the scene does not end"
        await harness.daemon.stop()
        faults = harness.judge()
        assert not faults, report(harness, faults, "without any kill")
        return Counter(trace.read_text().splitlines())


async def kill_at_points(
    chains: Sequence[Chain],
    folder: Path,
    *,
    seed: int,
    kind: GatewayKind = "whapi",
    tell: Callable[[str], None] = lambda _line: None,
) -> Outcome:
    """Play the scene once for each chain with its kills; the next process ends the scene.

    That process is then armed for the next chain: one start per kill.
    """
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    started = time.perf_counter()
    missed: list[str] = []
    async with open_harness(folder, rng=rng, kind=kind) as harness:
        await harness.daemon.start(**_plan(chains[0].kills[0]))
        await harness.daemon.ready()
        for number, chain in enumerate(chains):
            harness.gateway.echoes.mode = chain.echo
            following = chains[number + 1].kills[0] if number + 1 < len(chains) else None
            harness.daemon.arm()
            await play_scene(harness, number)
            missed += await _die_along(harness, chain, following)
            if not await harness.finish(seconds=SCENE_SECONDS):
                break
            tell(f"{number + 1}/{len(chains)} {chain}")
        return await _judged(harness, started, f"seed {seed}, last killed at {chain}", missed)


async def _die_along(harness: Harness, chain: Chain, following: KillAt | None) -> list[str]:
    """Run the processes of a chain and start the next one; gives the missed points."""
    missed = []
    for place, kill in enumerate(chain.kills):
        if await harness.daemon.died_or(harness.is_finished, seconds=SCENE_SECONDS):
            await harness.death()
        else:
            missed.append(f"{kill.point} #{kill.visit}")
            await harness.kill()
        later = chain.kills[place + 1] if place + 1 < len(chain.kills) else None
        if later is not None:
            await harness.daemon.start(**_plan(later), armed=True)
        else:
            await harness.daemon.start(**(_plan(following) if following else {}))
            await harness.daemon.ready()
    return missed


def _plan(kill: KillAt) -> dict[str, object]:
    return {"point": kill.point, "visit": kill.visit}


async def kill_at_random(
    kills: int,
    folder: Path,
    *,
    seed: int,
    chats: int = 20,
    per_second: float = 12.0,
    kind: GatewayKind = "whapi",
    tell: Callable[[str], None] = lambda _line: None,
) -> Outcome:
    """Customers of many chats write without pause while the daemon is killed repeatedly.

    Some sends and model calls fail as well. The last process answers the rest.
    """
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    started = time.perf_counter()
    faulty = random.Random(seed + 1)  # noqa: S311 - repeatable on purpose

    def spoil(step: Step) -> Step:
        if faulty.random() < MODEL_FAULTS:
            cut = faulty.random() < 0.5
            return replace(step, cut_after=3) if cut else replace(step, status=500)
        return step

    async with open_harness(
        folder, rng=rng, tokens_per_second=100, spoil=spoil, kind=kind
    ) as harness:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stream, harness, chats, per_second, seed, name="customers")
            for number in range(kills):
                _spoil_a_send(harness, rng)
                await harness.daemon.start()
                # Some are killed during the start, some under load.
                if rng.random() < 0.2:
                    await trio.sleep(rng.uniform(0.2, 1.0))
                else:
                    await harness.daemon.ready()
                    slowness = max(1.0, harness.daemon.start_seconds[-1])
                    await trio.sleep(slowness * rng.uniform(0.2, 2.5))
                await harness.kill()
                if (number + 1) % 10 == 0:
                    tell(f"{number + 1}/{kills} kills, {harness.progress()}")
            nursery.cancel_scope.cancel()
        harness.gateway.reset_faults()
        await harness.daemon.start()
        await harness.daemon.ready()
        await harness.finish(seconds=DRAIN_SECONDS)
        return await _judged(harness, started, f"seed {seed}", [], notices=NOTICES)


async def _stream(harness: Harness, chats: int, per_second: float, seed: int) -> None:
    """Customers write, at exponential intervals, one message in seven a booking.

    Runs until cancelled.
    """
    rng = random.Random(seed + 2)  # noqa: S311 - repeatable on purpose
    contacts = [f"57300{1000 + number:07d}" for number in range(chats)]
    while True:
        await trio.sleep(rng.expovariate(per_second))
        if harness.waiting() < MOST_WAITING:
            await harness.write(rng.choice(contacts), book=rng.random() < 1 / 7)


def _spoil_a_send(harness: Harness, rng: random.Random) -> None:
    """Choose random echoes for the next process, and sometimes a failing send."""
    harness.gateway.echoes.mode = rng.choice(ECHO_MODES)
    if rng.random() < 0.3:
        kind, status = rng.choice(SEND_FAULTS)
        harness.gateway.faults.add(operation="send", kind=kind, status=status or 500)


async def _judged(
    harness: Harness,
    started: float,
    how: str,
    missed: list[str],
    *,
    notices: frozenset[str] = frozenset(),
) -> Outcome:
    await harness.daemon.stop()
    faults = harness.judge(notices=notices)
    figures = harness.figures()
    figures["faults"] = len(faults)
    figures["seconds"] = round(time.perf_counter() - started, 1)
    story = report(harness, faults, how) if faults else ""
    return Outcome(figures=figures, faults=faults, story=story, missed=missed)
