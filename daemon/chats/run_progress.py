"""How far a run has come, shared by the run, its tool calls and the chat that may stop it."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Progress:
    """What a run has done so far, for those who may want to stop it."""

    effects: bool = False
    """True once a tool with side effects has started: from then on it is not superseded."""
    deeds: dict[str, str] = field(default_factory=dict)
    """Outputs of the calls with side effects that this run has made, by what they do."""
