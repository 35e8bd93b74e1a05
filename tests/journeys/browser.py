"""A person at a browser: the machine's own Chromium, and what no page may do, whoever looks at it."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, Request, Response

from registrations.person import Person
from tests.processes import wait_until

PHONE, DESK = 360, 1280
#: What a page may cost somebody who loads it for the first time, in bytes, headers included.
HEAVIEST = 60_000
PATIENCE = 20.0

HARMLESS = (
    # A page that tells of a mistake (422) is told of as well; `_responded` knows which answers are no good.
    "Failed to load resource",
    # A page that takes the focus is laid out before our style sheet has come and taken away Pico's images in data: URLs.
    # `faults` sees those that stay.
    "Loading the image 'data:image/svg+xml",
)

CHROMIUM = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
ARGUMENTS = [
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

BLOCKED_IMAGES = """
    [...document.querySelectorAll("*")].filter(element =>
        ["", "::before", "::after"].some(part => getComputedStyle(element, part).backgroundImage.includes("data:"))
    ).map(element => element.outerHTML.slice(0, 120))
"""


def find_chromium(environment: Mapping[str, str]) -> str:
    """Where the machine's Chromium is, by the names of `tools/need_chromium.sh`; a missing one fails the tests."""
    for name in (environment.get("CHROMIUM", ""), *CHROMIUM):
        if name and (found := shutil.which(name, path=environment.get("PATH", ""))):
            return found
    pytest.fail(
        "The browser tests need Chromium: install it (Debian: apt-get install chromium), or name it in CHROMIUM.",
        pytrace=False,
    )


class Device:
    """A browser with cookies of its own, as a phone or a desk has; remembers whatever its pages did wrong."""

    def __init__(
        self, browser: Browser, site: str, *, width: int = PHONE, javascript: bool = True, key_by_key: bool = False
    ) -> None:
        self.width = width
        self.key_by_key = key_by_key
        self.context = browser.new_context(
            base_url=site,
            viewport={"width": width, "height": 740 if width < 600 else 900},
            is_mobile=width < 600,
            java_script_enabled=javascript,
            reduced_motion="reduce",  # a page is looked at when it stands still
        )
        self.context.set_default_timeout(PATIENCE * 1000)
        self.complaints: list[str] = []
        self._host = urlsplit(site).netloc
        self.context.on("request", self._requested)
        self.context.on("response", self._responded)
        self.context.on("console", lambda said: self._heard(said.type, said.text, said.location["url"]))
        self.context.on("weberror", lambda error: self.complaints.append(f"error: {error.error}"))
        self.page: Page = self.context.new_page()
        self._asked: list[Request] = []

    def _requested(self, request: Request) -> None:
        if request.is_navigation_request() and not request.redirected_from and request.frame == self.page.main_frame:
            self._asked = []
        if not request.is_navigation_request() or request.frame == self.page.main_frame:
            self._asked.append(request)
        address = urlsplit(request.url)
        if address.scheme in ("http", "https", "ws", "wss") and address.netloc != self._host:
            self.complaints.append(f"another host was asked: {request.url}")

    def _responded(self, response: Response) -> None:
        of_page = response.request.is_navigation_request()
        if response.status >= (500 if of_page else 400):
            self.complaints.append(f"{response.status} for {response.url}")

    def _heard(self, kind: str, text: str, where: str) -> None:
        if kind in ("error", "warning") and not text.startswith(HARMLESS):
            self.complaints.append(f"console of {where}: {text}")

    # What a person does

    def open(self, path: str) -> None:
        self.page.goto(path)

    def press(self, name: str) -> None:
        """A form's button, and wait for the page that answers."""
        with self.page.expect_navigation():
            self.page.get_by_role("button", name=name, exact=True).click()

    def follow(self, name: str) -> None:
        """A link, whether it looks like a button or not, and wait for its page."""
        with self.page.expect_navigation():
            self.page.get_by_role("main").locator(f"a:text-is('{name}')").first.click()

    def type(self, label: str, text: str) -> None:
        """In place of what stands there."""
        box = self.page.get_by_label(label, exact=True)
        if self.key_by_key:
            box.clear()
            box.press_sequentially(text)
        else:
            box.fill(text)

    @property
    def path(self) -> str:
        return urlsplit(self.page.url).path

    @property
    def heading(self) -> str:
        return self.page.locator("h1").inner_text()

    @property
    def rung(self) -> str:
        """Where the status page says that I am."""
        return self.page.locator(".ladder li.current strong").inner_text().removesuffix(" Anda di sini").strip()

    def look_again_until(self, rung: str) -> None:
        """Without JavaScript nothing comes by itself."""
        wait_until(lambda: bool(self.page.reload()) and self.rung == rung, seconds=PATIENCE, what=rung)

    # The demo's mailbox and phone, in a tab beside

    def mailed_link(self, person: Person, subject: str) -> str:
        return self._in_newest(person.email, subject, r"https?://\S+")

    def texted_code(self, person: Person) -> str:
        return self._in_newest(person.phone, "", r"\b\d{6}\b")

    def _in_newest(self, to: str, subject: str, wanted: str) -> str:
        tab = self.context.new_page()
        messages = tab.locator("article.message").filter(has_text=f"Kepada {to} ").filter(has_text=subject)
        wait_until(
            lambda: bool(tab.goto("/mock/")) and messages.count() > 0, seconds=PATIENCE, what=f"a message to {to}, {subject}"
        )
        found = re.search(wanted, messages.first.inner_text())
        tab.close()  # in the background, it would be the other one that is slow
        assert found is not None
        return found[0]

    # What a page is measured by

    def first_load(self) -> None:
        """From now on, every page is loaded as if for the first time."""
        protocol = self.context.new_cdp_session(self.page)
        protocol.send("Network.enable")
        protocol.send("Network.setCacheDisabled", {"cacheDisabled": True})

    def weight(self) -> int:
        """Bytes that the page took, headers included."""
        self.page.wait_for_load_state("load")
        sizes = [request.sizes() for request in self._asked]
        return sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes)

    def overflow(self) -> int:
        """By how many pixels the page is wider than the screen."""
        return int(self.page.evaluate("document.documentElement.scrollWidth")) - self.width

    def faults(self, name: str) -> list[str]:
        """What is wrong with the page as it stands, in both colour schemes; keeps pictures where SCREENSHOTS says."""
        found = [f"{name}: {self.overflow()} px too wide"] if self.overflow() > 0 else []
        found += self._faults(name, "light", {})
        found += self._faults(name, "dark", {"runOnly": ["cat.color"]})  # the other rules do not look at colours
        self.page.emulate_media(color_scheme="light")
        return found

    def _faults(self, name: str, scheme: Literal["light", "dark"], rules: dict[str, Any]) -> list[str]:
        self.page.emulate_media(color_scheme=scheme)
        self._picture(name, scheme)
        blocked = [f"blocked image of {element}" for element in self.page.evaluate(BLOCKED_IMAGES)]
        return [f"{name}, {scheme}: {fault}" for fault in blocked + axe(self.page, rules)]

    def _picture(self, name: str, scheme: str) -> None:
        if folder := os.environ.get("SCREENSHOTS"):
            self.page.screenshot(path=Path(folder) / f"{name} {self.width} {scheme}.png", full_page=True)


