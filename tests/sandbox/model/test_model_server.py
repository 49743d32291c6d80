"""The simulated model server as an HTTP client sees it: OpenAI's shapes, faults, strictness."""

import json
from typing import Any

import httpx
import pytest
import trio
from support.model import ScriptedModel
from support.model_script import Step, call, say

ASK: dict[str, Any] = {"model": "m", "input": "hola"}
CALL = {"type": "function_call", "call_id": "call_1", "name": "a", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "1"}


def events_of(answer: httpx.Response) -> list[dict[str, Any]]:
    lines = answer.text.splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


async def test_a_stream_has_the_real_order_and_numbers(
    server: ScriptedModel, client: httpx.AsyncClient
) -> None:
    server.script(say("uno dos"))
    with trio.fail_after(30):
        answer = await client.post("/responses", json={**ASK, "stream": True})
    events = events_of(answer)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event["sequence_number"] for event in events] == list(range(10))
    assert "".join(event.get("delta", "") for event in events) == "uno dos"
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "uno dos"
    assert events[-1]["response"]["usage"]["total_tokens"] > 0


async def test_the_path_without_version_and_an_answer_without_stream(
    server: ScriptedModel, client: httpx.AsyncClient
) -> None:
    server.script(call("a", '{"x": "a long enough argument"}'))
    url = str(client.base_url).replace("/v1/", "/responses")
    with trio.fail_after(30):
        body = (await client.post(url, json=ASK)).json()
    assert body["status"] == "completed"
    assert body["output"][0]["arguments"] == '{"x": "a long enough argument"}'


async def test_the_key_is_wanted(server: ScriptedModel, client: httpx.AsyncClient) -> None:
    with trio.fail_after(30):
        answer = await client.get("/models", headers={"authorization": "Bearer sk-other"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert server.calls == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": [CALL]}, "No tool output found for function call call_1."),
        ({"input": [OUTPUT]}, "No tool call found for function call output"),
        ({"input": [{"id": "msg_1"}, {"id": "msg_1"}]}, "Duplicate item found with id msg_1."),
        ({"input": [{"type": "reasoning", "id": "rs_1"}]}, "Item with id 'rs_1' not found."),
        ({"input": []}, "Missing required parameter: 'input'."),
        ({"input": "a" * 500}, "exceeds the context window"),
        ({"background": True, "store": False}, "requires 'store'"),
        ({"tools": [{"type": "function", "name": "a b"}]}, "Invalid 'tools[0].name'"),
        (
            {"tools": [{"type": "function", "name": "a", "parameters": {}}]},
            "Invalid schema for function 'a': ",
        ),
    ],
)
async def test_the_simulator_refuses_what_the_real_one_refuses(
    server: ScriptedModel, client: httpx.AsyncClient, change: dict[str, Any], message: str
) -> None:
    """These protect Recado from mistakes that only the real server would show."""
    server.context_tokens = 100
    with trio.fail_after(30):
        answer = await client.post("/responses", json={**ASK, **change})
    assert answer.status_code in {400, 404}
    assert message in answer.json()["error"]["message"]
    assert server.calls[0].outcome == "refused"


async def test_answered_calls_are_accepted(client: httpx.AsyncClient) -> None:
    items = [{"role": "user", "content": "hola"}, CALL, OUTPUT]
    with trio.fail_after(30):
        answer = await client.post("/responses", json={**ASK, "input": items})
    assert answer.status_code == 200


async def test_a_background_response_lives_without_its_connection(
    server: ScriptedModel, client: httpx.AsyncClient
) -> None:
    """It can be asked for, streamed from any event on, cancelled, and deleted."""
    gate = trio.Event()
    server.script(say("uno dos", gate=gate))
    with trio.fail_after(30):
        asked = {**ASK, "background": True, "stream": False}
        path = f"/responses/{(await client.post('/responses', json=asked)).json()['id']}"
        await server.wait_for(lambda: server.running == 1)
        assert (await client.get(path)).json()["status"] in {"queued", "in_progress"}
        gate.set()
        params = {"stream": "true", "starting_after": "4"}
        events = events_of(await client.get(path, params=params))
        assert [event["sequence_number"] for event in events] == [5, 6, 7, 8, 9]
        assert (await client.post(path + "/cancel")).json()["status"] == "completed"
        assert (await client.delete(path)).json()["deleted"]
        assert (await client.get(path)).status_code == 404


