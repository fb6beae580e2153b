"""The four ways to cancel, each walked from the first page to the money."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from playwright.async_api import expect

from tests.browser.users import DESKTOP, PHONE, BrowserUser, BrowserUsers

FIRST = "Halo Kak, saya ingin membatalkan."
"""The buyer's first message to the seller."""


async def by_app(users: BrowserUsers) -> None:
    """Way 1: on a phone, from the profile, with a reason."""
    buyer, _, title = await users.buyer_and_seller(PHONE)
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
    """Way 2: on a desktop, without a reason, with DANA linked."""
    buyer, _, title = await users.buyer_and_seller()
    await links_dana(buyer)
    await buyer.buys(title)
    await buyer.link("Batalkan pesanan").click()
    await buyer.sees("tercatat lewat situs web")
    await buyer.button("Batalkan pesanan").click()
    await buyer.sees("Pesanan dibatalkan oleh pembeli lewat situs web")
    await buyer.sees("Tanpa alasan")
    await has_money_back(buyer, "DANA •••7890")


async def by_guide(users: BrowserUsers) -> None:
    """Way 3: the seller answers with the guide, whose card opens the cancel dialog of that very order."""
    buyer, seller = await talking(users, PHONE)
    await seller.button("Kirim panduan").click()
    await buyer.reads("Cara membatalkan pesanan ini")
    conversation = buyer.page.url
    await buyer.page.locator(".said.guide").get_by_role("link", name="Batalkan pesanan").click()
    await expect(buyer.page.get_by_role("dialog")).to_be_visible()
    await buyer.button("Batalkan pesanan").click()
    await buyer.sees("Pesanan dibatalkan oleh pembeli")
    await buyer.page.goto(conversation)
    await seller.reads("Pesanan dibatalkan oleh pembeli lewat aplikasi")
    await buyer.page.locator("[data-quick]").first.click()
    await seller.reads("terima kasih banyak atas bantuannya")
    await expect(buyer.page.locator("[data-quick]")).to_have_count(0)


async def by_seller(users: BrowserUsers) -> None:
    """Way 3 as well: the seller cancels, having been shown what it costs."""
    buyer, seller = await talking(users)
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


async def by_customer_service(users: BrowserUsers) -> None:
    """Way 4: the seller is silent for 24 hours after customer service wrote, and the platform cancels the order."""
    buyer, seller, title = await users.buyer_and_seller(PHONE)
    await buyer.buys(title)
    agent = await users.agent()
    if await agent.button("Selesai bertugas").count():
        await agent.button("Selesai bertugas").click()
    await expect(agent.button("Mulai bertugas")).to_be_visible()
    await buyer.open("/help")
    await buyer.page.get_by_label("Ada masalah apa?").fill("Penjual tidak menjawab.")
    await buyer.button("Mulai Live Chat").click()
    await buyer.reads("Penjual tidak menjawab.")
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
    await users.site.advance(timedelta(hours=24, seconds=1))
    await buyer.reads("Penjual tidak menjawab dan tidak memproses pesanan dalam 24 jam.")
    await buyer.reads("Rp145.000 sudah kembali sepenuhnya ke Lazada Kredit.")
    await expect(buyer.page.get_by_label("Tulis pesan")).to_have_count(0)
    await buyer.page.get_by_label("5 dari 5").check(force=True)
    await buyer.button("Kirim nilai").click()
    await buyer.sees("Nilai Anda: 5 dari 5.")
    await agent.open("/history")
    await agent.sees("Nilai 5 dari 5")


