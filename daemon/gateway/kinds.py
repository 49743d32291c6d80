"""The gateways that there are: one line for each."""

from collections.abc import Mapping
from types import MappingProxyType

from daemon.gateway.cloud.kind import CLOUD
from daemon.gateway.port import GatewayKind
from daemon.gateway.whapi.kind import WHAPI
from daemon.settings import Settings

GATEWAYS: Mapping[str, GatewayKind] = MappingProxyType({kind.name: kind for kind in (WHAPI, CLOUD)})


def gateway_of(settings: Settings) -> GatewayKind:
    """The gateway of a number, by its settings."""
    return GATEWAYS[settings.gateway]


def gateway_named(name: str) -> GatewayKind:
    """The gateway of this name; the usual one without a name."""
    return GATEWAYS[name or WHAPI.name]
