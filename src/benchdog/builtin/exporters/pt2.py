"""Look through the bytes of a torch.export archive before torch reads them: data passes, code does not.

torch's own loader unpickles what the archive asks it to, evaluates its size expressions as Python and
looks operators up by any dotted name. So a file is opened here only if everything in it has the form that
Benchdog itself writes. The guards, which are Python too, are never run (see torch_export.py).
"""

from __future__ import annotations

import ast
import io
import json
import math
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

from benchdog.api import BadData, Refused

RECORDS = re.compile(
    r"archive_format|archive_version|byteorder|\.data/(version|serialization_id)|\.format_version|"
    r"\.storage_alignment|models/model\.json|data/sample_inputs/model\.pt|"
    r"data/weights/(weight_\d+|model_weights_config\.json)|"
    r"data/constants/(tensor_\d+|model_constants_config\.json)"
)
MODEL, SAMPLES = "models/model.json", "data/sample_inputs/model.pt"
CONFIGS = {"data/weights/": "model_weights_config.json", "data/constants/": "model_constants_config.json"}
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,500}")
DOTTED = re.compile(r"[A-Za-z0-9_.+@\-]{0,1000}")
TEXT = re.compile(r"[A-Za-z0-9_ ,.>\-]{0,200}")  # "reflect", "bij,bjk->bik": nothing that could be a path
SYMBOL = re.compile(r"[a-z]{1,8}\d{1,6}")
OPERATOR = re.compile(r"torch\.ops\.(aten|prims)\.([A-Za-z0-9_]+)\.([A-Za-z0-9_]+)")
UNSAFE = re.compile(r"file|save|load|pickle|print|warn|record|rpc|import|open|set_data|python|object")
DUNDERS = {f"__{i}{name}__" for i in ("", "i") for name in ("and", "or", "xor", "lshift", "rshift")}
HIGHER_ORDER = {
    f"torch.ops.higher_order.{name}"
    for name in ("cond", "while_loop", "scan", "associative_scan", "map_impl",
                 "wrap_with_set_grad_enabled", "wrap_with_autocast")
}  # fmt: skip
SCALAR = {
    "_operator": {
        "add", "sub", "mul", "truediv", "floordiv", "mod", "neg", "pos", "pow", "eq", "ne", "lt", "le", "gt",
        "ge", "and_", "or_", "not_", "getitem",
    },
    "math": {"ceil", "floor", "trunc", "sqrt", "log2"},
    "torch": {"sym_max", "sym_min", "sym_float", "sym_int", "sym_ite", "sym_not", "sym_sum", "_sym_sqrt"},
}  # fmt: skip
FUNCTIONS = {
    "Symbol", "Integer", "Float", "Rational", "Add", "Mul", "Pow", "Max", "Min", "Mod", "Abs", "And", "Or",
    "Not", "Equality", "Unequality", "StrictLessThan", "LessThan", "StrictGreaterThan", "GreaterThan",
    "Piecewise", "ExprCondPair", "FloorDiv", "CleanDiv", "PythonMod", "ModularIndexing", "CeilDiv",
    "CeilToInt", "FloorToInt", "IntTrueDiv", "FloatTrueDiv", "FloatPow", "PowByNatural", "ToFloat",
    "TruncToInt", "TruncToFloat", "RoundToInt", "Identity", "Where", "LShift", "RShift",
    "IsNonOverlappingAndDenseIndicator",
}  # fmt: skip
NAMES = {"oo", "int_oo", "true", "false", "True", "False", "inf"}
EXPRESSION = (
    ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword, ast.UnaryOp, ast.USub, ast.UAdd,
    ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow,
    ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Tuple,
)  # fmt: skip


