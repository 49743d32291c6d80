"""The configuration as the rest of the daemon sees it: immutable, complete and checked.

`daemon.settings.sources` reads files and environment; nothing here does I/O. Secrets are
``SecretStr``: neither ``repr`` nor pydantic's errors show them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr
from pydantic.fields import FieldInfo

from daemon.settings.assistant import (
    AssistantSettings,
    HistorySettings,
    KnowledgeSettings,
    MediaSettings,
    ToolSettings,
    ValidatorSettings,
    VoiceSettings,
)
from daemon.settings.chats import (
    BrakeSettings,
    BudgetSettings,
    BufferSettings,
    ChatSettings,
    ContactSettings,
    DeliverySettings,
    EscalationSettings,
    GroupSettings,
    PresenceSettings,
    ReplySettings,
    TakeoverSettings,
    TextSettings,
)
from daemon.settings.operation import (
    CloudSettings,
    DashboardSettings,
    FigureSettings,
    FileSettings,
    HousekeepingSettings,
    LogSettings,
    NodeSettings,
    NotifySettings,
    RecoverySettings,
    RetentionSettings,
    SandboxSettings,
    ShutdownSettings,
    StoreSettings,
    TracingSettings,
    WebSettings,
    WhapiSettings,
)
from daemon.settings.reminders import FollowUps, HoursSettings, ReminderSettings
from daemon.settings.rules import FilePath, SettingsTable, TimeZone
from daemon.settings.webhooks import Webhooks, webhook_faults

MIN_SECRET_LENGTH = 16
"""Characters of a secret in production: shorter ones can be guessed over a network."""


class Settings(SettingsTable):
    """The whole configuration. ``Settings()`` is the built-in default of everything."""

    environment: Literal["development", "production"] = "development"
    """production refuses to start without web.webhook_secret and web.admin_token"""
    data_dir: FilePath = Path("data")
    """where the store, media and audio are"""
    language: Literal["es", "en"] = "es"
    """language of the built-in texts"""
    timezone: TimeZone = "America/Bogota"
    """time zone of the dates in the model's context"""
    gateway: Literal["whapi", "cloud"] = "whapi"
    """by which the number is connected to WhatsApp"""
    webhooks: Webhooks = ()
    """other systems that are notified of events: outgoing webhooks"""
    followups: FollowUps = ()
    """what is sent when a customer does not reply to a question of ours"""
    log: LogSettings = LogSettings()
    store: StoreSettings = StoreSettings()
    node: NodeSettings = NodeSettings()
    web: WebSettings = WebSettings()
    dashboard: DashboardSettings = DashboardSettings()
    files: FileSettings = FileSettings()
    whapi: WhapiSettings = WhapiSettings()
    cloud: CloudSettings = CloudSettings()
    assistant: AssistantSettings = AssistantSettings()
    media: MediaSettings = MediaSettings()
    voice: VoiceSettings = VoiceSettings()
    history: HistorySettings = HistorySettings()
    tools: ToolSettings = ToolSettings()
    knowledge: KnowledgeSettings = KnowledgeSettings()
    hours: HoursSettings = HoursSettings()
    reminders: ReminderSettings = ReminderSettings()
    validators: ValidatorSettings = ValidatorSettings()
    buffer: BufferSettings = BufferSettings()
    presence: PresenceSettings = PresenceSettings()
    groups: GroupSettings = GroupSettings()
    contacts: ContactSettings = ContactSettings()
    chats: ChatSettings = ChatSettings()
    replies: ReplySettings = ReplySettings()
    takeover: TakeoverSettings = TakeoverSettings()
    escalation: EscalationSettings = EscalationSettings()
    delivery: DeliverySettings = DeliverySettings()
    budget: BudgetSettings = BudgetSettings()
    brakes: BrakeSettings = BrakeSettings()
    recovery: RecoverySettings = RecoverySettings()
    retention: RetentionSettings = RetentionSettings()
    housekeeping: HousekeepingSettings = HousekeepingSettings()
    notify: NotifySettings = NotifySettings()
    tracing: TracingSettings = TracingSettings()
    figures: FigureSettings = FigureSettings()
    sandbox: SandboxSettings = SandboxSettings()
    shutdown: ShutdownSettings = ShutdownSettings()
    texts: TextSettings = TextSettings()
    numbers: dict[str, "Settings"] = Field(default_factory=dict)
    """The numbers of ``[numbers.<name>]``, each with all its settings; empty if there is only the
    one of this configuration. `daemon.settings.numbers.numbers_of` has it in either case."""


def fields_by_key() -> dict[str, FieldInfo]:
    """List every setting by its full key (``web.port``), in the order of the classes above."""
    keys: dict[str, FieldInfo] = {}
    for name, field in Settings.model_fields.items():
        if name == "numbers":
            continue  # its keys are those of all others: see `daemon.settings.numbers`
        if isinstance(field.annotation, type) and issubclass(field.annotation, SettingsTable):
            table = field.annotation.model_fields
            keys.update({f"{name}.{inner}": table[inner] for inner in table})
        else:
            keys[name] = field
    return keys


def model_names(settings: Settings) -> list[str]:
    """Name the models that the assistant's server must have, the one that answers first."""
    voice = settings.voice
    transcription = "" if voice.transcription_base_url else voice.transcription_model
    speech = "" if voice.speech_base_url else voice.speech_model
    knowledge = settings.knowledge
    embedding = "" if knowledge.embedding_base_url else knowledge.embedding_model
    topic_model = settings.figures.topic_model if settings.figures.topics else ""
    answering = (settings.assistant.model, _candidate_model(settings), topic_model)
    names = (*answering, transcription, speech, embedding)
    return list(dict.fromkeys(name for name in names if name))


