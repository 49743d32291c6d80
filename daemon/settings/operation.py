"""Settings of the process: its HTTP server and gateway, what it logs, keeps and looks after."""

from typing import Annotated, Literal

from pydantic import Field

from daemon.settings.rules import (
    Addresses,
    BucketUrl,
    DatabaseUrl,
    MessagePrices,
    Name,
    Networks,
    OptionalSecret,
    OptionalUrl,
    OwnName,
    Parameters,
    Port,
    Range,
    Rule,
    Seconds,
    Secrets,
    SettingsTable,
    Switch,
    Topics,
    Url,
)


class DashboardSettings(SettingsTable):
    """``[dashboard]``: the pages for people."""

    log_lines: Annotated[int, Range(ge=0, le=1_000_000)] = 20_000
    """lines of the live log that are kept; 0 keeps none"""
    sample_seconds: Seconds = 60
    """between two points of the overview's charts"""
    session_hours: Annotated[float, Range("hours", gt=0, le=8760)] = 72
    """until a browser has to sign in again"""
    edit_texts: Switch = True
    """operators edit instructions and texts in the dashboard; false: the files alone count, also
    over what was edited"""
    oidc_issuer: OptionalUrl = ""
    """OpenID Connect provider that signs accounts in by email; needs recado[oidc]"""
    oidc_client_id: OwnName = ""
    """name of Recado at that provider"""
    oidc_client_secret: OptionalSecret = None
    """its secret there"""


Minutes = Annotated[float, Range("minutes", gt=0, le=10_080)]
Megabytes = Annotated[
    float, Field(ge=0, le=1_000_000), Rule("a number of megabytes, 0 or more", float)
]


class FileSettings(SettingsTable):
    """``[files]``: where the files of messages are."""

    url: BucketUrl = ""
    """an S3-compatible store that the nodes of a cluster share:
    s3://bucket/prefix?endpoint=https://minio.example.com&region=us-east-1; empty: folders in
    data_dir; needs the extra recado[s3]"""
    access_key_id: OptionalSecret = None
    """of the object store; without it AWS_ACCESS_KEY_ID, or the machine's role"""
    secret_access_key: OptionalSecret = None
    """of the object store, for that id"""
    timeout_seconds: Seconds = 30
    """for one call of the object store"""


class HousekeepingSettings(SettingsTable):
    """``[housekeeping]``: periodic work."""

    figures_seconds: Seconds = 5
    """between two readings of the store's figures for /health and /metrics"""
    sweep_seconds: Seconds = 2
    """between two searches for work that no task has"""
    retention_minutes: Minutes = 60
    """between two rounds of deleting by [retention]"""
    cache_minutes: Minutes = 10
    """between two rounds of dropping unused cache entries"""
    chat_info_minutes: Minutes = 60
    """how long the names and labels of an idle chat are cached"""
    contact_hours: Annotated[float, Range("hours", gt=0, le=8760)] = 24
    """how long a subscription to a contact's typing counts"""
    checkpoint_minutes: Minutes = 10
    """between two checks whether the store needs a checkpoint"""
    memory_minutes: Minutes = 1
    """between two checks of the daemon's memory"""
    memory_alert_mb: Megabytes = 300
    """above this much memory a warning is logged; 0: never"""
    memory_limit_mb: Megabytes = 700
    """above this much memory a critical line is logged; 0: never. The unit's MemoryMax then ends
    the process"""


class NotifySettings(SettingsTable):
    """``[notify]``: notifications outside of WhatsApp."""

    urls: Addresses = ()
    """Apprise addresses (mailto://, tgram://, slack://, ntfy:// …) that are notified when a
    customer asks or waits for a person, the channel fails, the day's budget is used up, or the
    model refuses every request; needs the extra recado[notify]"""


class TracingSettings(SettingsTable):
    """``[tracing]``: the traces of turns, for an OpenTelemetry collector."""

    otlp_endpoint: OptionalUrl = ""
    """address of a collector that takes OTLP over HTTP, such as http://localhost:4318; needs the
    extra recado[otlp]"""
    otlp_token: OptionalSecret = None
    """bearer token of the collector"""


