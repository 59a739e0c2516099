"""Options of the tasks. Nothing heavy is imported here, so that help and schemas are quick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from benchdog.api import Bounds, Doc


@dataclass(frozen=True, kw_only=True, slots=True)
class RegressionOptions:
    """Options of the task `regression`."""

    loss: Annotated[
        Literal["mse", "mae", "huber"],
        Doc("Error of the standardised target: squared, absolute, or Huber's mix of both."),
    ] = "mse"


@dataclass(frozen=True, kw_only=True, slots=True)
class NextTokenOptions:
    """Options of the task `next-token`: how text is continued."""

    length: Annotated[int, Doc("Tokens to write after the prompt."), Bounds(ge=0)] = 200
    temperature: Annotated[
        float, Doc("0 takes the likeliest token each time; 1 draws as the model says."), Bounds(ge=0)
    ] = 0.8
    seed: Annotated[int, Doc("Another number draws another text."), Bounds(ge=0)] = 0