def _candidate_model(settings: Settings) -> str:
    """The model that is tried beside the usual one; empty if none is."""
    own = settings.assistant
    return "" if own.candidate == "off" else own.candidate_model


def with_tables(
    settings: Settings, tables: Mapping[str, Mapping[str, Any]], **fields: object
) -> Settings:
    """The settings with some keys of some tables changed, and ``fields`` of their own."""
    changed = {name: getattr(settings, name).model_copy(update=v) for name, v in tables.items()}
    return settings.model_copy(update=changed | fields)


SANDBOX_FOLDER = "sandbox"
"""Below the data folder: what the sandbox stores never mixes with what customers wrote."""


def of_sandbox(settings: Settings) -> Settings:
    """The settings with the sandbox's data folder, and with its store and its files there."""
    folder = settings.data_dir / SANDBOX_FOLDER
    return with_tables(settings, {}, data_dir=folder, store=StoreSettings(), files=FileSettings())


def missing_keys(settings: Settings) -> list[str]:
    """Name the keys that are unset but needed to talk to the real services.

    The classes above do not require them, since the sandbox works without them.
    """
    numbers = settings.numbers or {"": settings}
    missing = [
        f"numbers.{name}.{key}" if name else f"{number.gateway}.{key}"
        for name, number in numbers.items()
        for key, value in _needed_by_gateway(number).items()
        if not value
    ]
    if any(number.assistant.api_key is None for number in numbers.values()):
        missing.append("assistant.api_key")
    return missing


def _needed_by_gateway(number: Settings) -> dict[str, object]:
    if number.gateway == "cloud":
        return {"token": number.cloud.token, "phone_number_id": number.cloud.phone_number_id}
    return {"token": number.whapi.token}


def webhook_secrets(number: Settings) -> tuple[str, tuple[SecretStr, ...]]:
    """The secrets of the gateway's webhook calls: the key of the setting, and its values."""
    if number.gateway == "cloud":
        secret = number.cloud.app_secret
        return "cloud.app_secret", () if secret is None else (secret,)
    return "web.webhook_secret", tuple(number.web.webhook_secret)


def production_faults(settings: Settings) -> dict[str, str]:
    """Find what prevents a start in production: a fault by key, empty in development."""
    if settings.environment != "production":
        return {}
    token = settings.web.admin_token
    needed = {
        f"numbers.{name}.{key.partition('.')[2]}" if name else key: secrets
        for name, number in (settings.numbers or {"": settings}).items()
        for key, secrets in (webhook_secrets(number),)
    }
    needed["web.admin_token"] = () if token is None else (token,)
    faults = {}
    if settings.log.words == "full":
        faults["log.words"] = "may be full only when environment is development"
    for key, secrets in needed.items():
        if not secrets:
            faults[key] = "must be set when environment is production"
        elif any(len(secret.get_secret_value()) < MIN_SECRET_LENGTH for secret in secrets):
            faults[key] = f"must have at least {MIN_SECRET_LENGTH} characters in production"
    return faults


def budget_faults(settings: Settings) -> dict[str, str]:
    """Find limits that could never be reached: costs of a model without a price."""
    faults = {}
    for name, number in (settings.numbers or {"": settings}).items():
        budget, asked = number.budget, (number.assistant.model, _candidate_model(number))
        limits = {"contact_cost": budget.contact_cost, "total_cost": budget.total_cost}
        place = f"numbers.{name}." if name else ""
        without = " and ".join(model for model in asked if model and model not in budget.prices)
        for key, limit in limits.items():
            if limit and without:
                faults[f"{place}budget.{key}"] = f"needs a price of {without} in budget.prices"
    return faults


def endpoint_faults(settings: Settings) -> dict[str, str]:
    """Find outgoing webhooks that cannot be as they are."""
    numbers = set(settings.numbers) or {"main"}
    faults = webhook_faults(settings.webhooks, numbers)
    return {"webhooks": "; ".join(faults)} if faults else {}


def unpriced_models(settings: Settings) -> list[str]:
    """Name the voice models without a price, whose cost a limit would not see."""
    budget, voice = settings.budget, settings.voice
    if not (budget.contact_cost or budget.total_cost):
        return []
    needed = {
        voice.transcription_model: ("minute",),
        voice.speech_model if voice.reply_with_voice else "": ("minute", "characters"),
    }
    return [
        model
        for model, kinds in needed.items()
        if model and not any(kind in budget.prices.get(model, {}) for kind in kinds)
    ]


def open_routes(settings: Settings) -> list[str]:
    """List the routes that are open to everyone, one line each; shown at the start."""
    lines = []
    key, secrets = webhook_secrets(settings)
    if not settings.numbers and not secrets:
        lines.append(f"{key} is not set: POST /hook is open to everyone")
    for name, number in settings.numbers.items():
        key, secrets = webhook_secrets(number)
        if not secrets:
            place = f"numbers.{name}.{key.partition('.')[2]}"
            lines.append(f"{place} is not set: its webhooks are open to everyone")
    if settings.web.admin_token is None:
        lines.append("web.admin_token is not set: /locks, /metrics and the dashboard are open")
    return lines
