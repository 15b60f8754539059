# SPDX-License-Identifier: Apache-2.0
"""The page in headless Chromium."""

import shutil

import pytest

webdriver = pytest.importorskip("selenium.webdriver")
from selenium.webdriver import ActionChains  # noqa: E402
from selenium.webdriver.support.ui import Select  # noqa: E402

from ir_common.testing_browser import BrowserPage, chromium, crowd, label  # noqa: E402

pytestmark = [
    pytest.mark.skipif(
        not (shutil.which("chromium") and shutil.which("chromedriver")),
        reason="chromium and chromedriver are not installed",
    ),
    pytest.mark.slow,
    pytest.mark.timeout(400),  # of a machine that does much else, too
]
DEAD_MAN = 0.3


class LivePage(BrowserPage):
    """The page of the node beside the fake stack."""

    def __init__(self, live, driver):
        super().__init__(driver)
        self.live, self.closed = live, False

    def start(self, fragment="#token=secret"):
        self.open(f"{self.live.address}/{fragment}")


@pytest.fixture(scope="module")
def driver():
    driver = chromium()
    yield driver
    driver.quit()


@pytest.fixture
def page(live, driver):
    """A tab of its own for each test, at whose end the console must be empty."""
    base = driver.current_window_handle
    driver.switch_to.new_window("tab")
    page = LivePage(live, driver)
    yield page
    if not page.closed:
        driver.get("about:blank")  # a page that goes on drawing answers late
    errors = [] if page.closed else page.errors()
    for handle in set(driver.window_handles) - {base}:
        driver.switch_to.window(handle)
        driver.close()
    driver.switch_to.window(base)
    assert not errors, errors


def test_page_shows_moving_robots_pictures_slices_and_no_errors(page):
    page.start()
    shown = page.until("performance.getEntriesByName('first picture')[0]?.startTime", "first picture")
    assert shown < 3000 * crowd(), f"first picture after {shown:.0f} ms"
    assert page.run("return document.getElementById('no-gl').hidden")
    before = page.until(label("spider"), "label of the spider")
    page.until(f"{label('spider')} !== '{before}'", "movement of the spider")
    page.until(
        "!document.querySelector('#drive .screen.stale') && document.getElementById('windscreen').width === 320",
        "picture",
    )
    page.until("document.querySelectorAll('.slice .tag.good, .slice .tag.bad').length >= 4", "slices judged")
    assert "nodes" in page.text("#health") and "RB" in page.text("#carrier")
    page.until("+document.querySelector('.robot dd').textContent.split(' ')[0] > 0", "distance")
    painted = "[...document.querySelectorAll('.chart')].every(c => new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer).some(p => p))"  # noqa: E501
    page.until(painted, "every chart painted")


LONG = {
    "#trips": "1012.3 / 1250.4 ms", "#limited": "steered past what is ahead, no guard",
    "#picture-age": "1240 ms: locked", ".robot dd": "12345.6 m", "#robots .wide dd": "v123, return -12345",
}  # fmt: skip
FITS = """
const [texts] = arguments, bad = [];
for (const [css, text] of Object.entries(texts))
  for (const cell of document.querySelectorAll(css)) cell.textContent = text;
for (const tile of document.querySelectorAll('.figures > div')) for (const part of tile.children) {
  const text = document.createRange();
  text.selectNodeContents(part);
  const [inner, outer] = [text.getBoundingClientRect(), tile.getBoundingClientRect()];
  if (inner.right > outer.right + 1 || inner.bottom > outer.bottom + 1) bad.push(part.textContent);
}
if (document.documentElement.scrollWidth > innerWidth) {
  const right = e => e.getBoundingClientRect().right;
  const wide = [...document.body.querySelectorAll('*')].filter(e => right(e) > innerWidth + .5);
  const names = wide.map(e => `${e.tagName}#${e.id}.${e.className}`);
  bad.push(`page: ${document.documentElement.scrollWidth} by ${names}`);
}
return bad;
"""


def test_no_figure_is_cut_or_lies_on_another_at_any_width(page):
    page.start()
    page.until("document.querySelectorAll('.robot dd').length > 0", "the robots' cards")
    for width in (320, 360, 768, 901, 1440):
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        page.until(f"innerWidth === {width}", "the width")
        assert page.run(FITS, LONG) == [], width
    page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_floor_shows_the_radio_until_it_is_switched_off(page):
    """The map of the stack arrives; what a map makes of the floor is drawn aside, where every pixel can be read."""
    page.start()
    page.until("document.querySelector('#floor-map span').textContent === 'radio 20 to 40 dB'", "the range of the map")
    shown, hidden, again = page.run("""
        return (async () => {
          const { Renderer } = await import('./gl.js'), { FloorMap } = await import('./floor_map.js');
          const canvas = document.body.appendChild(document.createElement('canvas')), yellow = [];
          canvas.style.cssText = 'position: fixed; left: 0; top: 0; width: 60px; height: 40px';
          const renderer = new Renderer(canvas), gl = renderer.gl;
          const floor = new FloorMap({ carpet: map => {
            renderer.carpet(map);
            renderer.draw([], [], { eye: [0, -.1, 14], target: [0, 0, 0] });
            const p = new Uint8Array(4 * canvas.width * canvas.height);
            gl.readPixels(0, 0, canvas.width, canvas.height, gl.RGBA, gl.UNSIGNED_BYTE, p);
            let count = 0;
            for (let i = 0; i < p.length; i += 4) count += Math.min(p[i], p[i + 1]) - p[i + 2] > 40;
            yellow.push(count / (canvas.width * canvas.height));
          } });
          floor.update({ x: -6, y: -6, cell: 6, columns: 2, rows: 1, levels: [20, 40] });
          floor.button.click(); floor.button.click();
          canvas.remove();
          return yellow;
        })();""")
    assert 0.05 < shown == again < 0.3 and hidden == 0.0


