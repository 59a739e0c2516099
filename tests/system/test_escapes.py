"""Escapes of control characters, and of what UTF-8 can't hold."""

import json

from benchdog.system.escapes import encodable, one_line, printable


def test_control_characters_and_directions_are_escaped():
    assert printable("a\x1b[2Jb\r\x07\x7f\x9b\u202ec\u2066") == r"a\x1b[2Jb\r\x07\u007f\u009b\u202ec\u2066"
    assert printable("line\n\ttab é 猫 🙂 \u200d") == "line\n\ttab é 猫 🙂 \u200d"
    assert one_line("a\nb\tc") == r"a\nb\tc"


def test_bytes_beyond_utf8_are_escaped_for_files_and_read_back_from_json():
    name = b"caf\xe9.png".decode(errors="surrogateescape")
    assert encodable(name) == printable(name) == r"caf\udce9.png"
    assert json.loads(printable(json.dumps([name, "\x9b", "\u202e"], ensure_ascii=False))) == [name, "\x9b", "\u202e"]