async def test_cancelling_stops_the_generation(
    server: ScriptedModel, client: httpx.AsyncClient
) -> None:
    server.script(Step(gate=trio.Event()))
    with trio.fail_after(30):
        asked = {**ASK, "background": True}
        path = f"/responses/{(await client.post('/responses', json=asked)).json()['id']}"
        for _ in range(2):
            assert (await client.post(path + "/cancel")).json()["status"] == "cancelled"
        await server.wait_for(lambda: server.running == 0)
        events = events_of(await client.get(path, params={"stream": "true"}))
    assert [event["type"] for event in events] == ["response.created", "response.in_progress"]
    assert server.calls[0].outcome == "cancelled"


async def test_a_foreground_response_cannot_be_cancelled(client: httpx.AsyncClient) -> None:
    with trio.fail_after(30):
        response_id = (await client.post("/responses", json=ASK)).json()["id"]
        assert (await client.post(f"/responses/{response_id}/cancel")).status_code == 400
        assert (await client.get(f"/responses/{response_id}")).json()["status"] == "completed"


async def test_a_closed_connection_loses_a_foreground_response(
    server: ScriptedModel, client: httpx.AsyncClient
) -> None:
    server.script(say("uno", gate=trio.Event()))
    with trio.fail_after(30):
        async with client.stream("POST", "/responses", json={**ASK, "stream": True}):
            pass
        (made,) = await server.wait_requests(1)
        await made.ended.wait()
        assert (await client.get(f"/responses/{made.response_id}")).status_code == 404
    assert (made.outcome, made.disconnects) == ("cut", 1)


async def test_faults(server: ScriptedModel, client: httpx.AsyncClient) -> None:
    """Steps are taken in order, by the requests that they accept."""
    only_later = Step(when=lambda body: body["model"] == "later", echo=True)
    server.script(only_later, Step(status=429, code="slow", headers={"retry-after": "2"}))
    server.script(Step(hang_up=True), say("uno", cut_after=3))
    stream = {**ASK, "stream": True}
    with trio.fail_after(30):
        limited = await client.post("/responses", json=ASK)
        assert (limited.status_code, limited.headers["retry-after"]) == (429, "2")
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/responses", json=ASK)
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/responses", json=stream)
        assert server.unused_steps == (only_later,)
        later = (await client.post("/responses", json={**ASK, "model": "later"})).json()
    assert later["output"][0]["content"][0]["text"] == "hola"
    assert [made.outcome for made in server.calls] == ["refused", "refused", "cut", "finished"]
    assert server.calls[0].customer_texts == ["hola"]


async def test_pace(server: ScriptedModel, client: httpx.AsyncClient) -> None:
    """The sandbox's phone is to show that somebody thinks."""
    server.script(say("uno dos tres", tokens_per_second=20))
    with trio.fail_after(30):
        started = trio.current_time()
        await client.post("/responses", json=ASK)
        assert trio.current_time() - started >= 0.15


async def test_models_name_their_end(client: httpx.AsyncClient) -> None:
    with trio.fail_after(30):
        models = (await client.get("/models")).json()["data"]
    assert [model["id"] for model in models if "shutdown_date" in model] == ["gpt-4o-mini"]


async def test_audio(server: ScriptedModel, client: httpx.AsyncClient) -> None:
    """Voice notes are understood if their name ends in a format; speech is a playable file."""
    with trio.fail_after(30):
        for name, status in (("voice.ogg", 200), ("voice.opus", 400)):
            files = {"file": (name, b"OggS", "audio/ogg")}
            data = {"model": "gpt-transcribe"}
            answer = await client.post("/audio/transcriptions", files=files, data=data)
            assert answer.status_code == status
            assert (answer.json().get("text") == server.transcript) is (status == 200)
        for audio_format, start in (("opus", b"OggS"), ("mp3", b"\xff\xfb"), ("wav", b"RIFF")):
            body = {"model": "tts", "input": "hola " * 30, "response_format": audio_format}
            spoken = await client.post("/audio/speech", json=body)
            assert spoken.content.startswith(start)
        assert (await client.post("/audio/speech", json={"input": ""})).status_code == 400


async def test_unknown_paths(client: httpx.AsyncClient) -> None:
    with trio.fail_after(30):
        answer = await client.post("/threads", json={})
        bad = await client.post("/responses", content=b"{no json")
    assert answer.status_code == 404
    assert "Invalid URL (POST /v1/threads)" in answer.json()["error"]["message"]
    assert bad.status_code == 400
