"""Make the pictures of pages in docs/: what `explore` shows of a bundle with maps, in headless Chromium.

uv run --group dev python benchmarks/screenshots.py data/indexes/smollm2-135m
"""

import argparse
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from explore import start
from PIL import Image
from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).parent.parent / "docs"
MOST_BYTES = 150_000
SETTLED_MS = 1500  # after which a map is drawn finely


def nothing(page: Page) -> None:
    """Leave a page as it is opened."""


def brushed(page: Page) -> None:
    """Open a histogram, brush it, and open the table."""
    page.locator(".filters > summary").click()
    part = page.locator(".filters details[data-name=hubness]")
    part.locator("summary").click()
    part.locator("input[name=from]").fill("100")
    page.locator(".tokens > summary").click()


PAGES: dict[str, tuple[str, tuple[int, int], Callable[[Page], None]]] = {
    "map": ("?color=kind", (1280, 800), nothing),
    "map-beside": ("?beside&token=3925&color=kept_causal", (1280, 800), nothing),
    "map-filtered": ("?color=density_distinct", (1280, 800), brushed),
    "token-page": ("token/3925", (1280, 800), nothing),
    "map-phone": ("?token=3925&color=kind", (390, 844), nothing),
}
"""By the names of their pictures: an address, the window, and what is done there."""


def main() -> None:
    """Read the options and write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    options = parser.parse_args()
    process, address = start(options.bundle)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        executable = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=executable, args=arguments)
        for name, (path, (width, height), act) in PAGES.items():
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(120_000)
            page.goto(address + path)
            if page.locator(".plane").count():
                page.locator('.plane[aria-busy="false"]').last.wait_for()
            act(page)
            page.wait_for_timeout(SETTLED_MS)
            print(f"{name}.webp  {keep(page.screenshot(), DOCS / f'{name}.webp'):,} bytes")
        browser.close()
    process.kill()
    process.wait()


def keep(png: bytes, path: Path) -> int:
    """Write a picture as WebP, as finely as `MOST_BYTES` allow; return its size."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    for quality in (90, 80, 70, 60, 50, 40):
        picture.save(path, "WEBP", quality=quality, method=6)
        if path.stat().st_size <= MOST_BYTES:
            break
    return path.stat().st_size


if __name__ == "__main__":
    main()
