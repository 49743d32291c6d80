"""The tables of the configuration about the two ends of the wire: our HTTP server, and Whapi."""

from typing import Annotated

from pydantic import Field

from daemon.settings.rules import (
    Name,
    Networks,
    OptionalSecret,
    OptionalUrl,
    Port,
    Rule,
    Seconds,
    Secrets,
    Url,
)
from daemon.settings.section import Section


class WebSettings(Section):
    """``[web]``: the HTTP edge."""

    host: Name = Field(
        default="127.0.0.1",
        description="address to listen on; an inherited systemd socket wins over it",
    )
    port: Port = Field(default=8080, description="port to listen on; 0 takes any free one")
    webhook_secret: Secrets = Field(
        default=(),
        description="one secret, or two while changing it, one of which POST /hook must carry",
    )
    admin_token: OptionalSecret = Field(
        default=None, description="token for the dashboard, /locks and /metrics"
    )
    trusted_proxies: Networks = Field(
        default=(),
        description="addresses or networks of proxies whose X-Forwarded-For names the client",
    )
    max_body_mb: Annotated[
        float, Field(gt=0, le=1024), Rule("a number of megabytes above 0, at most 1024", float)
    ] = Field(default=50, description="larger bodies are answered with 413")
    webhook_url: OptionalUrl = Field(
        default="", description="public address of /hook, shown by / and set by recado webhook set"
    )


class WhapiSettings(Section):
    """``[whapi]``: the WhatsApp gateway."""

    api_url: Url = Field(default="https://gate.whapi.cloud", description="where Whapi is")
    token: OptionalSecret = Field(default=None, description="token of the Whapi channel")
    timeout_seconds: Seconds = Field(default=15, description="for one call of Whapi")
    check_seconds: Seconds = Field(
        default=300, description="between two looks at whether the channel is well"
    )
