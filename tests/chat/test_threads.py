"""Threads and their messages over HTTP: made once, numbered without gaps, listed, counted."""

import asyncio
from uuid import UUID, uuid4

import pytest

from contracts.accounts import AccountRegistered
from contracts.words import Role
from services.chat import store
from services.chat.domain import Kind
from tests.harness.actors import Json, assert_problem
from tests.harness.chat import ChatHarness, Conversation

UNPRINTABLE = ["a\0b", "a\x1bb"]


async def test_a_thread_is_made_once(harness: ChatHarness) -> None:
    """However often, and at once, a buyer asks for an order's thread: it is one, and only the first time is a 201."""
    deal = await harness.sold()
    body = {"order_id": str(deal.order_id)}
    answers = await asyncio.gather(*(deal.buyer.ask("POST", "/chat/threads", json=body) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["thread_id"] for answer in answers}) == 1
    thread = answers[0].json()
    assert (thread["unread"], thread["last_seq"], thread["last_message"]) == (0, 0, None)
    assert (thread["title"], thread["order_status"]) == ("Kemeja batik", "processing")


async def test_only_the_buyer_of_a_known_order_opens_its_thread(harness: ChatHarness) -> None:
    """An order that is unknown, known in part only, or of another buyer is answered 404."""
    deal, half = await harness.sold(), harness.deal()
    await harness.deliver(half.moved("packed"))
    for buyer, order_id in (
        (harness.actors.person("buyer"), deal.order_id),
        (deal.buyer, uuid4()),
        (half.buyer, half.order_id),
    ):
        answer = await buyer.ask("POST", "/chat/threads", json={"order_id": str(order_id)})
        assert_problem(answer, 404, "not_found")


async def test_a_thread_names_its_members(harness: ChatHarness, conversation: Conversation) -> None:
    """The names come from `AccountRegistered`, whenever it arrives."""
    assert (await conversation.seen())["buyer_name"] is None
    for person, role, name in (
        (conversation.buyer, Role.BUYER, "Siti"),
        (conversation.seller, Role.SELLER, "Toko Budi"),
    ):
        await harness.deliver(AccountRegistered(account_id=person.account_id, role=role, name=name))
    thread = await conversation.seen()
    assert (thread["buyer_name"], thread["seller_name"]) == ("Siti", "Toko Budi")


async def test_fifty_who_write_at_once_get_numbers_without_gaps(
    harness: ChatHarness, conversation: Conversation
) -> None:
    """Messages are numbered 1, 2, 3, … in the order of their commits, however many transactions there are at once,
    some of which are rolled back."""
    uow = harness.service.uow

    async def write(number: int) -> None:
        who = (conversation.buyer, conversation.seller)[number % 2].account_id
        try:
            async with uow.begin() as tx:
                assert await store.post(tx, UUID(conversation.thread_id), Kind.TEXT, who, str(number))
                if number % 5 == 0:
                    raise KeyError("a transaction that fails")
        except KeyError:
            return

    await asyncio.gather(*map(write, range(50)))
    messages = await conversation.messages()
    assert [message["seq"] for message in messages] == list(range(1, 41))
    assert {message["text"] for message in messages} == {str(n) for n in range(50) if n % 5}
    assert [message["at"] for message in messages] == sorted(message["at"] for message in messages)


async def test_history_is_read_from_any_message(conversation: Conversation) -> None:
    """`after` names the last message that is known; `next` leads on until there is nothing more."""
    for number in range(1, 6):
        await conversation.write(conversation.buyer, str(number))
    page = await conversation.seller.get(f"{conversation.path}/messages", limit=2)
    assert ([message["seq"] for message in page["items"]], page["next"]) == ([1, 2], 2)
    page = await conversation.seller.get(f"{conversation.path}/messages", after=2, limit=3)
    assert ([message["seq"] for message in page["items"]], page["next"]) == ([3, 4, 5], None)
    page = await conversation.seller.get(f"{conversation.path}/messages", after=5)
    assert (page["items"], page["next"]) == ([], None)
    message = (await conversation.messages())[0]
    assert message["kind"] == "text"
    assert message["sender_id"] == str(conversation.buyer.account_id)
    assert (message["code"], message["data"]) == (None, None)


async def test_unread_counts(conversation: Conversation) -> None:
    """Messages of the other member are unread until they are marked, or answered; read messages stay read."""
    for _ in range(3):
        await conversation.write(conversation.buyer)
    assert (await conversation.seen())["unread"] == 0
    assert (await conversation.seen(conversation.seller))["unread"] == 3
    read = await conversation.seller.post(f"{conversation.path}/read", {"seq": 2})
    assert read == {"thread_id": conversation.thread_id, "last_seq": 3, "unread": 1}
    assert (await conversation.seller.post(f"{conversation.path}/read", {"seq": 1}))["unread"] == 1
    assert (await conversation.seller.post(f"{conversation.path}/read", {"seq": 999}))["unread"] == 0
    await conversation.write(conversation.seller)
    assert (await conversation.seen(conversation.seller))["unread"] == 0
    assert (await conversation.seen())["unread"] == 1
    await conversation.write(conversation.buyer)
    assert (await conversation.seen())["unread"] == 0


