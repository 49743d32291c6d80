"""A conversation for tools to work in, without a daemon."""

from collections.abc import Mapping, Sequence

from daemon.domain.records import NewPart
from daemon.domain.rendering.outgoing import reaction_part
from daemon.domain.rendering.templates import named_part
from daemon.tools.tool import Urgency


class RecordedConversation:
    """A conversation that only records the tools' actions."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.sent: list[NewPart] = []
        self.escalations: list[tuple[str, str, str]] = []
        self.facts: dict[int, str] = {}
        self.labels: set[str] = set()
        self.most_facts = 2
        self.reminders: list[tuple[str, ...]] = []

    async def say(self, text: str) -> bool:
        self.said.append(text)
        return True

    async def send(self, part: NewPart) -> bool:
        self.sent.append(part)
        return True

    async def send_template(self, name: str, values: Mapping[str, str], language: str) -> bool:
        self.sent.append(named_part(name, language, values))
        return True

    async def react(self, emoji: str) -> bool:
        self.sent.append(reaction_part(emoji, "the-last-one"))
        return True

    async def escalate(self, reason: str, summary: str, urgency: Urgency) -> bool:
        self.escalations.append((reason, summary, urgency))
        return len(self.escalations) == 1

    async def set_labels(self, add: Sequence[str], remove: Sequence[str]) -> list[str]:
        self.labels = (self.labels | set(add)) - set(remove)
        return ["there is no label VIP"] if "VIP" in add else []

    async def remember(self, fact: str) -> int:
        if len(self.facts) == self.most_facts:
            return 0
        self.facts[len(self.facts) + 1] = fact
        return len(self.facts)

    async def forget_fact(self, fact_id: int) -> bool:
        return self.facts.pop(fact_id, None) is not None

    async def remind(self, when: str, text: str, cancel_on: Sequence[str], *, is_note: bool) -> str:
        self.reminders.append((when, text, *cancel_on, *(["note"] if is_note else [])))
        return f"Reminder {len(self.reminders)} is set."

    async def cancel_reminder(self, reminder_id: int) -> bool:
        return 0 < reminder_id <= len(self.reminders)

    async def search_knowledge(self, question: str) -> str:
        return f"passages for {question}"
