"""A browser without a window, drawing in software, and its picture of a page.

As a program: `python tests/screenshot.py URL FILE.png [SECONDS [WIDTH HEIGHT]]`.
"""

import io
import shutil
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page, Playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_SOFTWARE = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


def new_page(driver: "Playwright", width: int, height: int) -> "Page":
    """An empty page of a browser of its own; `page.context.browser.close()` ends it."""
    browser = driver.chromium.launch(executable_path=CHROMIUM, args=_SOFTWARE)
    return browser.new_context(viewport={"width": width, "height": height}, color_scheme="dark").new_page()


def main(url: str, path: Path, seconds: float = 30.0, width: int = 1600, height: int = 900) -> None:
    """Open the page, give it time, keep what it looks like."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        page = new_page(driver, width, height)
        page.goto(url)
        threading.Event().wait(seconds)
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        page.context.browser.close()
    picture.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)  # a third of the bytes, and no difference to the eye


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *map(float, sys.argv[3:4]), *map(int, sys.argv[4:6]))
