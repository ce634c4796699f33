"""What a build tells while it works: typed, in order, for whoever shows it."""

from __future__ import annotations

from proa.lean.record import record


@record
class StepStarted:
    """A step has begun."""

    number: int
    """steps count from 1, in the order in which they begin"""
    name: str
    """`[build 2/5] RUN make`"""
    time: float
    """seconds since 1970"""


@record
class StepOutput:
    """A step's command has written something."""

    number: int
    stream: int
    """1: standard output, 2: standard error"""
    data: bytes
    time: float


@record
class StepNote:
    """Something of interest about a step, in words: `naming to docker.io/library/x:latest`."""

    number: int
    text: str
    time: float


@record
class StepExplained:
    """Why a step was not found in the cache."""

    number: int
    reason: str


@record
class StepFinished:
    """A step is over."""

    number: int
    time: float
    cached: bool = False
    error: str = ""
    canceled: bool = False


@record
class BuildWarning:
    """Something questionable in the Dockerfile."""

    rule: str
    message: str
    line: int
    excerpt: str = ""


@record
class BuildFinished:
    """All is done; the last event of a build that has succeeded."""

    image_id: str
    """of the image in the store; empty where none was made"""
    time: float


Event = (
    StepStarted
    | StepOutput
    | StepNote
    | StepExplained
    | StepFinished
    | BuildWarning
    | BuildFinished
)
