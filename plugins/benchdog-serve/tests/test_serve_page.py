"""The page in a real browser: dropped files, forms, errors."""

import sys

import pytest
from serve_doubles import Server, run

from support.bare import bare
from support.chromium_page import CHROMIUM, Browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM or sys.platform == "win32", reason="Chromium is not installed"),
]
DROP = """
(async () => {
  const blob = %s;
  const transfer = new DataTransfer();
  transfer.items.add(new File([blob], "%s", { type: blob.type }));
  dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, cancelable: true }));
})()
"""
TABLE = "acid,colour,good\n" + "".join(
    f"{n % 17}.{n % 10},{'red' if n % 3 else 'white'},{'yes' if n % 17 > 8 else 'no'}\n" for n in range(300)
)


@pytest.fixture(params=[False, True], ids=["light", "dark"])
def browser(tmp_path, request):
    with Browser(tmp_path / "profile", dark=request.param) as opened:
        yield opened


@pytest.fixture(scope="module")
def server(place, digits):
    with Server(place, "digits") as running:
        yield running


@pytest.fixture(scope="module")
def table_server(place):
    (place / "table.csv").write_text(TABLE, encoding="utf-8")
    with bare():
        run("train", "table.csv", "--target", "good", "--epochs", 2, "--name", "table", "--quiet", place=place)
    with Server(place, "table") as running:
        yield running


def text(browser, selector):
    return browser.run(f"document.querySelector({selector!r}).innerText")


def test_dropped_image_is_classified(browser, server):
    browser.open(f"{server.url}/")
    browser.until("document.querySelectorAll('.examples img').length > 5")
    browser.run(DROP % ("await (await fetch('/examples/0')).blob()", "seven.png"))
    browser.until("document.querySelectorAll('#output .bars li').length === 10")
    assert "seven.png" in text(browser, "#output")
    widths = browser.run("[...document.querySelectorAll('.bars i')].map((bar) => bar.style.width)")
    shares = [float(width.removesuffix("%")) for width in widths]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.1)
    assert browser.run("document.querySelector('#output img').naturalWidth") == 8
    browser.run("document.querySelectorAll('.examples button')[1].click()")
    browser.until("document.querySelector('#output .truth b')")
    wide = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert browser.run(wide)
    assert browser.errors() == []
    browser.run(DROP % ("new Blob(['hello'], { type: 'text/plain' })", "notes.txt"))
    browser.until("document.querySelector('#output [role=alert]')")
    assert "notes.txt" in text(browser, "#output")
    external = [url for url in browser.requested_urls() if not url.startswith((server.url, "data:", "blob:"))]
    assert external == []


def test_samples_are_reachable_by_keyboard(browser, server):
    browser.open(f"{server.url}/")
    browser.until("document.querySelector('.examples button')")
    for _ in range(2):  # past the file input, to the first sample
        for kind in ("keyDown", "keyUp"):
            browser.send("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert browser.run("document.activeElement.closest('.examples') !== null")
    for kind in ("keyDown", "keyUp"):
        options = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
        browser.send("Input.dispatchKeyEvent", type=kind, **options)
    browser.until("document.querySelector('#output .bars')")


def test_table_form_predicts_and_shows_errors(browser, table_server):
    browser.open(f"{table_server.url}/")
    browser.until("document.querySelector('form.fields')")
    assert browser.run("document.querySelectorAll('form.fields label').length") == 2
    assert browser.run("document.querySelector('form.fields input').value") != ""
    browser.run("document.querySelector('button.main').click()")
    browser.until("document.querySelectorAll('#output .bars li').length === 2")
    browser.run("document.querySelector('form.fields input').value = 'much'")
    browser.run("document.querySelector('button.main').click()")
    browser.until("document.querySelector('#output [role=alert]')")
    assert "acid" in text(browser, "#output")


def test_operations_run_from_the_docs_page(browser, server):
    browser.open(f"{server.url}/docs")
    browser.until("document.querySelectorAll('.operation').length === 4")
    browser.run("document.querySelectorAll('.operation')[1].querySelector('button').click()")
    browser.until("document.querySelectorAll('.operation')[1].innerText.includes('digits') || "
                  "document.querySelectorAll('.operation pre')[1].textContent.includes('digits')")  # fmt: skip
    external = [url for url in browser.requested_urls() if not url.startswith((server.url, "data:"))]
    assert external == []
    assert browser.errors() == []