def test_nothing_is_wider_than_a_phone(page):
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    page.start()
    assert page.run("return document.documentElement.scrollWidth") == 390


def test_dragging_the_stick_drives_letting_go_and_closing_stop(page):
    live, stack = page.live, page.live.stack
    page.start()
    stick = page.find("#stick")
    ActionChains(page.driver).click_and_hold(stick).move_by_offset(0, -45).perform()
    live.until(lambda: any(v > 0.5 for _, v, _ in stack.commands), what="commands ahead")
    live.until(lambda: not live.controller.enabled, what="held controller")
    page.until("/ms/.test(document.getElementById('trip').textContent)", "round trip")
    assert page.text("#seat") == "you drive"
    count = len(stack.commands)
    ActionChains(page.driver).release().perform()
    live.until(lambda: stack.commands[-1][1:] == (0.0, 0.0) and len(stack.commands) > count, what="stop")
    count = len(stack.commands)
    ActionChains(page.driver).click_and_hold(stick).move_by_offset(0, -45).perform()
    live.until(lambda: any(v > 0.5 for _, v, _ in stack.commands[count:]), what="commands ahead again")
    page.closed = True
    page.driver.close()
    live.until(lambda: stack.commands[-1][1:] == (0.0, 0.0), what="stop")
    moved = max(t for t, v, _ in stack.commands if v > 0.5)
    stopped = next(t for t, v, w in stack.commands if t > moved and (v, w) == (0.0, 0.0))
    assert stopped - moved < DEAD_MAN + 0.1 * crowd()
    assert not live.controller.enabled  # it stays where it stopped


def test_a_gamepad_drives_kept_from_what_is_ahead_and_the_picture_has_an_age(page):
    live, stack = page.live, page.live.stack
    page.start()
    page.until("/^[0-9.]+ ms/.test(document.getElementById('picture-age').textContent)", "age of the picture")
    page.run("""window.pad = { connected: true, axes: [-0.5, -1], buttons: [{}, {}] };
        document.hasFocus = () => true; navigator.getGamepads = () => [null, window.pad];""")
    live.until(lambda: any(v > 0.5 and w > 0.3 for _, v, w in stack.commands), what="ahead and left")
    stack.wall = 0.25
    page.until("/ahead/.test(document.getElementById('limited').textContent)", "kept from the wall")
    live.until(lambda: stack.commands[-1][1] == 0.0 and stack.commands[-1][2] > 0.3, what="turning only")
    page.run("pad.axes = [0.05, 0.05]")
    live.until(lambda: stack.commands[-1][1:] == (0.0, 0.0), what="stop")


def test_keys_drive_and_losing_focus_stops_and_release_gives_back(page):
    live, stack = page.live, page.live.stack
    page.start()
    page.click("#take")
    page.until("document.getElementById('seat').textContent === 'you drive'", "seat")
    ActionChains(page.driver).key_down("w").key_down("a").perform()
    live.until(lambda: any(v > 0.9 and w > 1.4 for _, v, w in stack.commands), what="ahead and left")
    page.run("window.dispatchEvent(new Event('blur'))")
    live.until(lambda: stack.commands[-1][1:] == (0.0, 0.0), what="stop")
    page.click("#release")
    live.until(lambda: live.controller.enabled, what="released controller")


def test_a_second_page_takes_over(page):
    page.start()
    page.click("#take")
    page.until("document.getElementById('seat').textContent === 'you drive'", "seat")
    first = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    page.start()
    page.until("document.getElementById('seat').textContent === 'somebody else drives'", "other driver")
    assert page.text("#take") == "Take over"
    page.click("#take")
    page.until("document.getElementById('seat').textContent === 'you drive'", "seat")
    page.driver.switch_to.window(first)
    page.until("document.getElementById('seat').textContent === 'somebody else drives'", "seat lost")


def test_slices_are_made_changed_and_deleted_by_hand(page):
    live, stack = page.live, page.live.stack
    page.start()
    page.click("#new-slice")
    page.until("document.querySelector('#slice-form[open]')", "form")
    Select(page.find("[name=template]")).select_by_value("cart")
    page.find("[name=name]").send_keys("cart_b")
    page.click("#slice-form button.primary")
    live.until(lambda: ("create", "cart", "cart_b") in stack.calls, what="service call")
    page.until("document.querySelector('[data-slice=cart_b]')", "card of the new slice")
    page.click("[data-slice=cart_b] button")
    page.until("document.querySelector('#slice-form[open]')", "form")
    rate = page.find("[name=rate]")
    assert rate.get_property("value") == "15"
    rate.clear()
    rate.send_keys("7.5")
    page.click("#slice-form button.primary")
    live.until(lambda: ("modify", "cart_b", 7.5e6) in stack.calls, what="service call")
    page.until("/7.5 guaranteed/.test(document.querySelector('[data-slice=cart_b]').textContent)", "new rate")
    page.click("[data-slice=cart_b] button")
    page.until("document.querySelector('#slice-form[open]')", "form")
    page.click("#slice-form button.danger")
    live.until(lambda: ("delete", "cart_b") in stack.calls, what="service call")
    page.until("!document.querySelector('[data-slice=cart_b]')", "card gone")


def test_without_token_the_page_shows_but_does_not_drive(page):
    page.start("")
    assert page.text("#access") == "read only"
    page.until("document.getElementById('take').click() || !document.getElementById('toast').hidden", "explanation")
    assert not page.live.stack.commands
