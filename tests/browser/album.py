"""Every page, with something on it: prepared through the interface, to be looked at in every language and width."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from batalkan.operate import create_for
from contracts.words import Role
from services.accounts.demonstration import PASSWORD
from services.web.lessons import progress
from services.web.lessons.texts import NAMES
from services.web.upstream import SERVICES
from tests.harness.actors import Agent, Buyer, Seller
from tests.harness.customer_service import says, thread_of
from tests.harness.waiting import eventually

SEATS = {"buyer": "a", "seller": "b", "agent": "c"}
OPERATOR = "operator@example.com"
"""Has the password of the demonstration's accounts."""
SEEN = ("inbox", "outbox")
"""The lessons that are seen with all that a lesson can have; the others are like them."""
FINISHED = {progress.PREDICTED: "1", progress.DONE: "", progress.REMOVED: "", progress.ANSWERED: "1"}
LEARNED = progress.written({name: FINISHED for name in NAMES if name != "inbox"})
"""The cookie of a learner who has finished all lessons but one."""


@dataclass(frozen=True)
class Sight:
    """A page; `role` is empty if the page needs no sign-in."""

    name: str
    path: str
    role: str = ""
    opens: str = ""
    """A selector of what is pressed when the page is there, for what is not seen at once."""
    signed_out: bool = False
    """Whether the page is for visitors without a sign-in; such pages are last, because visiting them signs out."""
    alike: bool = False
    """Whether it is made of the same parts as another page, so that looking at it is enough."""

    @property
    def url(self) -> str:
        """Where the page is."""
        if self.role == "operator":
            return f"/web/operate{self.path}"
        return f"/web/s/{SEATS[self.role]}{self.path}" if self.role else self.path


_BLANK = {
    "buyer": ("/orders", "/wallet", "/chat", "/help", "/notifications"),
    "seller": ("/", "/products", "/vouchers", "/score", "/webhooks"),
    "agent": ("/", "/history"),
}
NEWCOMERS = {
    role: [Sight(f"new-{role}{path.replace('/', '-').rstrip('-')}", path, role) for path in paths]
    for role, paths in _BLANK.items()
}
"""What newcomers see: pages without anything on them."""
AGENT = "new-agent@example.com"
"""The newcomer among the agents; has the password of the demonstration's accounts."""


async def conversation(buyer: Buyer, seller: Seller, order_id: str) -> str:
    """A thread with a guide in it."""
    thread_id = await thread_of(buyer, order_id)
    await says(buyer, thread_id, "Halo Kak, saya salah pilih warna. Bisa dibatalkan?")
    await says(seller, thread_id, "Bisa, Kak. Pesanannya belum kami kirim.")
    await says(buyer, thread_id, "Bagaimana caranya ya?")
    await seller.send(f"/chat/threads/{thread_id}/guide")
    return thread_id


async def help_case(buyer: Buyer, agent: Agent, order_id: str) -> str:
    """A case with an agent on duty, and with a shared order."""
    await agent.duty()
    case = (await buyer.send("/cs/cases", text="Penjual tidak menjawab sejak kemarin."))["case_id"]
    await agent.once_known(f"/cs/cases/{case}/messages", text="Baik, Kak. Boleh minta data pesanannya?")
    await buyer.once_known(f"/cs/cases/{case}/order", order_id=order_id)
    return str(case)


async def demand(http: httpx.AsyncClient, seller: Seller, agent: Agent, product: str) -> str:
    """The thread of an order about which customer service has asked its seller."""
    buyer = await Buyer.register(http, "buyer", "Siti Rahma")
    order = await buyer.buy(product)
    case = await help_case(buyer, agent, order)
    await agent.send(f"/cs/cases/{case}/contact-seller")

    async def shown() -> str | None:
        threads = (await seller.get("/chat/threads", demanded=True))["items"]
        return str(threads[0]["thread_id"]) if threads else None

    return await eventually(shown)


async def stuck_refund(http: httpx.AsyncClient, product: str) -> None:
    """A refund to a DANA that is down."""
    buyer = await Buyer.register(http, "buyer")
    await buyer.link_dana()
    order = await buyer.buy(product)
    (await http.put("/refunds/demonstration/dana", json={"weather": "down"})).raise_for_status()
    await buyer.cancel(order)


async def parked_message(http: httpx.AsyncClient) -> str:
    """A message that `cs` has parked."""
    (await http.post("/orders/demonstration/poison")).raise_for_status()

    async def is_parked() -> str | None:
        state = (await http.get("/cs/demonstration/state")).raise_for_status().json()
        return str(state["parked"][0]["parked_id"]) if state["parked"] else None

    return await eventually(is_parked)