def check(data: bytes, name: str) -> None:
    """Let the bytes of a .pt2 archive pass if torch can read them without running anything from them.

    Raises:
        BadData: not such an archive, or damaged.
        Refused: it asks for pickle, for an operator that touches files, for Python to be evaluated.
    """
    _check_zip(data, name)
    try:
        from torch.export.pt2_archive import PT2ArchiveReader

        # The same reader as torch.export.load's, so that both see the same records.
        reader = PT2ArchiveReader(io.BytesIO(data))
        records = reader.get_file_names()
    except Exception as error:  # the reader raises RuntimeError, AssertionError, UnicodeError
        raise _damaged(name, error) from None
    for record in records:
        if not RECORDS.fullmatch(record):
            raise _refused(name, f"it holds {record!r}, which a graph has no use for")
    if MODEL not in records or SAMPLES not in records:
        raise _damaged(name, "the graph is missing")
    sizes = {r: reader.archive_file.get_record_size(r) for r in records}
    for folder, config in CONFIGS.items():
        if folder + config not in records:
            raise _damaged(name, f"{config} is missing")
        _check_payload(_parse(reader.read_bytes(folder + config), name), folder, sizes, name)
    _check_model(_parse(reader.read_bytes(MODEL), name), name)
    _check_samples(reader.read_bytes(SAMPLES), name)


def _check_zip(data: bytes, name: str) -> None:
    """Refuse what unpacks to more than it is, or holds a record twice."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise _damaged(name, error) from None
    names = [entry.filename.lower() for entry in entries]
    roots = {entry.partition("/")[0] for entry in names}
    if len(names) > 100_000 or len(set(names)) != len(names) or len(roots) != 1:
        raise _damaged(name, "its table of contents is not in order")
    if any(e.compress_type != zipfile.ZIP_STORED or e.file_size != e.compress_size for e in entries):
        raise _refused(name, "its records are compressed")
    if sum(entry.file_size for entry in entries) > len(data):
        raise _damaged(name, "its records overlap")


def _check_payload(config: Any, folder: str, sizes: Mapping[str, int], name: str) -> None:
    """Look at the list of weights or constants: plain bytes that are in the archive."""
    for weight, entry in _items(config.get("config") if isinstance(config, dict) else None, name):
        meta, path = entry.get("tensor_meta"), str(entry.get("path_name"))
        if entry.get("use_pickle") is not False or not isinstance(meta, dict):
            raise _refused(name, f"{weight!r} is stored as a pickle")
        if not DOTTED.fullmatch(weight) or folder + path not in sizes or path.endswith(".json"):
            raise _damaged(name, f"the bytes of {weight!r} are missing")
        lengths = [size.get("as_int") for size in meta.get("sizes", [])]
        if any(type(length) is not int or length < 0 for length in lengths):
            raise _damaged(name, f"{weight!r} has no fixed shape")
        if (sizes[folder + path] == 0) != (math.prod(lengths) == 0):
            raise _damaged(name, f"{weight!r} has another size than its bytes")
        _check_strings(meta, name)


def _check_samples(data: bytes, name: str) -> None:
    """Look at the example inputs: nested zip, tensors only."""
    import torch

    if not data:
        return
    _check_zip(data, name)
    try:
        value = torch.load(io.BytesIO(data), weights_only=True)
    except Exception:  # anything that isn't a tensor in plain containers
        raise _refused(name, "its example inputs are not plain tensors") from None
    if not isinstance(value, tuple):
        raise _damaged(name, "its example inputs are not a tuple")


def _check_model(model: Any, name: str) -> None:
    if not isinstance(model, dict) or not isinstance(model.get("graph_module"), dict):
        raise _damaged(name, "the graph is not a graph")
    if not all(SYMBOL.fullmatch(symbol) for symbol in model.get("range_constraints", {})):
        raise _refused(name, "a size has a strange name")
    _check_strings({k: v for k, v in model.items() if k not in ("guards_code", "torch_version")}, name)


def _check_strings(tree: Any, name: str) -> None:
    """Look at every text in the graph: what may stand there depends on the key."""
    for key, value in _texts(tree, ""):
        match key:
            case "target" | "as_operator":
                fine = _operator(value)
            case "expr_str":
                fine = _expression(value)
            case "in_spec" | "out_spec":
                fine = _tree(value)
            case "as_string" | "as_strings":
                fine = bool(TEXT.fullmatch(value))
            case "type" if value != "cpu":
                fine = False
            case "name" | "as_name" | "#key":
                fine = bool(IDENTIFIER.fullmatch(value)) and not value.startswith("__")
            case "metadata" | "treespec_namedtuple_fields" | "as_custom_obj" | "custom_obj_values":
                fine = False
            case _:
                fine = bool(DOTTED.fullmatch(value))
        if not fine:
            raise _refused(name, f"{key} is {value[:80]!r}")


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield every text with the key that it stands under; names that are keys of a mapping as "#key"."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, key)
    elif isinstance(value, dict):
        if key in ("metadata", "treespec_namedtuple_fields", "custom_obj_values", "as_custom_obj") and value:
            yield key, str(value)
            return
        for inner, item in value.items():
            yield "#key", inner
            yield from _texts(item, inner)


def _operator(target: str) -> bool:
    """Return whether a node's target is an operator that only computes."""
    import torch

    if target in HIGHER_ORDER:
        return True
    if match := OPERATOR.fullmatch(target):
        namespace, operator, overload = match.groups()
        if UNSAFE.search(operator) or (operator.startswith("__") and operator not in DUNDERS):
            return False
        packet = getattr(getattr(torch.ops, namespace), operator, None)
        return isinstance(getattr(packet, overload, None), torch._ops.OpOverload)
    module, _, function = target.partition(".")
    return function in SCALAR.get(module, ())


