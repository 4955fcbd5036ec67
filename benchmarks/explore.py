"""How soon `query.py explore` shows its first page, answers a click, suggests, and how much memory it takes.

python benchmarks/explore.py data/indexes/smollm2-135m

In headless Chromium (CHROMIUM, or `chromium` of the path). A start ends with the last row of the page's tables; a click
ends, by the browser's clock, when the page is whole and painted.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parent.parent
LAST_ROW = "main table >> nth=-1 >> tr >> nth=-1"
LINKS = "table[data-geometry] a"
FETCH = """async (path) => {
    const began = performance.now();
    await (await fetch(path)).text();
    return performance.now() - began;
}"""
CLICK = """([links, place]) => {
    const clicked = Date.now();
    document.querySelectorAll(links)[place].click();
    return clicked;
}"""
PAINTED = """async () => {
    const painted = () => performance.getEntriesByName("first-contentful-paint")[0];
    while (!painted()) await new Promise(requestAnimationFrame);
    const [visit] = performance.getEntriesByType("navigation");
    return performance.timeOrigin + Math.max(painted().startTime, visit.domContentLoadedEventEnd);
}"""
"""When a page was whole and painted, by the clock of `Date.now`."""

ANALOGY = "analogy?terms=%230%20-%20%231%20%2B%20%232"


def main() -> None:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--clicks", type=int, default=40)
    options = parser.parse_args()
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=executable, args=arguments)
        page = browser.new_page()
        print(f"\n{options.bundle.name}, milliseconds{'':>20} {'median':>8} {'worst':>8}")
        for what, path in (("start to first view", ""), ("start to a token's page", "token/5")):
            tell(what, [first_view(options.bundle, page, path) for _ in range(options.starts)])
        walk(options.bundle, page, options.clicks)
        browser.close()


def tell(what: str, seconds: list[float]) -> None:
    """Print the median and the worst of some times."""
    print(f"{what:<40} {np.median(seconds) * 1e3:>8.0f} {max(seconds) * 1e3:>8.0f}")


def start(bundle: Path) -> tuple[subprocess.Popen[str], str]:
    """Start the server on a free port: the process and its address."""
    command = [sys.executable, str(ROOT / "query.py"), "explore", "--index", str(bundle), "--port", "0"]
    process = subprocess.Popen([*command, "--no-browser"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def first_view(bundle: Path, page: Page, path: str) -> float:
    """Return the seconds from a server's start until a page is shown."""
    began = time.perf_counter()
    process, address = start(bundle)
    page.goto(address + path, wait_until="commit")
    page.locator(LAST_ROW).wait_for()
    seconds = time.perf_counter() - began
    page.goto("about:blank")
    process.kill()
    process.wait()
    return seconds


def walk(bundle: Path, page: Page, clicks: int) -> None:
    """Follow links from token to token, then ask for everything else."""
    process, address = start(bundle)
    page.goto(f"{address}token/5")
    random = np.random.default_rng(0)
    shown, drawn = [], []
    for _ in range(clicks):
        place = int(random.integers(page.locator(LINKS).count()))
        following = page.locator(LINKS).nth(place).get_attribute("href")
        clicked = page.evaluate(CLICK, [LINKS, place])
        page.wait_for_url(f"**{following}")
        shown.append((page.evaluate(PAINTED) - clicked) / 1e3)
        began = time.perf_counter()
        page.locator(".charts").scroll_into_view_if_needed()
        page.locator(".chart svg").nth(4).wait_for()
        drawn.append(time.perf_counter() - began)
    tell("click to the next token's page", shown)
    tell("scroll to its charts", drawn)
    tell("suggestions", timed(page, address, [f"suggest?q={typed}" for typed in ("p", "pl", "planet", "planett")] * 3))
    tell("analogy", timed(page, address, [ANALOGY] * 5))
    tell("vocabulary, first time", timed(page, address, ["vocabulary"]))
    tell("vocabulary, then", timed(page, address, ["vocabulary"] * 5))
    print(f"{'memory of its own, MB':<40} {private_bytes(process.pid) / 1e6:>8.0f}")
    process.kill()
    process.wait()


def timed(page: Page, address: str, paths: list[str]) -> list[float]:
    """Return the seconds of each request, by the browser's clock."""
    return [page.evaluate(FETCH, address + path) / 1e3 for path in paths]


def private_bytes(pid: int) -> int:
    """Return the memory of a process that is not of files it maps."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


if __name__ == "__main__":
    main()