async def trace_of(http: httpx.AsyncClient, order_id: str) -> str:
    """The id of the trace of the order's cancellation, under which it is found for longer."""

    async def shown() -> str | None:
        found = re.search('data-story="([^"]+)"', (await http.get(f"/web/flow/stories/{order_id}")).text)
        return found and found[1]

    return await eventually(shown)


async def played(http: httpx.AsyncClient, lesson: str) -> str:
    """The order that a lesson has cancelled, once its journey has ended."""
    origin = str(http.base_url).rstrip("/")
    async with httpx.AsyncClient(base_url=origin, headers={"Origin": origin, "Accept": "text/html"}) as browser:
        page = (await browser.get(f"/web/lessons/{lesson}")).text
        form = {"form": page.partition('name="form" value="')[2].partition('"')[0]}
        done = await browser.post(f"/web/lessons/{lesson}/do", data=form)
        order = httpx.URL(done.headers["location"]).params["order"]

        async def over() -> bool:
            return "RefundIssued" in (await browser.get(f"/web/flow/stories/{order}")).text

        await eventually(over)
    return order


async def prepare(http: httpx.AsyncClient, database_urls: Mapping[str, str]) -> list[Sight]:
    """Lets things happen, and names every page."""
    await create_for(database_urls, Role.OPERATOR, OPERATOR, PASSWORD, "Operator")
    await create_for(database_urls, Role.AGENT, AGENT, PASSWORD, "Agent")
    buyer = await Buyer.sign_in(http, "buyer@example.com", PASSWORD)
    seller = await Seller.sign_in(http, "seller@example.com", PASSWORD)
    agent = await Agent.sign_in(http, "agent@example.com", PASSWORD)
    products = [product["product_id"] for product in (await buyer.get("/orders/products"))["items"]]
    delivered, shipped, cancelled = [await buyer.buy(products[number]) for number in (3, 1, 2)]
    await seller.done(delivered, "pack", "ship", "deliver")
    await seller.done(shipped, "pack", "ship")
    await buyer.cancel(cancelled)
    unpaid = await buyer.place(products[5])
    open_order = await buyer.buy(products[0])
    packed = await buyer.buy(products[4], quantity=2)
    await seller.done(packed, "pack")
    voucher = (await seller.send("/orders/vouchers", code="HEMAT10", percent=10, cap=50_000, minimum=0, uses=9))["code"]
    hook = {"url": "https://shop.example/batalkan", "kinds": ["OrderPaid"]}  # nothing is at this address
    webhook = (await seller.send("/notifications/webhooks", **hook))["webhook_id"]
    lines = [{"product_id": products[0], "quantity": 3}]
    parted = (await buyer.send("/orders", lines=lines, payment_method="dana", voucher=voucher))["order_id"]
    (await buyer.move(parted, "pay")).raise_for_status()
    await buyer.send(f"/orders/{parted}/cancel", lines=[{"product_id": products[0], "quantity": 1}])
    thread = await conversation(buyer, seller, open_order)
    old = await help_case(buyer, agent, packed)
    await agent.send(f"/cs/cases/{old}/close", outcome="answered")
    case = await help_case(buyer, agent, packed)
    outbox, saga = [await played(http, lesson) for lesson in ("outbox", "saga")]
    demanded = await demand(http, seller, agent, products[2])
    await stuck_refund(http, products[0])
    parked = await parked_message(http)
    trace = await trace_of(http, cancelled)
    return [
        Sight("start", "/web/"),
        Sight("two", "/web/two"),
        Sight("flow", "/web/flow"),
        Sight("flow-node", "/web/flow", "", "[data-place=refunds] summary", alike=True),
        Sight("lessons", "/web/lessons"),
        Sight("lesson", "/web/lessons/inbox", "", "#predict label >> nth=0"),
        Sight("lesson-seen", f"/web/lessons/outbox?order={outbox}"),
        *(
            Sight(f"lesson-{name}", f"/web/lessons/{name}", alike=True)
            for name in sorted({*NAMES} - {"inbox", "outbox"})
        ),
        Sight("lesson-removed", f"/web/lessons/saga?order={saga}", "", "#remove button", alike=True),
        Sight("lesson-own", "/web/lessons/own"),
        Sight("trace", f"/web/flow/stories/{trace}"),
        Sight("trace-missing", "/web/flow/stories/nothing", alike=True),
        Sight("docs", "/web/docs"),
        Sight("docs-orders", "/web/docs/orders#post-orders-order_id-cancel"),
        *(Sight(f"docs-{name}", f"/web/docs/{name}", alike=True) for name in SERVICES if name != "orders"),
        Sight("events", "/web/events#OrderCancelled"),
        Sight("nowhere", "/web/nowhere", alike=True),
        Sight("missing", "/orders/01a214c5-b79e-7352-95a9-c56f6d9b795d", "buyer"),
        Sight("shop", "/", "buyer"),
        Sight("product", f"/products/{products[0]}", "buyer"),
        Sight("orders", "/orders", "buyer"),
        Sight("order", f"/orders/{open_order}", "buyer"),
        Sight("order-cancel", f"/orders/{open_order}/cancel", "buyer"),
        Sight("order-unpaid", f"/orders/{unpaid}", "buyer", alike=True),
        Sight("order-delivered", f"/orders/{delivered}", "buyer", alike=True),
        Sight("orders-cancelled", "/orders?status=cancelled", "buyer", alike=True),
        Sight("order-cancelled", f"/orders/{cancelled}", "buyer"),
        Sight("order-part", f"/orders/{parted}", "buyer"),
        Sight("order-cancel-part", f"/orders/{parted}/cancel", "buyer", "dialog [value=part]"),
        Sight("order-shipped", f"/orders/{shipped}", "buyer"),
        Sight("wallet", "/wallet", "buyer"),
        Sight("inbox", "/chat", "buyer"),
        Sight("chat", f"/chat/{thread}", "buyer"),
        Sight("help", "/help", "buyer"),
        Sight("case", f"/help/{case}", "buyer"),
        Sight("case-over", f"/help/{old}", "buyer"),
        Sight("notifications", "/notifications", "buyer"),
        Sight("help-answer", "/help", "buyer", "main summary >> nth=0", alike=True),
        Sight("account", "/account", "buyer"),
        Sight("account-password", "/account", "buyer", "main summary >> nth=0", alike=True),
        Sight("seller-orders", "/", "seller"),
        Sight("seller-order", f"/orders/{open_order}", "seller"),
        Sight("seller-order-packed", f"/orders/{packed}", "seller", alike=True),
        Sight("seller-order-part", f"/orders/{parted}", "seller", alike=True),
        Sight("seller-order-cancelled", f"/orders/{cancelled}", "seller", alike=True),
        Sight("seller-inbox", "/chat", "seller"),
        Sight("seller-chat", f"/chat/{thread}", "seller"),
        Sight("seller-demand", f"/chat/{demanded}", "seller"),
        Sight("seller-cancel", f"/chat/{thread}", "seller", "[data-opens=seller-cancel]"),
        Sight("products", "/products", "seller"),
        Sight("products-add", "/products", "seller", "main summary >> nth=0", alike=True),
        Sight("vouchers", "/vouchers", "seller"),
        Sight("vouchers-add", "/vouchers", "seller", "main summary >> nth=0", alike=True),
        Sight("score", "/score", "seller"),
        Sight("seller-notifications", "/notifications", "seller"),
        Sight("webhooks", "/webhooks", "seller"),
        Sight("webhooks-add", "/webhooks", "seller", "main summary >> nth=0", alike=True),
        Sight("deliveries", f"/webhooks/{webhook}", "seller"),
        Sight("seller-account", "/account", "seller"),
        Sight("desk", "/", "agent"),
        Sight("agent-case", f"/cases/{case}", "agent"),
        Sight("agent-order", f"/cases/{case}#order", "agent"),
        Sight("agent-keys", "/", "agent", "[data-opens=keys]"),
        Sight("history", "/history", "agent"),
        Sight("agent-account", "/account", "agent"),
        Sight("console", "/", "operator"),
        Sight("console-parked", "/parked", "operator"),
        Sight("console-parked-open", "/parked", "operator", "main summary >> nth=0", alike=True),
        Sight("console-message", f"/message/cs/{parked}", "operator"),
        Sight("console-discard", f"/parked/cs/discard?ids={parked}", "operator"),
        Sight("console-replay", f"/parked/cs/replay?ids={parked}", "operator", alike=True),
        Sight("console-deadlines", "/deadlines", "operator"),
        Sight("console-refunds", "/refunds", "operator"),
        Sight("console-trace", f"/trace?id={cancelled}", "operator"),
        Sight("console-trace-wrong", "/trace?id=x", "operator", alike=True),
        Sight("console-audit", "/audit", "operator"),
        Sight("sign-in", "/web/s/a/sign-in", signed_out=True),
        Sight("sign-in-back", "/web/s/b/sign-in?back=/web/s/b/products", signed_out=True, alike=True),
        Sight("console-sign-in", "/web/operate/sign-in", signed_out=True, alike=True),
        Sight("register", "/web/s/a/register", signed_out=True),
    ]