async def test_the_newest_activity_comes_first(harness: ChatHarness) -> None:
    """The list is ordered by the last message, in pages that fit together; each account has its own."""
    buyer = harness.actors.person("buyer")
    deals = [harness.deal(buyer) for _ in range(5)]
    await harness.deliver(*(deal.placed() for deal in deals))
    talks = [await harness.about(deal) for deal in deals]
    await talks[1].write(talks[1].seller, "Halo")
    expected = [talks[n].thread_id for n in (1, 4, 3, 2, 0)]
    found: list[Json] = []
    cursor: dict[str, str] = {}
    while True:
        page = await buyer.get("/chat/threads", limit=2, **cursor)
        found += page["items"]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert [thread["thread_id"] for thread in found] == expected
    assert found[0]["last_message"]["text"] == "Halo"
    assert [thread["thread_id"] for thread in (await talks[2].seller.get("/chat/threads"))["items"]] == [
        talks[2].thread_id
    ]
    assert (await harness.actors.person("seller").get("/chat/threads"))["items"] == []


async def test_an_agent_finds_a_thread_by_its_order(harness: ChatHarness, conversation: Conversation) -> None:
    """Agents have no threads of their own and read any; for others an order that is not theirs finds nothing."""
    agent = harness.actors.person("agent")
    order_id = str(conversation.order_id)
    await conversation.write(conversation.buyer)
    assert (await agent.get("/chat/threads"))["items"] == []
    found = (await agent.get("/chat/threads", order_id=order_id))["items"]
    assert [(thread["thread_id"], thread["unread"]) for thread in found] == [(conversation.thread_id, 0)]
    assert len((await agent.get(f"{conversation.path}/messages"))["items"]) == 1
    assert (await harness.actors.person("buyer").get("/chat/threads", order_id=order_id))["items"] == []


async def test_the_same_key_is_the_same_message(conversation: Conversation) -> None:
    """A message that is sent again under its Idempotency-Key stands there once; another one under it is refused."""
    key = {"Idempotency-Key": uuid4().hex}
    body = {"text": "Sekali"}
    path = f"{conversation.path}/messages"
    answers = await asyncio.gather(*(conversation.buyer.ask("POST", path, json=body, headers=key) for _ in range(3)))
    assert {answer.status_code for answer in answers} == {201}
    assert {answer.json()["seq"] for answer in answers} == {1}
    assert await conversation.codes() == ["Sekali"]
    other = await conversation.buyer.ask("POST", path, json={"text": "Lain"}, headers=key)
    assert_problem(other, 422, "idempotency_key_reused")


@pytest.mark.parametrize("text", ["", "   ", "x" * 2001, *UNPRINTABLE, 7, None])
async def test_bad_messages_are_refused(conversation: Conversation, text: object) -> None:
    """A message has 1 to 2,000 characters that can be shown."""
    assert_problem(await conversation.buyer.ask("POST", f"{conversation.path}/messages", json={"text": text}), 422)
    assert await conversation.messages() == []


async def test_a_long_message_of_many_bytes_fits(conversation: Conversation) -> None:
    """2,000 characters are allowed, also of four bytes each."""
    assert (await conversation.write(conversation.buyer, "🙏" * 2000))["text"] == "🙏" * 2000


@pytest.mark.parametrize("cursor", ["x", "2026-01-01T00:00:00.000000Z~x", "0000-00-00T00:00:00.000000Z~" + "0" * 36])
async def test_a_made_up_cursor_is_refused(conversation: Conversation, cursor: str) -> None:
    """Only cursors that were given out lead anywhere."""
    assert_problem(await conversation.buyer.ask("GET", "/chat/threads", params={"cursor": cursor}), 422)


async def test_who_writes_too_much_waits(conversation: Conversation) -> None:
    """Thirty messages in ten seconds are enough; the other one is not held up by it."""
    answers = [
        await conversation.buyer.ask("POST", f"{conversation.path}/messages", json={"text": "!"}) for _ in range(31)
    ]
    assert [answer.status_code for answer in answers] == [201] * 30 + [429]
    assert_problem(answers[-1], 429, "rate_limited")
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 10
    assert (await conversation.write(conversation.seller))["seq"] == 31


@pytest.mark.parametrize("what", ["messages", "guide"])
async def test_what_is_sent_again_under_its_key_counts_once(conversation: Conversation, what: str) -> None:
    """A repeat gets its answer, also when new requests are refused; a refused request leaves nothing behind."""
    await conversation.write(conversation.buyer)
    path, keyed = f"{conversation.path}/{what}", {"key": "k"}
    body = {"text": "Sekali"} if what == "messages" else None
    first = await conversation.seller.ask("POST", path, body, **keyed)
    again = [await conversation.seller.ask("POST", path, body, **keyed) for _ in range(40)]
    assert {(answer.status_code, answer.text) for answer in [first, *again]} == {(201, first.text)}
    for _ in range(29):
        await conversation.write(conversation.seller)
    refused = await conversation.seller.ask("POST", f"{conversation.path}/messages", {"text": "!"}, "refused")
    assert_problem(refused, 429, "rate_limited")
    last = await conversation.seller.ask("POST", path, body, **keyed)
    assert (last.status_code, last.text, last.headers["idempotent-replayed"]) == (201, first.text, "true")
    assert len(await conversation.messages()) == 31
