"""Take the pictures of pages that the README and docs/ show, in a headless Chromium.

    python docs/screenshots.py experiments/variants/page.html
    python docs/screenshots.py visualize.html visualize   # the whole page about a model, as one picture

It needs Chromium and pdftoppm on the PATH: apt-get install chromium poppler-utils.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

FOLDER = Path(__file__).resolve().parent / "pictures"
# name of the picture -> options of the browser window
WINDOWS = {
    "page": {"viewport": {"width": 1280, "height": 900}},
    "page-dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "page-phone": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2},
}
COLORS = 256  # of the palette: text and plots need no more, and the files are half as large


def take(browser: Browser, page: Path) -> None:
    """Take the picture of each window, and of the first printed sheet."""
    for name, options in WINDOWS.items():
        context = browser.new_context(**options)
        tab = context.new_page()
        tab.goto(page.as_uri())
        tab.screenshot(path=FOLDER / f"{name}.png")
        if name == "page":
            with tempfile.TemporaryDirectory() as folder:
                tab.pdf(path=f"{folder}/page.pdf", format="A4", print_background=True)
                command = ["pdftoppm", "-png", "-r", "110", "-f", "1", "-singlefile", f"{folder}/page.pdf"]
                subprocess.run([*command, str(FOLDER / "page-print")], check=True)
        context.close()


def take_whole(browser: Browser, page: Path, name: str) -> None:
    """Take one picture of a whole page."""
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    tab.goto(page.as_uri())
    tab.locator(".heads input").nth(12).check(force=True)
    tab.evaluate("scrollTo(0, 0)")
    tab.wait_for_timeout(600)  # the scroll is smooth
    tab.screenshot(path=FOLDER / f"{name}.png", full_page=True)


def main() -> None:
    """Take the pictures of one page, and reduce them to a palette."""
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page, name = Path(sys.argv[1]).resolve(), "".join(sys.argv[2:])
        if name:
            take_whole(browser, page, name)
        else:
            take(browser, page)
        browser.close()
    for path in sorted(FOLDER.glob(f"{name or 'page'}*.png")):
        Image.open(path).convert("RGB").quantize(COLORS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
            path, optimize=True
        )
        print(f"{path} {path.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
