"""Accounts in the ledger, and the sessions of their browsers."""

from support.ledgers import OPERATOR
from support.rows import rows

from daemon.domain.accounts import Account, Preferences
from daemon.domain.roles import AccessRole
from daemon.ledger.ledger import Store

HASH = "a-hash"


async def added(store: Store, name: str, role: AccessRole = AccessRole.AGENT) -> Account:
    account = await store.accounts.add(name, role, HASH, by=OPERATOR, now=1)
    assert account is not None
    return account


async def test_a_name_is_taken_whatever_its_case(store: Store) -> None:
    maria = await added(store, "María López")
    assert (
        await store.accounts.add("maría lópez", AccessRole.READ, HASH, by=OPERATOR, now=2) is None
    )
    assert await store.accounts.password_of("  MARÍA  lópez ") == (maria, HASH)
    assert await store.accounts.password_of("Maria") is None
    assert await store.accounts.exist()


async def test_a_session_has_its_account_until_that_is_disabled(store: Store) -> None:
    maria = await added(store, "María")
    await store.sessions.begin("s1", ends_at=100, now=5, account=maria.id)
    await store.sessions.begin("admin", ends_at=100, now=5)
    found = await store.sessions.find("s1")
    assert found is not None
    assert found.account is not None
    assert (found.account.name, found.account.seen_at) == ("María", 5)
    assert await store.accounts.disable("maría", by=OPERATOR, now=6)
    assert not await store.accounts.disable("maría", by=OPERATOR, now=6)
    assert await store.sessions.find("s1") is None
    assert await store.accounts.password_of("María") is None
    assert await store.sessions.find("admin") is not None
    assert await store.accounts.disable("María", by=OPERATOR, now=7, undo=True)
    assert await store.accounts.password_of("María") is not None


async def test_a_new_password_and_a_sign_out_end_all_sessions_of_one_account(store: Store) -> None:
    maria, jorge = await added(store, "María"), await added(store, "Jorge")
    for name, account in (("m1", maria), ("m2", maria), ("j1", jorge)):
        await store.sessions.begin(name, ends_at=100, now=5, account=account.id)
    assert await store.accounts.sign_out("María", by=OPERATOR, now=6) == 2
    assert await store.sessions.find("m1") is None
    assert await store.sessions.find("j1") is not None
    assert await store.accounts.set_password("Jorge", "another", by=OPERATOR, now=7)
    assert await store.sessions.find("j1") is None
    assert not await store.accounts.set_password("Nobody", "another", by=OPERATOR, now=7)
    assert await store.accounts.password_of("Jorge") == (
        (await store.accounts.all())[0],
        "another",
    )


async def test_a_changed_role_and_preferences_count_at_once(store: Store) -> None:
    maria = await added(store, "María")
    await store.sessions.begin("s1", ends_at=100, now=5, account=maria.id)
    await store.accounts.change_role(maria.id, AccessRole.OPERATOR, by=OPERATOR, now=6)
    await store.accounts.prefer(maria.id, Preferences(language="en", zone="Europe/Madrid"))
    found = await store.sessions.find("s1")
    assert found is not None
    assert found.account is not None
    assert (found.account.role, found.account.language) == (AccessRole.OPERATOR, "en")
    audited = rows(store, "audit a JOIN audit_details d ON d.audit_id = a.id", order="a.id")
    assert [(row["action"], row["subject"], row["after"]) for row in audited] == [
        ("account add", "María", "agent"),
        ("account role", "María", "operator"),
    ]


def test_preferences_are_checked() -> None:
    assert Preferences(language="en", zone="America/Bogota").fault() == ""
    assert Preferences(language="xx").fault()
    assert Preferences(zone="../../etc/passwd").fault()
    assert Preferences(zone="Nowhere/City").fault()
