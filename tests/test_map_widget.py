"""`vocabulary.map()`: in a frame, as a notebook shows it, the map asks the kernel and says what is picked."""

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from browsing import bundle_of, chromium, on_a_grid, with_map
from PIL import Image
from playwright.sync_api import Browser, expect

import index
from index.api import OpenVocabulary
from index.pictures.explore import map as explore_map
from index.pictures.explore import widget
from index.pictures.explore.colorings import category
from index.pictures.explore.opened import OpenedBundle
from index.pictures.explore.widget import MapPicture, answer

TEXTS = [f"token{place}" for place in range(60)] + ["</script><script>hacked=1//"]

HOST = """async (esm) => {
    const values = { page: await page(), height: 500, token: null };
    const heard = [];
    window.model = {
        get: (name) => values[name],
        set: (name, value) => (values[name] = value),
        save_changes: () => saved(values.token),
        on: (_, act) => heard.push(act),
        off: () => {},
        send: async ({ number, address }) => {
            const answer = await ask(address);
            heard.forEach((act) => act({ number, answer }));
        },
    };
    const module = await import(URL.createObjectURL(new Blob([esm], { type: "text/javascript" })));
    module.default.render({ model, el: document.body });
}"""
"""What a notebook is to a widget."""


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> OpenVocabulary:
    """One with a map."""
    opened = index.open(bundle_of(tmp_path_factory.mktemp("widget"), TEXTS))
    with_map(opened.folder, on_a_grid(len(TEXTS), 8))
    return opened


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def test_the_widget_in_a_browser(vocabulary: OpenVocabulary, browser: Browser) -> None:
    shown = vocabulary.map("token7", color="hubness")
    opened = OpenedBundle(vocabulary, explore_map.default_path(vocabulary.folder))
    context = browser.new_context(viewport={"width": 1100, "height": 700})
    page = context.new_page()
    complaints: list[str] = []
    saved: list[int | None] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.expose_function("ask", lambda address: json.dumps(answer(opened, address)))
    page.expose_function("page", lambda: shown.page)
    page.expose_function("saved", lambda token: saved.append(token))
    page.evaluate(HOST, type(shown)._esm if isinstance(type(shown)._esm, str) else shown._esm)
    frame = page.frame_locator("iframe")
    expect(frame.locator(".plane").first).to_have_attribute("aria-busy", "false")
    expect(frame.locator(".picked h2")).to_contain_text("token7 #7")
    assert frame.locator(".names a").count() > 10
    expect(frame.locator("select[name=color]")).to_have_value("hubness")
    frame.locator(".names a", has_text="token30").first.click(force=True)
    expect(frame.locator("body")).to_be_visible()
    page.wait_for_function("() => window.model.get('token') === 30")
    assert saved[-1] == 30
    assert complaints == []
    context.close()


def test_what_the_scripts_ask_for(vocabulary: OpenVocabulary) -> None:
    opened = OpenedBundle(vocabulary, explore_map.default_path(vocabulary.folder))
    assert opened.map is not None
    source = f"/map/{opened.map.fingerprint}"
    assert answer(opened, f"{source}/names")["texts"][3] == "token3"
    assert set(answer(opened, f"{source}/near/3")["lists"]) == {"causal", "cosine"}
    assert isinstance(answer(opened, source), str)
    for wrong in (f"{source}/near/999", f"{source}/coloring/nothing", f"{source}/secret", "/token/1", ""):
        assert answer(opened, wrong) is None


def test_a_picture_without_anywidget(vocabulary: OpenVocabulary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(widget, "find_spec", lambda name: None)
    shown = vocabulary.map("token7")
    assert isinstance(shown, MapPicture)
    viridis = {(68, 1, 84), (253, 231, 37)}  # of the lowest and the highest
    assert not viridis & pixels(shown)
    assert viridis <= pixels(vocabulary.map("token7", color="hubness"))
    two = category("kind", "kind", "", ["one", "two"] * (len(TEXTS) // 2) + ["one"])
    monkeypatch.setattr("index.pictures.explore.opened.colorings", lambda *_: {"kind": two})
    assert {(31, 119, 180), (174, 199, 232)} <= pixels(vocabulary.map(color="kind"))


def pixels(picture: MapPicture) -> set[tuple[int, ...]]:
    """The colors of a picture."""
    drawn = Image.open(BytesIO(picture._repr_png_()))
    assert drawn.format == "PNG"
    return {color for _, color in drawn.convert("RGB").getcolors(drawn.width * drawn.height) or ()}


def test_what_is_refused(vocabulary: OpenVocabulary, tmp_path: Path) -> None:
    with pytest.raises(index.ParameterError, match="no map of bundle; lay one out"):
        vocabulary.map(map_file=tmp_path / "none.parquet")
    with pytest.raises(index.ParameterError, match="color must be one of"):
        vocabulary.map(color="taste")
    with pytest.raises(index.TokenError):
        vocabulary.map("planet")
