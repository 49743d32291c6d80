"""Presence: who is asked about, what their typing does, and what is forgotten of them."""

import time
from pathlib import Path

import pytest
from support.model_script import say
from support.scenes import found, open_scene, outcomes
from support.stage import LAURA

from daemon.conversation.presence import AT_ONCE, REMEMBERED_SECONDS, Subscriptions
from daemon.domain.messages import ChatKey

KEYS = [ChatKey("C", f"57300123456{n}@s.whatsapp.net") for n in range(3)]
PATIENT = {"typing_seconds": 60.0, "max_wait_seconds": 60.0, "stop_seconds": 0.05}
"""As long as somebody is seen writing the window stays open, for longer than any test."""


def test_contacts_who_have_not_written_for_long_are_forgotten() -> None:
    subscriptions = Subscriptions()
    assert [subscriptions.is_due(key, now) for key, now in zip(KEYS, (0, 10, 20), strict=True)] == [
        True,
        True,
        True,
    ]
    assert not subscriptions.is_due(KEYS[0], 30)
    subscriptions.prune(REMEMBERED_SECONDS + 25)
    assert len(subscriptions) == 1
    assert not subscriptions.is_due(KEYS[0], 40)
    assert subscriptions.is_due(KEYS[1], 40)


def test_a_new_session_has_no_subscriptions() -> None:
    subscriptions = Subscriptions()
    subscriptions.is_due(KEYS[0], 0)
    subscriptions.forget_all()
    assert subscriptions.is_due(KEYS[0], 1)


@pytest.mark.parametrize(
    ("writing", "ends"),
    [("typing", "online"), ("typing", "offline"), ("typing", "pending"), ("recording", "online")],
)
async def test_the_window_stays_open_while_a_contact_types(
    tmp_path: Path, writing: str, ends: str
) -> None:
    async with open_scene(tmp_path, buffer=PATIENT) as stage:
        gateway = stage.gateway
        gateway.presences_need_subscription = False
        stage.model.script(say("Con gusto"))
        hello = gateway.compose(LAURA, "Hola")
        await gateway.announce([hello], presences=[{"contact_id": LAURA, "status": writing}])
        told = time.monotonic()
        await found(lambda: time.monotonic() - told > 0.4)  # past the window of the text alone
        assert not stage.model.calls
        await gateway.customer_is(LAURA, ends)
        await gateway.wait_sent(LAURA)


async def test_a_contact_is_asked_about_once_and_a_second_time_does_no_harm(tmp_path: Path) -> None:
    """After a restart nobody remembers: Whapi answers 409, which is as good."""
    async with open_scene(tmp_path) as stage:
        for number in range(2):
            for text in ("Hola", "Otra cosa"):
                count = len(stage.received()) + 1
                await stage.gateway.customer_says(LAURA, text)
                await stage.gateway.wait_sent(LAURA, count)
                await stage.quiet()
            statuses = [call.status for call in stage.gateway.calls("subscribe")]
            assert statuses == [200, 409][: number + 1]
            if not number:
                await stage.stop()
                await stage.start()


async def test_presence_can_be_switched_off(tmp_path: Path) -> None:
    """Nobody is asked about, and typing that is told all the same changes nothing."""
    async with open_scene(tmp_path, buffer=PATIENT, presence={"enabled": False}) as stage:
        gateway = stage.gateway
        gateway.presences_need_subscription = False
        await gateway.customer_says(LAURA, "Hola")
        await gateway.customer_types(LAURA)
        await gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        assert not gateway.calls("subscribe")


async def test_a_rush_of_new_contacts_is_met_a_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nobody's answer waits for that."""
    monkeypatch.setattr(
        "daemon.conversation.presence.SOON_SECONDS", 60
    )  # however slow this machine is
    contacts = [f"5730012345{n:02}@s.whatsapp.net" for n in range(3 * AT_ONCE)]
    async with open_scene(tmp_path) as stage:
        asked = stage.gateway.faults.add(operation="subscribe", kind="hold", times=-1)
        for contact in contacts:
            await stage.gateway.customer_says(contact, "Hola")
        for contact in contacts:
            await stage.gateway.wait_sent(contact)
        await stage.gateway.wait_for(lambda: asked.hits >= AT_ONCE)
        assert asked.hits == AT_ONCE
        stage.gateway.faults.remove(asked)
        await found(lambda: len(stage.gateway.calls("subscribe")) >= len(contacts))


async def test_a_late_lookup_does_not_subscribe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their burst is over, and the answers go first; their other ids are asked for all the same."""
    monkeypatch.setattr("daemon.conversation.presence.SOON_SECONDS", 0)
    contacts = [f"5730012345{n:02}@s.whatsapp.net" for n in range(2 * AT_ONCE)]
    async with open_scene(tmp_path) as stage:
        asked = stage.gateway.faults.add(operation="subscribe", kind="hold", times=-1)
        for contact in contacts:
            await stage.gateway.customer_says(contact, "Hola")
        for contact in contacts:
            await stage.gateway.wait_sent(contact)
        stage.gateway.faults.remove(asked)
        await found(lambda: len(stage.gateway.calls("lid")) >= len(contacts))
        assert len(stage.gateway.calls("subscribe")) <= AT_ONCE


async def test_a_contact_skipped_in_a_rush_is_subscribed_at_the_next_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while their chat still has its task."""
    monkeypatch.setattr("daemon.conversation.presence.MOST_WAITING", 0)
    async with open_scene(tmp_path, buffer={"idle_seconds": 60}) as stage:
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        assert not stage.gateway.calls("subscribe")
        monkeypatch.setattr("daemon.conversation.presence.MOST_WAITING", 1)
        await stage.gateway.customer_says(LAURA, "Otra cosa")
        await found(lambda: len(stage.gateway.calls("subscribe")) == 1)
