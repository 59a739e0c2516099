"""The notebook runs top to bottom; the report renders in a browser."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.slow
def test_notebook_runs(tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("BENCHDOG_RUNS", str(tmp_path / "runs"))
    notebook = nbformat.read(DOCS / "tutorials" / "notebook.ipynb", 4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in shown if output.output_type == "error"]
    assert any("text/html" in output.get("data", {}) for output in shown), "a run has an HTML representation"
    assert len(list((tmp_path / "runs").iterdir())) == 2


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no browser here")
def test_report_renders_in_a_browser(digits_run, tmp_path):
    flags = ["--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--dump-dom"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        flags.append("--no-sandbox")
    page = (digits_run / "report.html").resolve().as_uri()
    command = [CHROMIUM, *flags, f"--user-data-dir={tmp_path / 'profile'}", page]
    rendered = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120)
    assert rendered.returncode == 0, rendered.stderr
    assert "classified correctly" in rendered.stdout
    assert "<svg" in rendered.stdout
    assert "http://" not in rendered.stdout.replace("http://www.w3.org/", "")
