"""Write the table of hostile plugins into docs/explanation/isolation.md: python scripts/isolation_table.py."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.hostile import rows  # noqa: E402

HEAD = "| the plugin | the message contains |\n|---|---|\n"
page = ROOT / "docs" / "explanation" / "isolation.md"
before = page.read_text(encoding="utf-8").partition(HEAD)[0]
page.write_text(before + HEAD + "\n".join(rows()) + "\n", encoding="utf-8")
