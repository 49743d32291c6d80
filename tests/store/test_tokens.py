"""Tokens of the API and idempotency keys in the ledger."""

from functools import partial

from support.ledgers import OPERATOR
from support.rows import count, rows

from daemon.domain.roles import AccessRole
from daemon.ledger.ledger import Store
from daemon.ledger.tokens import KEY_SECONDS, api_tokens, create_token, new_token, revoke_token


async def test_a_token_is_found_by_its_hash_and_stored_nowhere(store: Store) -> None:
    token = new_token()
    create = partial(
        create_token, name="crm", role=AccessRole.AGENT, token=token, by=OPERATOR, now=1
    )
    assert await store.database.write(create)
    assert not await store.database.write(create)  # the name is taken
    found = await store.api_tokens.find(token.encode())
    assert found is not None
    assert (found.name, found.role, found.used_at) == ("crm", AccessRole.AGENT, None)
    await store.api_tokens.used(found.id, now=2)
    (listed,) = await store.database.read(api_tokens)
    assert listed.used_at == 2
    assert await store.api_tokens.find(new_token().encode()) is None
    assert await store.api_tokens.find(b"") is None
    assert token not in str(rows(store, "api_tokens")) + str(rows(store, "audit_details"))


async def test_a_revoked_token_is_unknown_and_both_are_audited(store: Store) -> None:
    token = new_token()
    create = partial(
        create_token, name="crm", role=AccessRole.READ, token=token, by=OPERATOR, now=1
    )
    await store.database.write(create)
    revoke = partial(revoke_token, name="crm", by=OPERATOR, now=2)
    assert await store.database.write(revoke)
    assert not await store.database.write(revoke)
    assert await store.api_tokens.find(token.encode()) is None
    audited = rows(store, "audit a JOIN audit_details d ON d.audit_id = a.id", order="a.id")
    assert [(row["action"], row["subject"], row["before"], row["after"]) for row in audited] == [
        ("token create", "crm", "", "read"),
        ("token revoke", "crm", "read", ""),
    ]


async def test_a_key_belongs_to_one_request_for_a_week(store: Store) -> None:
    claim = store.idempotency_keys.claim
    assert await claim("key", "one", now=0) == "new"
    assert await claim("key", "one", now=1) == "known"
    assert await claim("key", "two", now=1) == "other"
    assert await claim("other key", "two", now=KEY_SECONDS) == "new"
    assert count(store, "idempotency_keys") == 2
    assert await claim("key", "two", now=KEY_SECONDS + 1) == "new"
    assert count(store, "idempotency_keys") == 2
