"""The four ways to cancel, each walked from the first page to the money."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from secrets import token_hex

from playwright.async_api import expect

from tests.browser.users import DESKTOP, PHONE, BrowserUsers, Person

FIRST = "Halo Kak, saya ingin membatalkan."
"""The buyer's first message to the seller."""
Advance = Callable[[timedelta], Awaitable[None]]


def something() -> str:
    """The title of a product that no other seller has."""
    return f"Kopi {token_hex(4)}"


async def by_app(users: BrowserUsers) -> None:
    """Way 1: on a phone, from the profile, with a reason."""
    title = something()
    await users.seller(title)
    buyer = await users.buyer(PHONE)
    await buyer.buys(title)
    await buyer.link("Akun").click()
    await buyer.sees("Anda masuk lewat aplikasi.")
    await buyer.link("Sedang diproses").click()
    await buyer.link(title).click()
    await buyer.sees("Masih bisa dibatalkan 23 jam 59 menit")
    await buyer.link("Batalkan pesanan").click()
    await buyer.page.get_by_label("Berubah pikiran").check()
    await buyer.button("Batalkan pesanan").click()
    await buyer.sees("Pesanan dibatalkan oleh pembeli lewat aplikasi")
    await buyer.sees("Alasan: Berubah pikiran")
    await has_money_back(buyer, "Lazada Kredit")
    await buyer.open("/wallet")
    await expect(buyer.page.locator(".balance")).to_contain_text("Rp145.000")


async def by_website(users: BrowserUsers) -> None:
    """Way 2: on a desktop, skipping the reason, with DANA linked."""
    title = something()
    await users.seller(title)
    buyer = await users.buyer(DESKTOP)
    await buyer.open("/wallet")
    await buyer.page.get_by_label("Nomor ponsel DANA").fill("0812 3456 7890")
    await buyer.button("Hubungkan DANA").click()
    await buyer.sees("Terhubung ke +62")
    await buyer.buys(title)
    await buyer.link("Batalkan pesanan").click()
    await buyer.sees("tercatat lewat situs web")
    await buyer.button("Lewati alasan dan batalkan").click()
    await buyer.sees("Pesanan dibatalkan oleh pembeli lewat situs web")
    await buyer.sees("Tanpa alasan")
    await has_money_back(buyer, "DANA")


async def by_guide(users: BrowserUsers) -> None:
    """Way 3: the seller answers with the guide, whose card opens the cancel dialog of that very order."""
    title = something()
    seller = await users.seller(title)
    buyer = await users.buyer(PHONE)
    await talk(buyer, seller, title)
    await seller.button("Kirim panduan").click()
    await buyer.reads("Cara membatalkan pesanan ini")
    conversation = buyer.page.url
    await buyer.page.locator(".said.guide").get_by_role("link", name="Batalkan pesanan").click()
    await expect(buyer.page.get_by_role("dialog")).to_be_visible()
    await buyer.button("Lewati alasan dan batalkan").click()
    await buyer.sees("Pesanan dibatalkan oleh pembeli")
    await buyer.page.goto(conversation)
    await seller.reads("Pesanan dibatalkan oleh pembeli lewat aplikasi")
    await buyer.page.locator("[data-quick]").first.click()
    await seller.reads("terima kasih banyak atas bantuannya")
    await expect(buyer.page.locator("[data-quick]")).to_have_count(0)


async def by_seller(users: BrowserUsers) -> None:
    """Way 3 as well: the seller cancels, having been shown what it costs."""
    title = something()
    seller = await users.seller(title)
    buyer = await users.buyer()
    await talk(buyer, seller, title)
    await seller.button("Kirim panduan").click()
    guide = buyer.page.locator(".said.guide").get_by_role("link")
    await expect(guide).to_have_count(1)
    await seller.button("Batalkan sendiri").click()
    await seller.sees("Skor turun dari 5,0 menjadi 1,0")
    await seller.page.get_by_label("Alasan (opsional)").fill("Stok habis")
    await seller.button("Ya, batalkan dan terima akibatnya").click()
    await buyer.reads("Pesanan dibatalkan oleh penjual")
    await expect(guide).to_have_count(0)  # there is nothing left that it could lead to
    await buyer.reads("Uang Rp145.000 sudah kembali sepenuhnya ke Lazada Kredit.")
    await seller.open("/score")
    await seller.sees("1 / 1 = 100,0%")


async def by_customer_service(users: BrowserUsers, advance: Advance) -> None:
    """Way 4: the seller is silent for 24 hours after customer service wrote, and the platform cancels the order."""
    title = something()
    seller = await users.seller(title)
    buyer = await users.buyer(PHONE)
    await buyer.buys(title)
    agent = await users.agent()
    await off_duty(agent)
    await asks_for_help(buyer, "Penjual tidak menjawab.")
    await buyer.sees("Anda nomor 1 di antrean")
    await agent.button("Mulai bertugas").click()
    await agent.reads("Penjual tidak menjawab.")
    await buyer.reads("bergabung.")
    await agent.says("Boleh minta data pesanannya?")
    await buyer.reads("Boleh minta data pesanannya?")
    await buyer.page.get_by_label("Pesanan yang mana?").select_option(index=0)
    await buyer.button("Bagikan pesanan").click()
    await expect(agent.page.locator(".facts")).to_contain_text(title)
    await agent.page.locator("summary", has_text="Hubungi penjual").click()
    await agent.button("Hubungi penjual").click()
    await agent.sees("Sisa waktu penjual: 23 jam 59 menit")
    await buyer.sees("Penjual punya waktu 23 jam 59 menit lagi.")
    await seller.open("/chat")
    await seller.sees("Layanan pelanggan bertanya")
    await advance(timedelta(hours=24, seconds=1))
    await buyer.reads("Penjual tidak menjawab dan tidak memproses pesanan dalam 24 jam.")
    await buyer.reads("Rp145.000 sudah kembali sepenuhnya ke Lazada Kredit.")
    await expect(buyer.page.get_by_label("Tulis pesan")).to_have_count(0)
    await buyer.page.get_by_label("5 dari 5").check(force=True)
    await buyer.button("Kirim nilai").click()
    await buyer.sees("Nilai Anda: 5 dari 5.")
    await agent.open("/history")
    await agent.sees("Nilai 5 dari 5")


async def talk(buyer: Person, seller: Person, title: str) -> None:
    """The buyer orders and writes to the seller, who opens the conversation from the inbox."""
    await buyer.buys(title)
    await buyer.button("Chat Seller").click()
    await buyer.says(FIRST)
    await seller.open("/chat")
    await seller.link(buyer.name).click()
    await seller.reads("saya ingin membatalkan")


async def asks_for_help(buyer: Person, words: str) -> None:
    """The buyer opens a case."""
    await buyer.open("/help")
    await buyer.page.get_by_label("Ada masalah apa?").fill(words)
    await buyer.button("Mulai Live Chat").click()
    await buyer.reads(words)


async def off_duty(agent: Person) -> None:
    """Sees to it that the agent is not on duty."""
    if await agent.button("Selesai bertugas").count():
        await agent.button("Selesai bertugas").click()
    await expect(agent.button("Mulai bertugas")).to_be_visible()


async def has_money_back(buyer: Person, destination: str) -> None:
    """The order's page shows that the money has arrived."""
    await buyer.sees(f"Rp145.000 sudah kembali sepenuhnya ke {destination}.")