class LogSettings(SettingsTable):
    """``[log]``: the log."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """the least serious lines that are written"""
    format: Literal["auto", "human", "json", "journal"] = "auto"
    """auto: the journal under systemd, readable lines on a terminal, else JSON"""
    emoji: Switch = True
    """whether readable lines begin with a symbol of the event"""
    words: Literal["masked", "none", "full"] = "masked"
    """how people's words are written: with numbers, cards and addresses shortened, not at all, or
    in full (only in development)"""


class RecoverySettings(SettingsTable):
    """``[recovery]``: work that the last process left unfinished."""

    delay_seconds: Annotated[float, Range("seconds", ge=0, le=86400)] = 5
    """from start to recovery"""
    timeout_seconds: Seconds = 10
    """for the whole recovery"""
    max_age_hours: Annotated[float, Range("hours", gt=0)] = 6
    """older messages get one polite line a chat instead of an answer"""


class RetentionSettings(SettingsTable):
    """``[retention]``: how long data is kept that the work does not need."""

    event_days: Annotated[float, Range("days", ge=0)] = 30
    """for raw webhook events; 0 keeps them for good"""
    audio_hours: Annotated[float, Range("hours", ge=0)] = 24
    """for voice notes and files that were sent; 0 keeps them for good"""
    media_days: Annotated[float, Range("days", ge=0)] = 30
    """for files that people sent; 0 keeps them for good"""
    conversations_days: Annotated[float, Range("days", ge=0)] = 0
    """after its last message, until a chat's content is deleted; the totals stay. 0 keeps
    conversations for good"""


class FigureSettings(SettingsTable):
    """``[figures]``: what enquiries are about, besides what came of them."""

    topics: Topics = ()
    """the model says which of these each enquiry is about, once it is quiet; empty: topics are not
    determined"""
    topic_model: Annotated[str, Rule("a text, or empty")] = ""
    """a cheap model of the same server; empty: that of the answers"""


class SandboxSettings(SettingsTable):
    """``[sandbox]``: what ``recado sandbox`` needs besides."""

    port: Annotated[int, Range(ge=0, le=65535)] = 8081
    """of the simulated gateway and its phone; 0: any free one"""
    cloud: Switch = False
    """a second number, at a simulated Cloud API; the phone page switches between the two"""


class StoreSettings(SettingsTable):
    """``[store]``: where the ledger is."""

    url: DatabaseUrl = None
    """the PostgreSQL database of a cluster; empty: a file in data_dir"""


class NodeSettings(SettingsTable):
    """``[node]``: this process beside others on one PostgreSQL."""

    name: OwnName = ""
    """of this process; empty: the name of the host"""
    lease_seconds: Annotated[float, Range("seconds", ge=1, le=3600)] = 15
    """a node that is silent for so long loses its numbers; the same on all nodes"""


class ShutdownSettings(SettingsTable):
    """``[shutdown]``: stopping."""

    deadline_seconds: Seconds = 5
    """after which the process ends in any case"""


# -- the HTTP server and the gateway ---------------------------------------------------------------


class WebSettings(SettingsTable):
    """``[web]``: the HTTP edge."""

    host: Name = "127.0.0.1"
    """address to listen on; an inherited systemd socket wins over it"""
    port: Port = 8080
    """port to listen on; 0 takes any free one"""
    webhook_secret: Secrets = ()
    """one secret, or two during a change; POST /hook must carry one of them"""
    admin_token: OptionalSecret = None
    """token for the dashboard, /locks and /metrics"""
    trusted_proxies: Networks = ()
    """addresses or networks of proxies whose X-Forwarded-For names the client"""
    max_body_mb: Annotated[float, Range("megabytes", gt=0, le=1024)] = 50
    """larger bodies are answered with 413"""
    api_requests_per_minute: Annotated[int, Range(ge=0, le=1_000_000)] = 600
    """requests of one token of the REST API, more are answered with 429; 0: any number"""
    webhook_url: OptionalUrl = ""
    """public address of /hook, shown by / and set by recado webhook set"""


class WhapiSettings(SettingsTable):
    """``[whapi]``: the WhatsApp gateway."""

    api_url: Url = "https://gate.whapi.cloud"
    """where Whapi is"""
    token: OptionalSecret = None
    """token of the Whapi channel"""
    channel_id: Annotated[str, Rule("a channel's id, such as MANTIS-M72HC, or empty")] = ""
    """of the channel whose webhooks these are; empty: of any"""
    timeout_seconds: Seconds = 15
    """for one call of Whapi"""
    check_seconds: Seconds = 300
    """between two checks of the channel"""


class CloudSettings(SettingsTable):
    """``[cloud]``: Meta's Cloud API, where ``gateway`` is cloud."""

    api_url: Url = "https://graph.facebook.com/v24.0"
    """where the API is, with its version"""
    phone_number_id: Annotated[
        str, Field(pattern=r"^[0-9]{0,30}$"), Rule("the digits of a phone number's id, or empty")
    ] = ""
    """Meta's id of the phone number; not the number itself"""
    business_account_id: Annotated[
        str, Field(pattern=r"^[0-9]{0,30}$"), Rule("the digits of an account's id, or empty")
    ] = ""
    """Meta's id of the WhatsApp Business Account, whose templates are listed; empty: none are
    known"""
    token: OptionalSecret = None
    """token of a system user that may send for the number"""
    app_secret: OptionalSecret = None
    """secret of the app, with which Meta signs its webhooks"""
    verify_token: OptionalSecret = None
    """any word that is also typed in where Meta asks for the webhook"""
    timeout_seconds: Seconds = 15
    """for one call of the API"""
    check_seconds: Seconds = 300
    """between two checks of the number"""
    pair_seconds: Annotated[float, Range("seconds", ge=0, le=3600)] = 6
    """between two messages to one customer, at least: Meta takes more only in bursts and then
    refuses them for minutes"""
    status_seconds: Seconds = 60
    """how long a status webhook is waited for that says whether a message was sent"""
    window_template: Annotated[
        str,
        Field(pattern=r"^([a-z0-9_]{1,512}:[a-zA-Z_]{2,8})?$"),
        Rule("a template's name and language, such as seguimos_aqui:es, or empty"),
    ] = ""
    """approved template that is sent when a customer's last message is older than 24 hours; empty:
    only a person is notified"""
    window_template_parameters: Parameters = Field(default_factory=dict)
    """its parameters, such as { "1" = "{name}" }; {name} is the contact's name"""
    prices: MessagePrices = Field(default_factory=dict)
    """of a message in budget.currency, by country and category: { CO = { calling_code = "57",
    service = 0.0008, utility = 0.0008, marketing = 0.0125 }, other = { utility = 0.02 } }"""
    max_bubbles: Annotated[int, Range(ge=1, le=20)] = 1
    """messages of one answer, each of which is billed; more only for a long one"""
