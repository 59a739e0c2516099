"""The import-linter contract "only": a package may import nothing of the project but what is listed."""

from __future__ import annotations

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class OnlyContract(Contract):
    """Let each of `sources` import itself and `allowed`, and nothing else of the root packages.

    `allowed` are modules, not packages with all that they hold.
    """

    type_name = "only"
    sources = fields.ListField(subfield=fields.StringField())
    allowed = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Compare every import of every module of the sources with the list."""
        roots = {root.split(".")[0] for root in self.session_options["root_packages"]}
        broken = {
            f"{module} -> {imported}"
            for source in map(str, self.sources)  # type: ignore[call-overload]
            for module in {source, *graph.find_descendants(source)}
            for imported in graph.find_modules_directly_imported_by(module)
            if imported.split(".")[0] in roots
            and imported not in self.allowed  # type: ignore[operator]
            and imported != source
            and not imported.startswith(f"{source}.")
        }
        lines = [f"{each}: not allowed" for each in sorted(broken)]
        return ContractCheck(kept=not lines, metadata={"lines": lines})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print a line for each import that isn't allowed."""
        for line in check.metadata["lines"]:
            output.print_error(line)
