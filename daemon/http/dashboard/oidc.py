"""Signing in with an OpenID Connect provider: the code flow with PKCE (Core 1.0, section 3.1).

The provider names somebody by a verified email address, and the account with that address signs in.
What belongs to one attempt (state, nonce, the verifier of PKCE) is in a cookie of that browser.
"""

import base64
import hashlib
import hmac
import importlib.util
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
import trio
from quart import Response, redirect, request
from quart.typing import ResponseReturnValue

from daemon.errors import SettingsError
from daemon.http.request_context import EdgeSettings

BEGIN = "/dashboard/login/oidc"
DONE = "/dashboard/login/oidc/done"
COOKIE = "__Host-recado-oidc"
ATTEMPT_SECONDS = 600
"""Between the two halves of one attempt."""
ANSWER_SECONDS = 15.0
"""Of the provider, for one request."""
LEEWAY_SECONDS = 60
"""By which its clock may differ from ours."""
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")
"""Signatures with a public key; ``none`` and shared secrets are refused."""


class NotSignedIn(Exception):
    """The provider did not say who it is; the text is for people."""


@dataclass(frozen=True, slots=True)
class SignInAttempt:
    """What a browser keeps between the two halves of an attempt."""

    state: str
    nonce: str
    verifier: str
    following: str

    def packed(self) -> str:
        """The value of the cookie."""
        return ".".join((self.state, self.nonce, self.verifier, quote(self.following, safe="")))


class Provider:
    """The provider of the settings. Its methods are called by the handlers of requests."""

    def __init__(self, settings: EdgeSettings) -> None:
        """Raises SettingsError if the packages for it are not installed."""
        if importlib.util.find_spec("authlib") is None:
            raise SettingsError(
                ["dashboard.oidc_issuer: needs authlib: pip install 'recado[oidc]'"]
            )
        self._issuer = settings.oidc_issuer.rstrip("/")
        self._client = settings.oidc_client_id
        self._secret = settings.oidc_client_secret
        self._public = urlsplit(settings.public_url)
        self._metadata: Mapping[str, Any] = {}

    async def begin(self, following: str) -> ResponseReturnValue:
        """Send the browser to the provider. Raises NotSignedIn."""
        metadata = await self._discover()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        attempt = SignInAttempt(state, nonce, verifier, following)
        digest = hashlib.sha256(attempt.verifier.encode()).digest()
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self._client,
                "redirect_uri": self._address(),
                "scope": "openid email",
                "state": attempt.state,
                "nonce": attempt.nonce,
                "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
                "code_challenge_method": "S256",
            }
        )
        address = str(metadata["authorization_endpoint"])
        answer = redirect(f"{address}{'&' if '?' in address else '?'}{query}", 302)
        # Lax: the provider's redirect back is a navigation from another site.
        answer.set_cookie(
            COOKIE,
            attempt.packed(),
            max_age=ATTEMPT_SECONDS,
            path="/",
            secure=True,
            httponly=True,
            samesite="Lax",
        )
        return answer

    async def finish(self) -> tuple[str, str]:
        """The verified email address of who has come back, and the page that was wanted.

        Raises NotSignedIn.
        """
        parts = request.cookies.get(COOKIE, "").split(".")
        if len(parts) != len(SignInAttempt.__dataclass_fields__):
            raise NotSignedIn("the sign-in took too long, or began in another browser")
        attempt = SignInAttempt(*parts)
        if not hmac.compare_digest(attempt.state.encode(), request.args.get("state", "").encode()):
            raise NotSignedIn("the sign-in took too long, or began in another browser")
        code = request.args.get("code", "")
        if not code:
            raise NotSignedIn("the provider did not let you in")
        claims = await self._claims(code, attempt)
        email = claims.get("email")
        if not isinstance(email, str) or claims.get("email_verified") is not True:
            raise NotSignedIn("the provider names no verified email address")
        return email.strip().casefold(), attempt.following

    async def _claims(self, code: str, attempt: SignInAttempt) -> Mapping[str, Any]:
        metadata = await self._discover()
        answer = await self._ask(
            "POST",
            str(metadata["token_endpoint"]),
            auth=httpx.BasicAuth(quote(self._client, safe=""), quote(self._secret, safe="")),
            data={
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": self._address(),
                "code_verifier": attempt.verifier,
            },
        )
        keys = await self._ask("GET", str(metadata["jwks_uri"]))
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise NotSignedIn("the provider did not let you in")
        return await trio.to_thread.run_sync(self._verified, token, keys, attempt.nonce)

    def _verified(self, token: str, keys: Mapping[str, Any], nonce: str) -> Mapping[str, Any]:
        """The claims of an ID token, verified as section 3.1.3.7 says. Blocks."""
        from authlib.oidc.core import (  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra
            CodeIDToken,
        )
        from joserfc import jwk, jwt  # noqa: PLC0415
        from joserfc.errors import JoseError  # noqa: PLC0415

        try:
            decoded = jwt.decode(token, jwk.KeySet.import_key_set(keys), algorithms=ALGORITHMS)  # type: ignore[arg-type]
            claims = CodeIDToken(
                decoded.claims,
                decoded.header,
                options={
                    "iss": {"essential": True, "value": self._issuer_as_named()},
                    "aud": {"essential": True, "value": self._client},
                    "nonce": {"essential": True, "value": nonce},
                },
                params={"nonce": nonce, "client_id": self._client},
            )
            claims.validate(leeway=LEEWAY_SECONDS)
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise NotSignedIn("the provider's answer cannot be verified") from error
        return dict(claims)

    def _issuer_as_named(self) -> str:
        return str(self._metadata["issuer"])

    async def _discover(self) -> Mapping[str, Any]:
        if not self._metadata:
            found = await self._ask("GET", f"{self._issuer}/.well-known/openid-configuration")
            wanted = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            if str(found.get("issuer", "")).rstrip("/") != self._issuer or not all(
                isinstance(found.get(name), str) for name in wanted
            ):
                raise NotSignedIn("the provider does not answer as it should")
            self._metadata = found
        return self._metadata

    async def _ask(self, method: str, address: str, **options: Any) -> Mapping[str, Any]:
        try:
            async with httpx.AsyncClient(timeout=ANSWER_SECONDS) as client:
                answer = await client.request(method, address, **options)
                answer.raise_for_status()
                found = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise NotSignedIn("the provider does not answer as it should") from error
        if not isinstance(found, dict):
            raise NotSignedIn("the provider does not answer as it should")
        return found

    def _address(self) -> str:
        """Our own address for the way back, as the provider knows it."""
        if self._public.netloc:
            return f"{self._public.scheme}://{self._public.netloc}{DONE}"
        return f"{request.scheme}://{request.host}{DONE}"


def forget_attempt(answer: Response) -> None:
    """Take the cookie of an attempt away."""
    answer.set_cookie(COOKIE, "", max_age=0, path="/", secure=True, httponly=True, samesite="Lax")
