"""Chats, contacts, groups and labels, as Whapi's API tells of them and changes them."""

from collections.abc import Callable, Mapping, Sequence

from daemon.domain.messages import JsonObject
from daemon.sandbox import payloads
from daemon.sandbox.asgi import Answer, Request, error_answer, json_answer
from daemon.sandbox.ledger import Chat, Ledger

Tell = Callable[[str, str, Mapping[str, Sequence[JsonObject]]], None]
"""Queues a webhook call: its chat, its event, its payload."""


class Directory:
    """The endpoints of chats, contacts, groups and labels."""

    def __init__(self, *, ledger: Ledger, labels: list[JsonObject], tell: Tell) -> None:
        self._ledger = ledger
        self._tell = tell
        self.labels = labels
        self.lids: dict[str, str] = {}
        """Opaque ids (``<digits>@lid``) by phone number."""

    def get_lid(self, _request: Request, contact: str) -> Answer:
        """GET /contacts/lids/{id}: the opaque id of a phone number, if WhatsApp has told it."""
        lid = self.lids.get(contact)
        return json_answer({"lid": lid}) if lid else error_answer(404, "lid not found")

    def list_chats(self, request: Request) -> Answer:
        """GET /chats."""
        return self._page(request, "chats", [self.describe(c) for c in self._ledger.chats.values()])

    def get_chat(self, _request: Request, chat_id: str) -> Answer:
        """GET /chats/{chat}."""
        chat = self._ledger.chats.get(payloads.chat_id_of(chat_id))
        return json_answer(self.describe(chat)) if chat else error_answer(404, "chat not found")

    def list_groups(self, request: Request) -> Answer:
        """GET /groups."""
        groups = [c for c in self._ledger.chats.values() if c.is_group]
        return self._page(request, "groups", [self._group(chat) for chat in groups])

    def get_group(self, _request: Request, group_id: str) -> Answer:
        """GET /groups/{id}."""
        chat = self._ledger.chats.get(group_id)
        if chat is None or not chat.is_group:
            return error_answer(404, "group not found")
        return json_answer(self._group(chat))

    def list_contacts(self, request: Request) -> Answer:
        """GET /contacts."""
        names = {
            digits: name for c in self._ledger.chats.values() for digits, name in c.members.items()
        }
        contacts = [payloads.contact(digits, name) for digits, name in names.items()]
        return self._page(request, "contacts", contacts)

    def get_contact(self, _request: Request, digits: str) -> Answer:
        """GET /contacts/{digits}."""
        chat = self._ledger.chats.get(payloads.chat_id_of(digits))
        if chat is None:
            return error_answer(404, "contact not found")
        return json_answer(payloads.contact(digits, chat.name))

    def list_labels(self, _request: Request) -> Answer:
        """GET /labels: a bare array."""
        chats = self._ledger.chats.values()
        return json_answer(
            [{**x, "count": sum(x["id"] in c.labels for c in chats)} for x in self.labels]
        )

    def add_label(self, _request: Request, label: str, chat_id: str) -> Answer:
        """POST /labels/{label}/{chat}; 409 if it is there already."""
        chat = self._ledger.chats.get(payloads.chat_id_of(chat_id))
        if chat is None or all(x["id"] != label for x in self.labels):
            return error_answer(404, "Specified chat or message not found")
        if label in chat.labels:
            return error_answer(409, "Label association already exists")
        self.set_labels(chat, [*chat.labels, label])
        return json_answer({"success": True})

    def remove_label(self, _request: Request, label: str, chat_id: str) -> Answer:
        """DELETE /labels/{label}/{chat}."""
        chat = self._ledger.chats.get(payloads.chat_id_of(chat_id))
        if chat is None or label not in chat.labels:
            return error_answer(404, "Specified association not found")
        self.set_labels(chat, [name for name in chat.labels if name != label])
        return json_answer({"success": True})

    def set_labels(self, chat: Chat, labels: list[str]) -> None:
        """Give a chat these labels (ids) and no others; told as ``chats.patch``, as by Whapi."""
        before = self.describe(chat)
        chat.labels = labels
        after = self.describe(chat)
        self._ledger.journal.write("chat", self._ledger.describe(chat))
        update = {"before_update": before, "after_update": after, "changes": ["labels"]}
        self._tell(chat.id, "chats.patch", {"chats_updates": [update]})

    def describe(self, chat: Chat) -> JsonObject:
        """Return a chat in Whapi's shape."""
        answer: JsonObject = {
            "id": chat.id,
            "name": chat.name,
            "type": "group" if chat.is_group else "contact",
            "labels": [label for label in self.labels if label["id"] in chat.labels],
        }
        if chat.messages:
            last = chat.messages[-1]
            answer |= {"timestamp": last["timestamp"], "last_message": last}
        return answer

    def _group(self, chat: Chat) -> JsonObject:
        ranks = {payloads.OWN_NUMBER: "member"} | dict.fromkeys(chat.members, "member")
        ranks |= dict.fromkeys(list(chat.members)[:1], "creator")
        return {
            **self.describe(chat),
            "created_by": next(iter(chat.members), payloads.OWN_NUMBER),
            "participants": [{"id": digits, "rank": rank} for digits, rank in ranks.items()],
            "participants_count": len(ranks),
        }

    def _page(self, request: Request, name: str, found: list[JsonObject]) -> Answer:
        try:
            count, offset = (
                int(request.query.get(k, d)) for k, d in (("count", 100), ("offset", 0))
            )
        except ValueError:
            return error_answer(400, "Wrong request parameters")
        page = found[offset : offset + count]
        numbers = {"count": len(page), "total": len(found), "offset": offset}
        return json_answer({name: page, **numbers})
