"""Users with a browser each, who read and press what the pages show, in Indonesian."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from playwright.async_api import Browser, BrowserContext, Locator, Page, expect

from tests.browser.site import BrowserTarget
from tests.harness.actors import PASSWORD

PHONE: Mapping[str, Any] = {"viewport": {"width": 390, "height": 844}}
DESKTOP: Mapping[str, Any] = {"viewport": {"width": 1440, "height": 900}}


@dataclass(frozen=True)
class BrowserUser:
    """A user at seat `a`, with a browser of their own."""

    page: Page
    url: str
    name: str

    async def open(self, path: str) -> None:
        """Goes to a page of the seat."""
        await self.page.goto(f"{self.url}/web/s/a{path}")

    def button(self, name: str) -> Locator:
        """A button, by its words."""
        return self.page.get_by_role("button", name=name, exact=True)

    def link(self, name: str) -> Locator:
        """A link, by its words."""
        return self.page.get_by_role("link", name=name)

    async def sees(self, words: str) -> None:
        """Waits until the words can be read."""
        await expect(self.page.get_by_text(words).first).to_be_visible()

    async def says(self, words: str) -> None:
        """Writes into the open conversation."""
        await self.page.get_by_label("Tulis pesan").fill(words)
        await self.page.locator(".composer").get_by_role("button").click()  # works before scripts do; Enter does not
        await expect(self.page.locator(".said.mine", has_text=words)).to_be_visible()

    async def reads(self, words: str) -> None:
        """Waits until the open conversation shows the words."""
        await expect(self.page.locator(".said", has_text=words).first).to_be_visible()

    async def signs_up(self, role: str) -> None:
        """Registers on the page for it."""
        await self.open("/register")
        await self.page.get_by_label("Nama").fill(self.name)
        await self.page.get_by_label("Email").fill(f"{token_hex(6)}@example.com")
        await self.page.get_by_label("Kata sandi").fill(PASSWORD)
        await self.page.get_by_label("Menjual" if role == "seller" else "Membeli").check()
        await self.button("Daftar").click()
        await self.sees("Akun Anda siap")

    async def offers(self, title: str) -> None:
        """A seller puts something up."""
        await self.open("/products")
        await self.page.locator("summary", has_text="Tambah produk").click()
        await self.page.get_by_label("Nama produk").fill(title)
        await self.page.get_by_label("Harga (rupiah)").fill("145.000")
        await self.button("Tambah produk").click()
        await self.sees("Produk ditambahkan.")

    async def orders(self, title: str, quantity: int = 1, voucher: str = "") -> None:
        """A buyer orders some pieces, perhaps with a voucher's code."""
        await self.open("/")
        await self.link(title).click()
        await self.page.get_by_label("Jumlah").fill(str(quantity))
        await self.page.get_by_label("Kode voucher (opsional)").fill(voucher)
        await self.button("Buat pesanan").click()

    async def pays(self, price: str = "Rp145.000") -> str:
        """The buyer pays the order that the page shows; returns its path."""
        await self.button(f"Bayar {price}").click()
        await self.sees("Pembayaran diterima.")
        return self.page.url.partition("/web/s/a")[2]

    async def buys(self, title: str) -> str:
        """A buyer orders one and pays; returns the path of the order."""
        await self.orders(title)
        return await self.pays()

    async def chooses(self, pieces: int) -> None:
        """Has the cancel dialog take so many pieces of the order's one product."""
        await self.page.get_by_label("Sebagian saja").check()
        await self.page.get_by_label("Tersisa").fill(str(pieces))


class BrowserUsers:
    """The users of one test, in one browser program, each with cookies of their own."""

    def __init__(self, browser: Browser, site: BrowserTarget) -> None:
        self.site = site
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []
        """What went wrong in scripts, or was stopped by the content security policy."""

    async def visitor(self, name: str, screen: Mapping[str, Any] = DESKTOP, **options: Any) -> BrowserUser:
        """A new user without a sign-in."""
        context = await self._browser.new_context(locale="id-ID", **{**screen, **options})
        self._contexts.append(context)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("console", lambda said: self._note(said.text))
        return BrowserUser(await context.new_page(), self.site.url, name)

    def _note(self, text: str) -> None:
        if "Content Security Policy" in text or "Uncaught" in text:
            self.complaints.append(text)

    async def buyer_and_seller(self, screen: Mapping[str, Any] = DESKTOP) -> tuple[BrowserUser, BrowserUser, str]:
        """A new buyer, a new seller, and the title of the seller's product, which no other seller has."""
        title = f"Kopi {token_hex(4)}"
        buyer, seller = await asyncio.gather(self.buyer(screen), self.seller(title))
        return buyer, seller, title

    async def buyer(self, screen: Mapping[str, Any] = DESKTOP) -> BrowserUser:
        """A new buyer."""
        person = await self.visitor(f"Siti {token_hex(3)}", screen)
        await person.signs_up("buyer")
        return person

    async def seller(self, title: str) -> BrowserUser:
        """A new seller, who offers something under this title."""
        person = await self.visitor(f"Toko {token_hex(3)}")
        await person.signs_up("seller")
        await person.offers(title)
        return person

    async def agent(self) -> BrowserUser:
        """The agent of the demonstration."""
        person = await self.visitor("Layanan Pelanggan")
        await person.open("/sign-in")
        await person.button("Petugas").click()
        await person.sees("Dasbor CS")
        return person

    async def leave(self) -> None:
        """Closes all windows."""
        while self._contexts:
            await self._contexts.pop().close()
