"""Taplo's language server, talked to as an editor does."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any


class Editor:
    """An editor with one file open."""

    def __init__(self, taplo: str, file: Path) -> None:
        self.file = file
        self._number = 0
        self._faults: list[dict[str, Any]] | None = None
        self._process = subprocess.Popen(
            [taplo, "lsp", "stdio"], cwd=file.parent,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        folder = file.parent.as_uri()
        can = {"textDocument": {"completion": {"completionItem": {"documentationFormat": ["markdown"]}}}}
        self._ask("initialize", {"processId": None, "rootUri": folder, "capabilities": can,
                                 "workspaceFolders": [{"uri": folder, "name": "here"}]})  # fmt: skip
        self._tell("initialized", {})

    def __enter__(self) -> Editor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def faults(self, text: str) -> list[str]:
        """Open the file with a text; give what is marked in it."""
        self._faults = None
        document = {"uri": self.file.as_uri(), "languageId": "toml", "version": 1, "text": text}
        self._tell("textDocument/didOpen", {"textDocument": document})
        while self._faults is None:
            self._read()
        return [fault["message"] for fault in self._faults]

    def offers(self, line: int, character: int) -> dict[str, str]:
        """Give what could be typed at a place, and its documentation."""
        found = self._ask("textDocument/completion", self._place(line, character)) or []
        items = found["items"] if isinstance(found, dict) else found
        return {item["label"]: _text(item.get("documentation")) for item in items}

    def told(self, line: int, character: int) -> str:
        """Give what is shown when the pointer rests on a place."""
        found = self._ask("textDocument/hover", self._place(line, character))
        return _text(found["contents"]) if found else ""

    def _place(self, line: int, character: int) -> dict[str, Any]:
        return {"textDocument": {"uri": self.file.as_uri()}, "position": {"line": line, "character": character}}

    def _ask(self, method: str, parameters: dict[str, Any]) -> Any:
        self._number += 1
        self._send({"id": self._number, "method": method, "params": parameters})
        number = self._number
        while True:
            message = self._read()
            if message.get("id") == number and "method" not in message:
                assert "error" not in message, message
                return message.get("result")

    def _tell(self, method: str, parameters: dict[str, Any]) -> None:
        self._send({"method": method, "params": parameters})

    def _send(self, message: dict[str, Any]) -> None:
        data = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(data) + data)
        self._process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        """Read a message; answer what the server asks, and keep what it marks."""
        stream = self._process.stdout
        assert stream is not None
        length = 0
        while (line := stream.readline().strip()) or not length:
            assert line or self._process.poll() is None, "Taplo has ended"
            name, _, value = line.partition(b": ")
            length = int(value) if name.lower() == b"content-length" else length
        message: dict[str, Any] = json.loads(stream.read(length))
        if message.get("method") == "textDocument/publishDiagnostics":
            self._faults = message["params"]["diagnostics"]
        elif "method" in message and "id" in message:
            asked = message.get("params", {}).get("items", [])
            self._send({"id": message["id"], "result": [None for _ in asked]})
        return message


def _text(contents: Any) -> str:
    return str(contents.get("value", "")) if isinstance(contents, dict) else str(contents or "")
