"""The gateways that there are: one line for each."""

from collections.abc import Mapping
from types import MappingProxyType

from daemon.gateway.port import GatewayKind
from daemon.gateway.whapi.kind import WHAPI

GATEWAYS: Mapping[str, GatewayKind] = MappingProxyType({kind.name: kind for kind in (WHAPI,)})

DEFAULT = WHAPI
"""The gateway of a number whose settings name none, and of every stored webhook call."""
