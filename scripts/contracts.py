"""A contract for import-linter that its own kinds lack: a package may import only what is listed."""

from __future__ import annotations

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class OnlyContract(Contract):
    """Let `source` import nothing of the project but itself and `allowed`."""

    type_name = "only"
    source = fields.StringField()
    allowed = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Look at every import of every module of the source."""
        source = str(self.source)
        root = source.split(".")[0]
        wrong = [
            f"{module} imports {imported}"
            for module in sorted({source, *graph.find_descendants(source)})
            for imported in sorted(graph.find_modules_directly_imported_by(module))
            if imported.split(".")[0] == root
            and imported not in self.allowed  # type: ignore[operator]
            and imported != source
            and not imported.startswith(f"{source}.")
        ]
        return ContractCheck(kept=not wrong, metadata={"wrong": wrong})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print a line per import that isn't allowed."""
        for line in check.metadata["wrong"]:
            output.print_error(line)
