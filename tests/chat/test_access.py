"""Access: every route, for every kind of account that may not use it."""

from typing import Any

import pytest

from tests.harness.actors import Person, assert_problem
from tests.harness.chat import ChatHarness, Conversation

TEXT = {"text": "Halo"}
ROUTES: list[tuple[str, str, Any, dict[str, int]]] = [
    # method, path, body, and the status for each who is not the thread's buyer, its seller or as they should be
    ("POST", "/chat/threads", "order", {"seller": 403, "agent": 403, "other buyer": 404, "other seller": 403}),
    ("GET", "/chat/threads", None, {}),
    ("GET", "/chat/threads/{}", None, {"other buyer": 404, "other seller": 404}),
    ("GET", "/chat/threads/{}/messages", None, {"other buyer": 404, "other seller": 404}),
    ("POST", "/chat/threads/{}/messages", TEXT, {"agent": 403, "other buyer": 404, "other seller": 404}),
    ("POST", "/chat/threads/{}/read", {"seq": 0}, {"agent": 403, "other buyer": 404, "other seller": 404}),
    ("POST", "/chat/threads/{}/guide", None, {"buyer": 403, "agent": 403, "other buyer": 403, "other seller": 404}),
    ("POST", "/chat/threads/{}/cancel", None, {"buyer": 403, "agent": 403, "other buyer": 403, "other seller": 404}),
    ("POST", "/chat/tickets", None, {}),
]
CALLERS = ("no token", "buyer", "seller", "agent", "other buyer", "other seller")


@pytest.fixture(scope="module")
async def conversation(harness: ChatHarness) -> Conversation:
    """One thread about a paid order, for all callers."""
    return await harness.conversation()


def who(harness: ChatHarness, conversation: Conversation, name: str) -> Person:
    """The account of one caller."""
    if name in ("buyer", "seller"):
        return conversation.buyer if name == "buyer" else conversation.seller
    return harness.actors.anonymous() if name == "no token" else harness.actors.person(name.removeprefix("other "))


def test_every_route_is_in_the_table(harness: ChatHarness) -> None:
    """A route that is new must be entered here."""
    spec = harness.service.app.openapi()["paths"]
    routes = {(method.upper(), path) for path, methods in spec.items() for method in methods}
    listed = {(method, path.replace("{}", "{thread_id}")) for method, path, _, _ in ROUTES}
    assert {route for route in routes if "/health/" not in route[1] and "/metrics" not in route[1]} == listed


@pytest.mark.parametrize("person", CALLERS)
@pytest.mark.parametrize(("method", "path", "body", "refused"), ROUTES, ids=lambda value: str(value)[:30])
async def test_who_gets_in(
    harness: ChatHarness,
    conversation: Conversation,
    person: str,
    method: str,
    path: str,
    body: Any,
    refused: dict[str, int],
) -> None:
    """A route answers a stranger 404, the wrong role 403, and a request without a token 401."""
    if path.endswith("guide"):
        await conversation.write(conversation.buyer)
    json = {"order_id": str(conversation.order_id)} if body == "order" else body
    answer = await who(harness, conversation, person).ask(method, path.format(conversation.thread_id), json=json)
    status = 401 if person == "no token" else refused.get(person)
    if status is None:
        assert answer.is_success, answer.text
    else:
        assert_problem(answer, status, {401: "unauthenticated", 403: "wrong_role", 404: "not_found"}[status])


@pytest.mark.parametrize(("method", "path", "body"), [(m, p, b) for m, p, b, _ in ROUTES if "{}" in p])
async def test_there_is_no_such_thread(harness: ChatHarness, method: str, path: str, body: Any) -> None:
    """A thread that does not exist is answered like a thread of other members."""
    seller = harness.actors.person("seller")
    missing = await seller.ask(method, path.format("0190d3a0-0000-7000-8000-00000000ffff"), json=body)
    assert_problem(missing, 404, "not_found")
    malformed = await seller.ask(method, path.format("x"), json=body)
    assert_problem(malformed, 422, "invalid_request")


async def test_refused_messages_leave_no_trace(harness: ChatHarness) -> None:
    """A refused message of a stranger or an agent is not stored, and changes no unread count."""
    conversation = await harness.conversation()
    for person in ("agent", "other buyer", "other seller"):
        await who(harness, conversation, person).ask("POST", f"{conversation.path}/messages", json=TEXT)
        await who(harness, conversation, person).ask("POST", f"{conversation.path}/read", json={"seq": 5})
    assert await conversation.messages() == []
    assert (await conversation.write(conversation.seller))["seq"] == 1
    assert (await conversation.seen())["unread"] == 1
