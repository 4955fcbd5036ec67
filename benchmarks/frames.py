"""How many pictures a second the map draws while it is moved, with no graphics card.

python benchmarks/frames.py data/indexes/smollm2-135m --points 151936

In headless Chromium (CHROMIUM, or `chromium` of the path), 1280 x 800, of a bundle with maps. With `--points` the page
is given so many points, drawn at random in clumps, in place of the bundle's: the page alone is measured. Moved by keys,
with each picture, from the whole map and from nearer, colored, filtered, and beside the other map. A picture is one of
`requestAnimationFrame`, and the next one waits for all that the page does. Processor: of the page's main thread, for
each picture, which depends less on what else runs. With `--least 30` it ends with 1 where the processor could draw
fewer in a second.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from explore import start
from playwright.sync_api import CDPSession, Page, Route, sync_playwright

SIZE = {"width": 1280, "height": 800}
MOVES = """async (moves) => {
    const canvas = document.querySelector(".plane canvas");
    const keys = ["ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown"];
    const times = [];
    let before = await new Promise(requestAnimationFrame);
    for (let move = 0; move < moves; move += 1) {
        canvas.dispatchEvent(new KeyboardEvent("keydown", { key: keys[move % 4] }));
        const now = await new Promise(requestAnimationFrame);
        times.push(now - before);
        before = now;
    }
    return times;
}"""
"""Moves the map with each picture; the first one comes before anything was drawn."""


def main() -> None:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--points", type=int, help="in place of the bundle's own")
    parser.add_argument("--moves", type=int, default=60)
    parser.add_argument("--least", type=float, default=0, help="pictures a second, by the processor's time")
    options = parser.parse_args()
    process, address = start(options.bundle)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        executable = os.environ.get("CHROMIUM") or shutil.which("chromium")
        page = playwright.chromium.launch(executable_path=executable, args=arguments).new_page(viewport=SIZE)
        if options.points is not None:
            page.route("**/map/**", clumps(options.points))
        metrics = page.context.new_cdp_session(page)
        metrics.send("Performance.enable", {"timeDomain": "threadTicks"})
        print(f"\n{'':<34}{'median ms':>10}{'90th':>8}{'a second':>10}{'processor ms':>14}")
        slowest = 0.0
        colored = "?color=number&only=number:100,250"
        for what, query in (("whole", ""), ("colored and filtered", colored), ("beside each other", "?beside")):
            page.goto(address + query)
            page.locator('.plane[aria-busy="false"]').first.wait_for(timeout=120_000)
            slowest = max(slowest, tell(f"{what}, from afar", *moved(page, metrics, options.moves)))
            for _ in range(6):
                page.locator(".zoom button[value=closer]").first.click()
            slowest = max(slowest, tell(f"{what}, from near", *moved(page, metrics, options.moves)))
    process.kill()
    process.wait()
    if 1000 / slowest < options.least:
        sys.exit(f"{1000 / slowest:.0f} pictures a second, and {options.least:g} are wanted")


def tell(what: str, milliseconds: np.ndarray, processor: float) -> float:
    """Print the median and the 90th percentile of the times between pictures, and the processor's; return that."""
    median, most = np.median(milliseconds), np.percentile(milliseconds, 90)
    print(f"{what:<34}{median:>10.1f}{most:>8.1f}{1000 / median:>10.0f}{processor:>14.1f}", flush=True)
    return processor


def moved(page: Page, metrics: CDPSession, moves: int) -> tuple[np.ndarray, float]:
    """Move the first map about: the milliseconds from one picture to the next, and those of the processor for each."""
    before = busy(metrics)
    times = page.evaluate(MOVES, moves)
    return np.array(times[1:]), 1000 * (busy(metrics) - before) / moves


def busy(metrics: CDPSession) -> float:
    """Return the processor's seconds of the page's main thread so far."""
    found = metrics.send("Performance.getMetrics")["metrics"]
    return next(each["value"] for each in found if each["name"] == "TaskDuration")


def clumps(points: int) -> Callable[[Route], None]:
    """Return what answers the scripts of the map with points in two hundred clumps."""
    random = np.random.default_rng(0)
    centers = random.normal(size=(200, 2)) * 40
    places = (centers[random.integers(200, size=points)] + random.normal(size=(points, 2)) * 3).astype("<f4")
    ids = np.arange(points, dtype="<i4")
    column = {"name": "number", "title": "number", "meaning": "", "low": 0, "high": 1, "scale": "linear", "steps": 250}
    apart: dict[str, list[int]] = {"causal": [], "cosine": []}
    names = {"texts": [f"token{number}" for number in ids], "order": ids.tolist(), "apart": apart}

    def answer(route: Route) -> None:
        match route.request.url.split("/map/")[1].split("/")[1:]:
            case []:
                route.fulfill(body=places.T.tobytes() + ids.tobytes())
            case ["places", _]:
                route.fulfill(body=places.T.tobytes())
            case ["names"]:
                route.fulfill(body=json.dumps(names), content_type="application/json")
            case ["colorings"]:
                route.fulfill(body=json.dumps([column]), content_type="application/json")
            case _:
                route.fulfill(body=(ids % 250).astype("u1").tobytes())

    return answer


if __name__ == "__main__":
    main()