def _expression(text: str) -> bool:
    """Return whether a size expression is arithmetic: sympy evaluates it as Python."""
    if len(text) > 20_000:
        return False
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    symbols, texts = set(), []  # a symbol's name is the only text allowed: sympify would evaluate others
    for node in ast.walk(tree):
        if not isinstance(node, EXPRESSION):
            return False
        if isinstance(node, ast.Call):
            if not (isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS):
                return False
            if node.func.id == "Symbol" and node.args:
                symbols.add(node.args[0])
        if isinstance(node, ast.Name) and not (node.id in FUNCTIONS | NAMES or SYMBOL.fullmatch(node.id)):
            return False
        if isinstance(node, ast.Constant) and not isinstance(node.value, int | float | None):
            texts.append(node)
    return all(node in symbols and SYMBOL.fullmatch(str(node.value)) for node in texts)


def _tree(text: str) -> bool:
    """Return whether a pytree is made of plain tuples, lists and dicts: others could import code."""
    try:
        protocol, tree = json.loads(text)
    except (ValueError, TypeError):
        return False

    def plain(node: Any) -> bool:
        if not isinstance(node, dict) or set(node) != {"type", "context", "children_spec"}:
            return False
        if node["type"] not in (None, "builtins.tuple", "builtins.list", "builtins.dict"):
            return False
        try:
            context = None if node["context"] is None else json.loads(node["context"])
        except (ValueError, TypeError):
            return False
        keys = isinstance(context, list) and all(isinstance(k, str) and IDENTIFIER.fullmatch(k) for k in context)
        return (context is None or keys) and all(map(plain, node["children_spec"]))

    return bool(protocol == 1) and plain(tree)


def _items(value: Any, name: str) -> list[tuple[str, dict[str, Any]]]:
    if not isinstance(value, dict) or not all(isinstance(v, dict) for v in value.values()):
        raise _damaged(name, "a list of weights is not a list")
    return list(value.items())


def _parse(data: bytes, name: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _damaged(name, error) from None


def _damaged(name: str, why: object) -> BadData:
    return BadData(f"{name} can't be read as a torch.export graph: {why}.", "The file is damaged: make it again.")


def _refused(name: str, why: str) -> Refused:
    return Refused(
        f"{name} is refused: {why}. Reading it with torch could run code.",
        "Open only graphs that Benchdog wrote; make this one again from its run.",
    )
