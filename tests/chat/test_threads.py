"""Threads and their messages over HTTP: made once, numbered without gaps, listed, counted."""

import asyncio
from contextlib import suppress
from uuid import UUID, uuid4

import pytest

from contracts.accounts import AccountRegistered
from contracts.words import Role
from services.chat import store
from services.chat.domain import Draft, Kind
from tests.harness.actors import Json, assert_problem
from tests.harness.chat import ChatHarness, Conversation


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
    foreign = (harness.actors.person("buyer"), deal.order_id)
    for buyer, order_id in (foreign, (deal.buyer, uuid4()), (half.buyer, half.order_id)):
        answer = await buyer.ask("POST", "/chat/threads", {"order_id": str(order_id)})
        assert_problem(answer, 404, "not_found")


async def test_a_thread_names_its_members(harness: ChatHarness, conversation: Conversation) -> None:
    """The names come from `AccountRegistered`, whenever it arrives."""
    assert (await conversation.seen())["buyer_name"] is None
    names = ((conversation.buyer, Role.BUYER, "Siti"), (conversation.seller, Role.SELLER, "Toko Budi"))
    for person, role, name in names:
        await harness.deliver(AccountRegistered(account_id=person.account_id, role=role, name=name))
    thread = await conversation.seen()
    assert (thread["buyer_name"], thread["seller_name"]) == ("Siti", "Toko Budi")


async def test_messages_written_at_once_get_numbers_without_gaps(
    harness: ChatHarness, conversation: Conversation
) -> None:
    """Messages are numbered 1, 2, 3, … in the order of their commits, however many transactions there are at once,
    some of which are rolled back."""

    async def write(number: int) -> None:
        who = (conversation.buyer, conversation.seller)[number % 2].account_id
        with suppress(KeyError):
            async with harness.service.uow.begin() as tx:
                assert await store.post(tx, UUID(conversation.thread_id), Draft(Kind.TEXT, who, str(number)))
                if number % 5 == 0:
                    raise KeyError("a transaction that fails")

    await asyncio.gather(*map(write, range(50)))
    messages = await conversation.messages()
    assert [message["seq"] for message in messages] == list(range(1, 41))
    assert {message["text"] for message in messages} == {str(n) for n in range(50) if n % 5}
    assert [message["at"] for message in messages] == sorted(message["at"] for message in messages)


async def test_history_is_read_from_any_message(conversation: Conversation) -> None:
    """`after` names the last message that is known; `next` leads on until there is nothing more."""
    for number in range(1, 6):
        await conversation.write(conversation.buyer, str(number))
    for after, limit, expected in ((0, 2, ([1, 2], 2)), (2, 3, ([3, 4, 5], None)), (5, 50, ([], None))):
        page = await conversation.seller.get(f"{conversation.path}/messages", after=after, limit=limit)
        assert ([message["seq"] for message in page["items"]], page["next"]) == expected
    message = (await conversation.messages())[0]
    assert message["kind"] == "text"
    assert message["sender_id"] == str(conversation.buyer.account_id)
    assert (message["code"], message["data"]) == (None, None)


async def test_a_code_of_a_newer_version_is_shown_by_its_text(harness: ChatHarness, conversation: Conversation) -> None:
    """While chat is rolled out, an older replica reads what a newer one has written."""
    async with harness.service.uow.begin() as tx:
        await store.post(tx, UUID(conversation.thread_id), Draft(Kind.SYSTEM, None, "Paket hilang.", "parcel_lost"))
    for message in (*await conversation.messages(), (await conversation.seen())["last_message"]):
        assert (message["code"], message["text"]) == ("parcel_lost", "Paket hilang.")


async def test_a_kind_of_a_newer_version_is_shown_by_its_text(harness: ChatHarness, conversation: Conversation) -> None:
    """Also a kind of message that a newer version's schema allows does not keep others from reading the thread."""
    await conversation.write(conversation.buyer, "Foto paketnya")
    async with harness.service.uow.begin() as tx:
        await tx.connection.execute("alter table messages drop constraint messages_kind_check")
        newer = "update messages set kind = 'picture' where thread_id = $1"
        await tx.connection.execute(newer, UUID(conversation.thread_id))
    for message in (*await conversation.messages(), (await conversation.seen())["last_message"]):
        assert (message["kind"], message["text"]) == ("picture", "Foto paketnya")


