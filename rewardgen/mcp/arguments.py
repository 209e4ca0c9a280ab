"""What an agent may give to a tool: short, of one form, and never a path."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

RunName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", description="a run's name: letters, digits, _ and -"),
]
TaskName = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z0-9_]{0,63}/[a-z][a-z0-9_]{0,63}$", description="a task's name, such as hopper/run"),
]
MethodName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$", description="a search method, such as eureka")]
CandidateKey = Annotated[str, Field(pattern=r"^r\d{1,4}g\d{1,4}c\d{1,4}$", description="a candidate, such as r0g1c3")]
RequestName = Annotated[
    str, Field(pattern=r"^\d{3,6}-[a-z]{1,32}-[0-9a-f]{12}$", description="a request's name, as `requests` lists it")
]
Code = Annotated[
    str,
    Field(min_length=1, max_length=60_000, description="Python that defines compute_reward(state, action, next_state)"),
]
Answer = Annotated[str, Field(min_length=1, max_length=60_000, description="the whole answer, as a model would reply")]