async def part_by_website(users: BrowserUsers) -> None:
    """A part on the website: with a voucher, of three pieces two, and then the rest; all that was paid comes back."""
    buyer, seller, title = await users.buyer_and_seller(PHONE)
    await seller.open("/vouchers")
    await seller.page.locator("summary", has_text="Buat voucher").click()
    await seller.page.get_by_label("Kode").fill("HEMAT")
    await seller.page.get_by_label("Potongan (rupiah)").fill("30.000")
    await seller.button("Buat voucher").click()
    await seller.sees("Tersisa 100 dari 100")
    await buyer.orders(title, 3, "SALAH")
    await buyer.sees("Voucher ini tidak bisa dipakai")
    await buyer.page.get_by_label("Kode voucher (opsional)").fill("HEMAT")
    await buyer.button("Buat pesanan").click()
    await buyer.pays("Rp405.000")
    await buyer.link("Batalkan pesanan").click()
    await buyer.chooses(2)
    await buyer.sees("Rp135.000 kembali per buah")
    await buyer.button("Batalkan pesanan").click()
    await buyer.sees("Sebagian pesanan dibatalkan.")
    await buyer.sees("2 dari 3 dibatalkan")
    await buyer.sees("Rp270.000 sudah kembali sepenuhnya ke Lazada Kredit.")
    await buyer.link("Batalkan pesanan").click()
    await buyer.button("Batalkan pesanan").click()
    await buyer.sees("Rp135.000 sudah kembali sepenuhnya ke Lazada Kredit.")
    await buyer.open("/wallet")
    await expect(buyer.page.locator(".balance")).to_contain_text("Rp405.000")
    await seller.open("/vouchers")
    await seller.sees("Tersisa 100 dari 100")


async def part_by_seller(users: BrowserUsers) -> None:
    """A part by chat: the seller cancels one of two pieces, and the order goes on."""
    buyer, seller, title = await users.buyer_and_seller()
    await buyer.orders(title, 2)
    order = await buyer.pays("Rp290.000")
    await buyer.button("Chat Seller").click()
    await buyer.says(FIRST)
    await seller.open("/chat")
    await seller.link(buyer.name).click()
    await seller.button("Batalkan sendiri").click()
    await seller.chooses(1)
    await seller.button("Ya, batalkan dan terima akibatnya").click()
    await buyer.reads("Uang Rp145.000 sudah kembali sepenuhnya ke Lazada Kredit.")
    await buyer.open(order)
    await buyer.sees("1 dari 2 dibatalkan")
    await seller.open(order)
    await seller.button("Kemas").click()
    await seller.sees("Pesanan dikemas.")
    await seller.open("/score")
    await seller.sees("1 / 2 = 50,0%")


WAYS = (by_app, by_website, by_guide, by_seller, by_customer_service, part_by_website, part_by_seller)


async def bought(users: BrowserUsers, screen: Mapping[str, Any] = DESKTOP) -> tuple[BrowserUser, BrowserUser, str]:
    """A new buyer, who has ordered and paid, the seller, and the path of the order, whose page the buyer sees."""
    buyer, seller, title = await users.buyer_and_seller(screen)
    return buyer, seller, await buyer.buys(title)


async def talking(users: BrowserUsers, screen: Mapping[str, Any] = DESKTOP) -> tuple[BrowserUser, BrowserUser]:
    """A new buyer, who has written about an order, and the seller, who opens the conversation from the inbox."""
    buyer, seller, _ = await bought(users, screen)
    await buyer.button("Chat Seller").click()
    await buyer.says(FIRST)
    await seller.open("/chat")
    await seller.link(buyer.name).click()
    await seller.reads("saya ingin membatalkan")
    return buyer, seller


async def links_dana(buyer: BrowserUser) -> None:
    """The buyer's refunds go to DANA from now on."""
    await buyer.open("/wallet")
    await buyer.page.get_by_label("Nomor ponsel DANA").fill("0812 3456 7890")
    await buyer.button("Hubungkan DANA").click()
    await buyer.sees("Terhubung ke +62")


async def has_money_back(buyer: BrowserUser, destination: str) -> None:
    """The order's page shows that the money has arrived."""
    await buyer.sees(f"Rp145.000 sudah kembali sepenuhnya ke {destination}.")
