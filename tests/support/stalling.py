"""A network that stops at a step until its process is killed: `--model net.py:Net` with STALL_AT=12."""

NET = """
import os
import time

from torch import nn


class Net(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.last = nn.Linear(64, spec.outputs)
        self.steps = 0

    def forward(self, x):
        self.steps += self.training
        while self.steps > int(os.environ.get("STALL_AT", "1000000")):
            time.sleep(0.05)
        return self.last(x.flatten(1))
"""