async def test_unread_counts(conversation: Conversation) -> None:
    """Messages of the other member are unread until they are marked, or answered; read messages stay read."""
    for _ in range(3):
        await conversation.write(conversation.buyer)
    assert (await conversation.seen())["unread"] == 0
    assert (await conversation.seen(conversation.seller))["unread"] == 3
    for seq, unread in ((2, 1), (1, 1), (999, 0)):
        read = await conversation.seller.post(f"{conversation.path}/read", {"seq": seq})
        assert read == {"thread_id": conversation.thread_id, "last_seq": 3, "unread": unread}
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
    page = await buyer.get("/chat/threads", limit=2)
    found: list[Json] = page["items"]
    while page["next"]:
        page = await buyer.get("/chat/threads", limit=2, cursor=page["next"])
        found += page["items"]
    assert [thread["thread_id"] for thread in found] == expected
    assert found[0]["last_message"]["text"] == "Halo"
    [other] = (await talks[2].seller.get("/chat/threads"))["items"]
    assert other["thread_id"] == talks[2].thread_id
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


@pytest.mark.parametrize("text", ["", "   ", "x" * 2001, "a\0b", "a\x1bb", 7, None])
async def test_bad_messages_are_refused(conversation: Conversation, text: object) -> None:
    """A message has 1 to 2,000 characters, also of four bytes each, that can be shown."""
    assert_problem(await conversation.buyer.ask("POST", f"{conversation.path}/messages", {"text": text}), 422)
    assert await conversation.messages() == []
    assert (await conversation.write(conversation.buyer, "🙏" * 2000))["text"] == "🙏" * 2000


@pytest.mark.parametrize("cursor", ["x", "2026-01-01T00:00:00.000000Z~x", "0000-00-00T00:00:00.000000Z~" + "0" * 36])
async def test_a_made_up_cursor_is_refused(conversation: Conversation, cursor: str) -> None:
    """Only cursors that were given out lead anywhere."""
    assert_problem(await conversation.buyer.ask("GET", "/chat/threads", params={"cursor": cursor}), 422)


@pytest.mark.parametrize("what", ["messages", "guide"])
async def test_what_is_sent_again_under_its_key_counts_once(conversation: Conversation, what: str) -> None:
    """A message that is sent again under its Idempotency-Key, also at once, stands there once; another one under it is
    refused. A repeat gets its answer also when new requests are refused, which are those after thirty in ten seconds.
    A refused request leaves nothing behind, and the other member is not held up."""
    await conversation.write(conversation.buyer)
    path, seller = f"{conversation.path}/{what}", conversation.seller
    body = {"text": "Sekali"} if what == "messages" else None
    repeats = await asyncio.gather(*(seller.ask("POST", path, body, "k") for _ in range(3)))
    repeats += [await seller.ask("POST", path, body, "k") for _ in range(38)]
    assert {(answer.status_code, answer.text) for answer in repeats} == {(201, repeats[0].text)}
    for _ in range(29):
        await conversation.write(seller)
    refused = await seller.ask("POST", f"{conversation.path}/messages", {"text": "!"}, "refused")
    assert_problem(refused, 429, "rate_limited")
    assert 1 <= int(refused.headers["retry-after"]) <= 10
    last = await seller.ask("POST", path, body, "k")
    assert (last.status_code, last.text, last.headers["idempotent-replayed"]) == (201, repeats[0].text, "true")
    other = await conversation.buyer.ask("POST", f"{conversation.path}/messages", {"text": "Sekali"}, "k")
    assert (other.status_code, other.json()["seq"]) == (201, 32)
    if body:
        assert_problem(await seller.ask("POST", path, {"text": "Lain"}, "k"), 422, "idempotency_key_reused")
