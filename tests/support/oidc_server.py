"""A small OpenID Connect provider: discovery, codes with PKCE, signed ID tokens.

It refuses what real ones refuse: unknown clients, other redirect addresses, codes that were used, a
wrong verifier or secret. A test says who signs in, and may have it answer wrongly.
"""

import base64
import hashlib
import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from joserfc import jwk, jwt
from quart import redirect, request
from quart.typing import ResponseReturnValue
from quart_trio import QuartTrio

CLIENT, SECRET = "recado-desk", "the-secret-of-the-client"


@dataclass
class OidcServer:
    """The provider; `app` serves it once `issuer` is set."""

    issuer: str = ""
    redirect_uri: str = ""
    person: dict[str, Any] = field(default_factory=dict)
    """The claims of who signs in."""
    wrong: dict[str, Any] = field(default_factory=dict)
    """Claims that are put into the token instead of the right ones."""
    key: jwk.RSAKey = field(default_factory=lambda: jwk.RSAKey.generate_key(2048))
    signs_with: jwk.RSAKey | None = None
    """Another key than the published one."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def app(self) -> QuartTrio:
        """The provider as an ASGI app."""
        app = QuartTrio("oidc")

        @app.get("/.well-known/openid-configuration")
        async def discovery() -> ResponseReturnValue:
            return {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
            }

        @app.get("/jwks")
        async def keys() -> ResponseReturnValue:
            return {"keys": [self.key.as_dict(private=False, kid="k1", use="sig", alg="RS256")]}

        @app.get("/authorize")
        async def authorize() -> ResponseReturnValue:
            asked = request.args.to_dict()
            right = asked["client_id"] == CLIENT and asked["redirect_uri"] == self.redirect_uri
            if not right or asked["code_challenge_method"] != "S256":
                return {"error": "invalid_request"}, 400
            if not self.person:
                query = urlencode({"error": "access_denied", "state": asked["state"]})
                return redirect(f"{self.redirect_uri}?{query}", 302)
            code = secrets.token_urlsafe()
            self.codes[code] = asked
            query = urlencode({"code": code, "state": asked["state"]})
            return redirect(f"{self.redirect_uri}?{query}", 302)

        @app.post("/token")
        async def token() -> ResponseReturnValue:
            form = await request.form
            asked = self.codes.pop(form.get("code", ""), None)
            known = request.authorization
            if known is None or (known.username, known.password) != (CLIENT, SECRET):
                return {"error": "invalid_client"}, 401
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            if asked is None or asked["code_challenge"] != challenge:
                return {"error": "invalid_grant"}, 400
            return {"access_token": "a", "token_type": "Bearer", "id_token": self._token(asked)}

        return app

    def _token(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": "person-1",
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            **self.person,
            **self.wrong,
        }
        return jwt.encode({"alg": "RS256", "kid": "k1"}, claims, self.signs_with or self.key)
