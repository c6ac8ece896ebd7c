"""The application of doubles: each platform under its own prefix, and the control plane of tests.

* `GET /_ledger?provider=&key=`: every post that became public (see `ledger` for the key), once the steps that have
  begun are over.
* `PUT /_faults {provider, step, mode, times, seconds}`: order a fault (see `faults` for the modes).
* `DELETE /_state`: let the steps that have begun end, then forget posts, uploads and faults.

An access token is `double:<external id of the account>`; anything else is refused as a bad token.
"""

from collections.abc import Sequence

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from devstack.providers.double import Double
from devstack.providers.facebook.double import Facebook
from devstack.providers.faults import Fault
from devstack.providers.instagram.double import Instagram
from devstack.providers.linkedin.double import LinkedIn
from devstack.providers.oauth import OAuth
from devstack.providers.threads.double import Threads
from devstack.providers.tiktok.double import TikTok
from devstack.providers.world import ProviderRules, World
from devstack.providers.x.double import X
from devstack.providers.youtube.double import YouTube

DOUBLES: tuple[type[Double], ...] = (
    Facebook,
    Instagram,
    LinkedIn,
    OAuth,
    Threads,
    TikTok,
    X,
    YouTube,
)
STEPS = {double.name: double.steps for double in DOUBLES}
"""The steps of each provider that a fault can name."""


def make_providers(rules: ProviderRules | None = None) -> Starlette:
    """A new application with a state of its own."""
    world = World(rules or ProviderRules())
    doubles = [double(world) for double in DOUBLES]
    control = ControlPlane(world, doubles)
    return Starlette(
        routes=[
            Route("/_ledger", control.read_ledger, methods=["GET"]),
            Route("/_faults", control.put_fault, methods=["PUT"]),
            Route("/_state", control.forget, methods=["DELETE"]),
            *(Mount(f"/{double.name}", routes=double.routes()) for double in doubles),
        ]
    )


class ControlPlane:
    """What tests and people use to look at the doubles and to break them."""

    def __init__(self, world: World, doubles: Sequence[Double]) -> None:
        self.world = world
        self.doubles = doubles

    async def read_ledger(self, request: Request) -> Response:
        """The effects that match the query."""
        await self.world.under_way.wait()
        query = request.query_params
        return JSONResponse(self.world.ledger.find(query.get("provider"), query.get("key")))

    async def put_fault(self, request: Request) -> Response:
        """Order a fault."""
        try:
            fault = Fault.model_validate_json(await request.body())
        except ValidationError as error:
            problems = [f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in error.errors()]
            return JSONResponse({"error": "; ".join(problems)}, status_code=400)
        if fault.step not in STEPS.get(fault.provider, ()):
            known = {provider: list(steps) for provider, steps in STEPS.items()}
            return JSONResponse({"error": f"no step {fault.provider}/{fault.step}", "steps": known}, status_code=400)
        self.world.faults.put(fault)
        return JSONResponse(fault.model_dump())

    async def forget(self, request: Request) -> Response:
        """Start afresh."""
        await self.world.under_way.wait()  # or a post of before would be seen by whoever comes next
        self.world.ledger.effects.clear()
        self.world.faults.waiting.clear()
        for double in self.doubles:
            double.forget()
        return Response(status_code=204)