def axe(page: Page, options: dict[str, Any]) -> list[str]:
    """The accessibility rules that the page breaks, and where."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    answer = page.evaluate("options => axe.run({resultTypes: ['violations'], ...options})", options)
    return [f"{rule['id']} at {', '.join(node['html'][:120] for node in rule['nodes'])}" for rule in answer["violations"]]


class Applicant:
    """Somebody who signs up, page by page, typing as people do."""

    def __init__(self, device: Device, person: Person) -> None:
        self.device = device
        self.person = person

    def give_email(self) -> None:
        self.device.type("Alamat surel (e-mail)", self.person.email)
        self.device.press("Lanjutkan")

    def give_identity(self, **typed: str) -> None:
        person, born = self.person, self.person.birth_date
        for label, text in {
            "Nama": person.name,
            "NIK": in_fours(typed.get("nik", person.nik)),
            "Nomor KK": in_fours(typed.get("kk", person.kk)),
            "Tanggal": str(born.day),
            "Bulan": str(born.month),
            "Tahun": str(born.year),
        }.items():
            self.device.type(label, text)
        self.device.page.get_by_label("Perempuan").check()
        self.device.press("Lanjutkan")

    def give_phone(self) -> None:
        self.device.type("Nomor HP", f"0{self.person.phone[3:]}")
        self.device.press("Lanjutkan")

    def tick_statement(self) -> None:
        page = self.device.page
        page.get_by_role("group", name="Apakah Anda warga negara Indonesia").get_by_label("Ya").check()
        page.get_by_role("group", name="Apakah Anda sedang sekolah").get_by_label("Tidak").check()
        page.get_by_label("Pendidikan terakhir yang ditamatkan").select_option("3")
        page.get_by_label("Apa kegiatan Anda sekarang?").select_option("1")
        page.get_by_label("Provinsi tempat tinggal").select_option("32")
        page.get_by_label("Saya menyatakan").check()

    def sign_up(self, **typed: str) -> None:
        self.device.open("/daftar/")
        self.give_email()
        self.give_identity(**typed)
        self.give_phone()
        self.tick_statement()
        self.device.press(SEND)

    def open_link(self) -> None:
        """The mailed one, and press its button."""
        self.device.open(self.device.mailed_link(self.person, CONFIRM))
        self.device.press("Ya, ini kotak surel saya")


SEND = "Setuju dan daftar"
CONFIRM = "Konfirmasi alamat surel Anda"


def in_fours(number: str) -> str:
    """As it is printed, and so as people type it: 3273 0142 0180 0000."""
    return " ".join(re.findall("....", number))
