"""Asks the model what enquiries are about, if the operator has listed topics."""

import trio

from daemon.conversation.number_runtime import NumberRuntime
from daemon.conversation.numbers import Numbers
from daemon.conversation.opening import Process
from daemon.conversation.turn.history import ask_aside, may_ask
from daemon.domain.topics import OTHER, topic_in, topic_request
from daemon.errors import StoreUnavailable
from daemon.observability.logs import Log

LOOK_SECONDS = 30.0
"""Between two looks for enquiries without a topic."""

NEXT_SECONDS = 1.0
"""The same while there are some, so that the model server is not flooded."""

AFTER_SECONDS = 3600.0
"""How long an enquiry is quiet before it is sorted: most customers have finished by then."""


async def keep_topics(process: Process, numbers: Numbers, log: Log) -> None:
    """Sort one enquiry after the other, beside the chats. Runs until cancelled."""
    while True:
        had_work = False
        try:
            for number in numbers.served:
                had_work |= await _sort_one(number, process.telemetry.now())
        except StoreUnavailable as error:
            log.debug("topics of enquiries wait for the store", error=str(error))
        await trio.sleep(NEXT_SECONDS if had_work else LOOK_SECONDS)


async def _sort_one(number: NumberRuntime, now: float) -> bool:
    """Ask for the topic of one enquiry; False if there is none, or the model is in trouble."""
    services = number.services
    rules, topics = services.config.rules.topics, services.store.topics
    if not rules.names:
        return False
    counted = {name: services.telemetry.metrics.enquiry_topics.labels(name) for name in rules.known}
    if services.model.state.fault:
        return False
    one = await topics.next_unsorted(number.name, now=now, quiet_seconds=AFTER_SECONDS)
    if one is None:
        return False
    topic = OTHER
    if one.texts:
        request = topic_request(rules, one.texts, services.model.contact_hash(one.key))
        allowed = await may_ask(one.key, request, services, rules.budget)
        await topics.asked(one.id, tries=int(allowed), now=now)
        if not allowed:
            return True
        response = await ask_aside(
            one.key, request, services, failure="no topic of an enquiry", budget=rules.budget
        )
        topic = topic_in(response, rules.names) if response and not response.incomplete else ""
    if topic:
        await topics.set_topic(one.id, topic)
        counted[topic].inc()
    return True
