"""Apprise over real HTTP: what a target takes, refuses, or never answers."""

import logging
import socket

import pytest
import trio
from support.target import open_target

from daemon.ops import notification_targets
from daemon.ops.notification_targets import AppriseTarget, listening, targets_at


def one(address: str) -> AppriseTarget:
    faults, (target,) = targets_at([address])
    assert faults == []
    return target


async def test_a_notification_arrives_with_title_and_text() -> None:
    async with open_target() as server:
        assert await one(server.address).send("Recado", "• uno\n• dos") == ""
        (body,) = server.taken
        assert (body["title"], body["message"]) == ("Recado", "• uno\n• dos")


@pytest.mark.parametrize(("status", "fault"), [(401, "answered 401"), (503, "answered 503")])
async def test_a_refusal_is_reported_with_its_status_alone(
    status: int, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What Apprise logs may quote addresses, so nothing of it is passed on."""
    async with open_target() as server:
        server.status = status
        with listening():
            assert await one(server.address).send("Recado", "uno") == fault
        assert server.asked == 1
    assert [record for record in caplog.records if record.name.startswith("apprise")] == []
    assert logging.getLogger("apprise").propagate


async def test_a_target_that_is_not_there() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        fault = await one(f"json://127.0.0.1:{port}").send("Recado", "uno")
    assert fault == "cannot be reached, or refused it"


async def test_a_target_that_never_answers_holds_one_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next send to it waits for that thread, within its own time."""
    monkeypatch.setattr(notification_targets, "SEND_SECONDS", 0.4)
    async with open_target() as server:
        server.open = trio.Event()
        target = one(server.address)
        for _ in range(3):
            assert await target.send("Recado", "uno") == "no answer within 0.4 s"
        with trio.fail_after(30):
            while not server.asked:  # noqa: ASYNC110 - a thread tells nobody
                await trio.sleep(0.01)
        assert server.asked == 1
        server.open.set()
        with trio.fail_after(30):
            while target._thread.borrowed_tokens:  # noqa: ASYNC110 - a thread tells nobody
                await trio.sleep(0.01)


def test_an_invalid_address_is_named_by_its_position() -> None:
    faults, good = targets_at(["nonsense://x", "ntfy://topic", "mailto://", "json://localhost/x"])
    assert faults == [0, 2]
    assert [target.name for target in good] == ["notify.urls[1] (ntfy)", "notify.urls[3] (json)"]


def test_addresses_are_named_without_their_secrets() -> None:
    first, again, other = (
        one(address) for address in ("json://u:pw@h/a", "json://u:pw@h/a", "json://u:pw@h/b")
    )
    assert first.digest == again.digest != other.digest
    assert "pw" not in first.name + first.digest
