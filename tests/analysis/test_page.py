"""The report in a real browser: drawn without a complaint, usable on a desk and on a phone, in the dark too."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis import report_page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium"),
]
CHROMIUM = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"]
HARMLESS = "GL Driver Message"  # of the software that draws in place of a graphics card


@pytest.fixture(scope="module")
def address(made_record, tmp_path_factory: pytest.TempPathFactory) -> str:
    return report_page.make(made_record, tmp_path_factory.mktemp("page")).as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        yield found
        found.close()


def opened(browser, address: str, width: int = 1280, **options):
    """The page once all is drawn; its complaints and requests are in `page.said` and `page.asked`."""
    page = browser.new_page(viewport={"width": width, "height": 900}, **options)
    page.said, page.asked = [], []
    page.on("console", lambda m: page.said.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(address)
    page.wait_for_function("document.documentElement.dataset.drawn === 'yes'", timeout=120_000)
    return page


@pytest.fixture(scope="module")
def desk(browser, address):
    return opened(browser, address)


def test_everything_is_drawn_without_a_complaint_or_a_request(desk, address):
    assert [text for text in desk.said if HARMLESS not in text] == []
    assert [url for url in desk.asked if not url.startswith(("data:", "blob:"))] == [address]
    plots = desk.locator(".plot")
    assert plots.count() >= 8
    for i in range(plots.count()):
        assert plots.nth(i).locator(".main-svg").count(), plots.nth(i).get_attribute("id")
        assert len(plots.nth(i).get_attribute("aria-label")) > 40


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overflows(browser, address, width, scheme):
    page = opened(browser, address, width, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    over = page.evaluate(
        """() => [...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, pre')
            && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
    )
    assert over == []
    page.close()


def test_the_theme_follows_the_system_and_the_button_changes_it(browser, address):
    page = opened(browser, address, color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    ink = "document.getElementById('plot-best_so_far').layout.template.layout.font.color"
    dark, dark_ink = page.evaluate(ground), page.evaluate(ink)
    page.get_by_role("button", name="switch between the dark and the light page").click()
    assert page.evaluate(ground) == "rgb(255, 255, 255)" != dark
    assert page.evaluate(ink) != dark_ink
    assert [text for text in page.said if HARMLESS not in text] == []
    page.close()


def test_the_lines_take_the_colours_of_what_is_chosen(desk):
    colours = "document.getElementById('plot-learning_curves').data.map(trace => trace.line.color)"
    select = desk.get_by_label("coloured by")
    names = select.locator("option").all_inner_texts()
    assert {"lr", "batch_size", "optimizer", "outcome"} <= set(names)
    seen = set()
    for name in ("lr", "optimizer", "outcome"):
        select.select_option(name)
        desk.wait_for_timeout(100)
        seen.add(tuple(desk.evaluate(colours)))
        legend = desk.locator(".colours .legend span").all_inner_texts()
        if name == "optimizer":
            assert legend == ["sgd", "adam"]
    assert len(seen) == 3


def test_brushing_an_axis_selects_trials(desk):
    """A drag along the first axis of the parallel coordinates."""
    plot = desk.locator("#plot-parallel")
    plot.scroll_into_view_if_needed()
    axis = plot.locator(".axis-brush .background-bar, .axis-brush .background").first
    box = axis.bounding_box()
    x, top = box["x"] + box["width"] / 2, box["y"]
    desk.mouse.move(x, top + 0.75 * box["height"])
    desk.mouse.down()
    desk.mouse.move(x, top + 0.5 * box["height"], steps=6)
    desk.mouse.move(x, top + 0.3 * box["height"], steps=6)
    desk.mouse.up()
    desk.wait_for_timeout(500)
    ranges = desk.evaluate(
        "document.getElementById('plot-parallel').data[0].dimensions.map(d => d.constraintrange ?? null)"
    )
    assert sum(found is not None for found in ranges) == 1, ranges


def rows(page) -> list[list[str]]:
    return page.eval_on_selector_all(
        "#table-trials tbody tr:not([hidden])", "rows => rows.map(r => [...r.cells].map(c => c.textContent))"
    )


def test_the_table_sorts_by_number_and_by_word(desk):
    names = [name.strip() for name in desk.locator("#table-trials th").all_inner_texts()]
    lr = names.index("lr")
    desk.locator("#table-trials th button", has_text="lr").first.click()
    falling = [float(row[lr]) for row in rows(desk)]
    assert falling == sorted(falling, reverse=True)
    assert desk.locator("#table-trials th").nth(lr).get_attribute("aria-sort") == "descending"
    desk.locator("#table-trials th button", has_text="lr").first.click()
    assert [float(row[lr]) for row in rows(desk)] == falling[::-1]
    momentum = names.index("momentum")
    desk.locator("#table-trials th button", has_text="momentum").click()
    found = [row[momentum] for row in rows(desk)]
    assert found == sorted(found, key=lambda text: (text == "", -float(text or 0))), "those without it come last"


def test_the_table_is_filtered_by_words_and_conditions(desk):
    names = [name.strip() for name in desk.locator("#table-trials th").all_inner_texts()]
    lr, outcome = names.index("lr"), names.index("outcome")
    everything = rows(desk)
    box = desk.get_by_label("filter")
    box.fill("stopped lr<0.01")
    expected = [row for row in everything if row[outcome] == "stopped" and float(row[lr]) < 0.01]
    assert 0 < len(expected) < len(everything)
    assert rows(desk) == expected
    assert desk.locator(".interactive .count").inner_text() == str(len(expected))
    box.fill("")
    assert rows(desk) == everything


def test_the_page_is_the_same_without_a_place_to_remember(browser, address, tmp_path: Path):
    """In MLflow's artifact view, a sandboxed frame, there is no local storage."""
    frame = tmp_path / "frame.html"
    frame.write_text(f'<iframe id="f" sandbox="allow-scripts" src="{address}" width="1200" height="800"></iframe>')
    page = browser.new_page()
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(frame.as_uri())
    inner = page.frame_locator("#f")
    inner.locator("#plot-pareto .main-svg").first.wait_for(timeout=120_000)
    inner.get_by_role("button", name="switch between").click()
    assert said == []
    page.close()
