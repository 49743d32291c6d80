"""The proof that a webhook call is Meta's, and the answer when an address is set up."""

import hashlib
import hmac

import pytest

from daemon.gateway.cloud.payloads.webhooks import challenge_of, is_signed

SECRET = "app-secret-of-the-tests"
BODY = '{"text": "¿Mañana? 😀"}'.encode()
SIGNATURE = b"sha256=" + hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest().encode()
QUERY = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": "word"}


def test_the_bytes_as_they_came_are_signed() -> None:
    assert is_signed(SIGNATURE, BODY, SECRET)


@pytest.mark.parametrize(
    ("signature", "body", "secret"),
    [
        (SIGNATURE, BODY + b" ", SECRET),
        (SIGNATURE, BODY, "another"),
        (SIGNATURE[:-1], BODY, SECRET),
        (SIGNATURE.removeprefix(b"sha256="), BODY, SECRET),
        (SIGNATURE.replace(b"sha256", b"sha1"), BODY, SECRET),
        (b"", BODY, SECRET),
        (b"sha256=\xff\xfe", BODY, SECRET),
    ],
)
def test_anything_else_is_no_signature(signature: bytes, body: bytes, secret: str) -> None:
    assert not is_signed(signature, body, secret)


def test_the_challenge_is_returned_if_the_token_is_right() -> None:
    assert challenge_of(QUERY, "word") == "1158201444"
    assert challenge_of(QUERY, "other") is None
    assert challenge_of({**QUERY, "hub.mode": "unsubscribe"}, "word") is None
    assert challenge_of({**QUERY, "hub.verify_token": ""}, "") is None
    assert challenge_of({}, "word") is None
