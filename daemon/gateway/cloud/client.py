"""The calls of one number of the Cloud API, as `daemon.gateway.port.Gateway` has them.

`send` is made once, after its file was uploaded; all other calls up to three times: see
`daemon.gateway.exchange.GatewayCalls`.
"""

from daemon.domain.messages import ChatInfo, Label, Message, NumberHealth, Webhook
from daemon.domain.rendering.outgoing import Outgoing
from daemon.domain.rendering.templates import Template
from daemon.errors import NumberTrouble, RefusedForm, RefusedRecipient
from daemon.gateway.cloud.payloads.answers import (
    health_refused,
    read_health,
    read_media_id,
    read_sent,
    read_templates,
    read_webhook_address,
)
from daemon.gateway.cloud.payloads.sends import (
    KINDS,
    NoRecipient,
    read_receipt,
    send_call,
    upload_call,
)
from daemon.gateway.cloud.payloads.templates import list_call
from daemon.gateway.cloud.payloads.webhooks import parse_webhook
from daemon.gateway.exchange import GatewayCalls, nothing
from daemon.gateway.payloads.fields import ApiCall
from daemon.gateway.port import Before, Capabilities, Indicator

_HEALTH_FIELDS = "id,display_phone_number,verified_name,status,quality_rating"
_WINDOW_SECONDS = 24 * 3600.0
_MOST_PAGES = 60
"""An account has 6,000 templates at most."""

_ADDRESS_FIELD = "webhook_configuration"


class CloudClient:
    """One number's API. Any task may call it, all at the same time.

    Metrics name its operations as `daemon.gateway.cloud.payloads.sends` does, or ``upload``,
    ``read``, ``health``, ``templates``.
    """

    def __init__(
        self,
        calls: GatewayCalls,
        *,
        phone_number_id: str,
        account_id: str,
        bubbles: int,
        pair_seconds: float,
        status_seconds: float,
    ) -> None:
        """``account_id``: of the business account, whose templates these are; empty: not known.

        ``bubbles`` and the seconds: see `Capabilities`.
        """
        self._calls = calls
        self._account_id = account_id
        self._id = phone_number_id
        self._capabilities = Capabilities(
            kinds=KINDS,
            lists_messages=False,
            shows_typing=False,
            sees_typing=False,
            bubbles=bubbles,
            window_seconds=_WINDOW_SECONDS,
            templates=bool(account_id),
            pair_seconds=pair_seconds,
            status_seconds=status_seconds,
        )

    @property
    def capabilities(self) -> Capabilities:
        """Sending, and statuses that name the send; see the port."""
        return self._capabilities

    @property
    def seconds_ahead(self) -> float | None:
        """By how much Meta's clock is ahead of ours; see the port."""
        return self._calls.clock.seconds_ahead

    def parse_webhook(self, body: bytes, *, number: str, path_event: str = "") -> Webhook:
        """Read a webhook call, as far as it is about this number.

        See `daemon.gateway.cloud.payloads.webhooks`.
        """
        return parse_webhook(body, number=number, path_event=path_event, phone_number_id=self._id)

    async def send(self, chat: str, message: Outgoing, *, before: Before) -> str:
        """Send one message, once; its file is uploaded before. See the port for the errors."""
        try:
            upload = upload_call(self._id, message)
            send_call(self._id, chat, message)
        except NoRecipient as error:
            raise RefusedRecipient(str(error)) from None
        except ValueError as error:  # a poll is sent as words, and keeps its quote
            raise RefusedForm(str(error), named=frozenset({"buttons"})) from None
        media_id = await self._calls.repeatable(upload, read_media_id) if upload else ""
        call = send_call(self._id, chat, message, media_id=media_id)
        message_id = await self._calls.once(call, read_sent, before=before)
        return "" if message.kind == "reaction" else message_id

    async def set_presence(self, chat: str, indicator: Indicator) -> None:
        """Do nothing: the indicator is only there together with a receipt, see `mark_read`."""

    async def subscribe_presence(self, contact: str) -> None:
        """Do nothing: Meta does not report contacts' typing."""

    async def mark_read(self, message_id: str) -> None:
        """Show a message's author that it was read, and that we type; gone is success too."""
        try:
            await self._calls.repeatable(read_receipt(self._id, message_id), nothing)
        except RefusedForm:
            return

    async def health(self) -> NumberHealth:
        """Ask for the state of the phone number."""
        call = ApiCall("health", "GET", f"/{self._id}", query={"fields": _HEALTH_FIELDS})
        try:
            return await self._calls.repeatable(call, read_health)
        except (NumberTrouble, RefusedForm) as error:  # the token, or the id, is wrong
            return health_refused(str(error))

    async def webhook_address(self) -> str:
        """Ask where the webhooks of the number go; empty if unknown."""
        call = ApiCall("health", "GET", f"/{self._id}", query={"fields": _ADDRESS_FIELD})
        try:
            return await self._calls.repeatable(call, read_webhook_address)
        except RefusedForm:
            return ""

    async def find_alias(self, digits: str) -> str:  # noqa: ARG002
        """Find nothing: Meta names both ids in its webhooks, and tells neither by the other."""
        return ""

    async def list_messages(
        self,
        chat: str,  # noqa: ARG002
        *,
        from_me: bool | None,  # noqa: ARG002
        since: float,  # noqa: ARG002
        count: int,  # noqa: ARG002
    ) -> tuple[Message, ...]:
        """Raise RefusedForm: Meta keeps no messages."""
        raise RefusedForm("the Cloud API lists no messages")

    async def get_chat(self, chat: str) -> ChatInfo | None:  # noqa: ARG002
        """Find nothing: Meta keeps no chats."""
        return None

    async def list_templates(self) -> tuple[Template, ...]:
        """List the templates of the business account, in all languages."""
        found: list[Template] = []
        after, pages = "", _MOST_PAGES if self._account_id else 0
        for _ in range(pages):
            page = await self._calls.repeatable(list_call(self._account_id, after), read_templates)
            found += page.templates
            after = page.after
            if not after:
                break
        return tuple(found)

    async def list_labels(self) -> tuple[Label, ...]:
        """List nothing: there are no labels."""
        return ()

    async def add_label(self, label_id: str, chat: str) -> None:  # noqa: ARG002
        """Raise RefusedForm: there are no labels."""
        raise RefusedForm("the Cloud API has no labels")

    async def remove_label(self, label_id: str, chat: str) -> None:
        """Do nothing: a chat that has no label does not have this one."""
