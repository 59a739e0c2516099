"""Networks that do something at a step of their training: `--model net.py:Net`."""


def network(imports: str, in_step: str) -> str:
    """Return the source of a linear network that counts its training steps.

    Args:
        imports: lines above the class.
        in_step: statements in `forward`, which know `self.steps`.
    """
    indented = "".join(f"        {line}\n" for line in in_step.splitlines())
    return f"""{imports}
from torch import nn


class Net(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.last = nn.Linear(64, spec.outputs)
        self.steps = 0

    def forward(self, x):
        self.steps += self.training
{indented}        return self.last(x.flatten(1))
"""


NET = network(
    "import os\nimport time\n",
    'while self.steps > int(os.environ.get("STALL_AT", "1000000")):\n    time.sleep(0.05)',
)
"""Stops at a step until its process is killed: STALL_AT=12."""
