"""Documentation site: built strictly, self-contained, searchable in a browser without a network."""

import functools
import http.server
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("material", reason="the site is built with mkdocs-material")
from support.chromium_page import CHROMIUM, Browser

ROOT = Path(__file__).parents[2]
LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\bsrc\s*=\s*["']?(?:https?:)?//"""
    r"""|<link\b(?=[^>]*\brel\s*=\s*["']?(?:stylesheet|icon|preload|preconnect|dns-prefetch|manifest|prefetch))"""
    r"""[^>]*\bhref\s*=\s*["']?(?:https?:)?//"""
    r"""|url\(\s*["']?(?:https?:)?//|@import\s+["'](?:https?:)?//""",
    re.IGNORECASE,
)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site; every warning is an error."""
    place = tmp_path_factory.mktemp("site")
    argv = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(place)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Serve the site on localhost."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_site_contains_every_page(site):
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    missing = [page for page in pages if not (site / page).exists()]
    assert missing == []
    assert "Unreleased" in (site / "changelog.html").read_text(encoding="utf-8")


def test_site_loads_nothing_external(site):
    external = {}
    for path in site.rglob("*"):
        if path.suffix in (".html", ".css", ".svg"):
            hits = [match[0] for match in LOADED.finditer(path.read_text(encoding="utf-8"))]
            if hits:
                external[path.relative_to(site)] = hits
    assert external == {}


def test_site_links_resolve(site):
    lost = []
    for page in site.rglob("*.html"):
        if page.name == "404.html":
            continue
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"""<(?:a|img|link)\b[^>]*\b(?:href|src)=["']?([^"'#?\s>]+)""", text):
            if not re.match(r"(?:[a-z]+:|//)", target) and not (page.parent / target).exists():
                lost.append(f"{page.relative_to(site)}: {target}")
    assert lost == []


def test_figure_boxes_link_to_the_tour(site):
    tour = (site / "tutorials" / "tour.html").read_text(encoding="utf-8")
    boxes = re.findall(r'<a href="#([a-z-]+)"><rect', tour)
    assert len(boxes) == 12
    assert [box for box in boxes if f'id="{box}"' not in tour] == []
    assert f'<a href="tutorials/tour.html#{boxes[0]}"><rect' in (site / "index.html").read_text(encoding="utf-8")


def test_files_outside_the_site_are_named_not_linked(site):
    page = (site / "guides" / "training.html").read_text(encoding="utf-8")
    assert "<code>src/benchdog/builtin/trainers/supervised.py</code>" in page
    assert 'href="../src' not in page


def test_file_blocks_show_their_name(site):
    page = (site / "guides" / "plugins" / "source.html").read_text(encoding="utf-8")
    assert '<span class="filename">benchdog-stars/src/benchdog_stars/source.py</span>' in page


def test_test_comments_are_not_published(site):
    assert [page for page in site.rglob("*.html") if "<!-- not run" in page.read_text(encoding="utf-8")] == []


@pytest.mark.skipif(not CHROMIUM, reason="no browser here")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_site_renders_in_a_browser_and_requests_nothing_external(address, tmp_path, dark):
    with Browser(tmp_path / "profile", dark=dark) as browser:
        browser.send("Emulation.setDeviceMetricsOverride", width=400, height=900, deviceScaleFactor=1, mobile=True)
        browser.open(f"{address}/tutorials/tour.html")
        assert browser.run("document.body.dataset.mdColorScheme") == ("slate" if dark else "default")
        assert browser.run("document.querySelectorAll('.figure svg a').length") >= 8
        # wide content scrolls within itself, the page does not
        assert browser.run("document.documentElement.scrollWidth") <= 400
        for page in ("index", "guides/recipe", "reference/configuration", "reference/errors", "tutorials/tables"):
            browser.open(f"{address}/{page}.html")
            assert browser.run("document.documentElement.scrollWidth") <= 400, page
        asked = {url.split("/")[2] for url in browser.requested_urls() if url.startswith("http")}
        assert asked == {address.removeprefix("http://")}
        assert browser.errors() == []


@pytest.mark.skipif(not CHROMIUM, reason="no browser here")
@pytest.mark.parametrize("way", ["served", "opened as a file"])
def test_site_search_works_without_a_network(address, site, tmp_path, way):
    base = address if way == "served" else site.as_uri()
    with Browser(tmp_path / "profile") as browser:
        browser.open(f"{base}/index.html")
        browser.run("document.querySelector('#__search').click()")
        browser.run(
            "(() => {const field = document.querySelector('input[data-md-component=search-query]');"
            "field.focus(); field.value = 'checkpoint'; field.dispatchEvent(new Event('input', {bubbles: true}));"
            "field.dispatchEvent(new KeyboardEvent('keyup', {bubbles: true}))})()"
        )
        browser.until("document.querySelectorAll('.md-search-result__item').length > 2")
        assert browser.errors() == []


def test_broken_link_fails_the_site_build(tmp_path):
    for name in ("docs", "scripts"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("mkdocs.yml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path)
    with (tmp_path / "docs" / "guides" / "eject.md").open("a", encoding="utf-8") as page:
        page.write("\n[nowhere](nowhere.md)\n")
    argv = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 1
    assert "nowhere.md" in done.stderr
