"""What every double is: routes under a prefix of its own, steps that faults can name, and a state to forget."""

import asyncio
from abc import ABC, abstractmethod
from typing import ClassVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from devstack.providers.faults import Endpoint
from devstack.providers.world import World


class Refusal(Exception):  # noqa: N818 - it carries the answer of a platform that refuses a request
    """A request is refused; `response` says why in the platform's own shape."""

    def __init__(self, message: str, response: Response) -> None:
        super().__init__(message)
        self.response = response


class Double(ABC):
    """One platform."""

    name: ClassVar[str]
    """Its prefix, and its name in the ledger and in faults."""
    steps: ClassVar[tuple[str, ...]]
    """The steps that a fault can name."""

    def __init__(self, world: World) -> None:
        self.world = world

    @abstractmethod
    def routes(self) -> list[Route]:
        """The routes below its prefix."""

    @abstractmethod
    def forget(self) -> None:
        """Drop all posts and uploads; numbers go on, so an old id never means a new post."""

    @abstractmethod
    def server_error(self) -> Response:
        """The answer of a platform that broke."""

    @abstractmethod
    def rate_limited(self) -> Response:
        """The answer of a platform that was asked too often."""

    def step(self, step: str, endpoint: Endpoint) -> Endpoint:
        """The endpoint as one of `steps`: it meets the faults ordered for it, and a refusal becomes its answer."""

        async def answer(request: Request) -> Response:
            try:
                return await endpoint(request)
            except Refusal as refusal:
                return refusal.response

        async def run(request: Request) -> Response:
            with self.world.under_way.step():
                await asyncio.sleep(self.world.rules.latency_seconds)
                return await self.world.faults.meet(self, step, request, answer)

        return run
