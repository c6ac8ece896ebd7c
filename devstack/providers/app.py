"""The application of doubles: each platform under its own prefix, and the control plane of tests.

* `GET /_ledger?provider=&key=`: every post that became public (see `ledger` for the key).
* `PUT /_faults {provider, step, mode, times, seconds}`: order a fault (see `faults` for the modes).
* `DELETE /_state`: forget posts, uploads and faults.

An access token is `double:<external id of the account>`; anything else is refused as a bad token.
"""

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from devstack.providers import instagram, tiktok
from devstack.providers.faults import Fault
from devstack.providers.instagram import Instagram
from devstack.providers.tiktok import TikTok
from devstack.providers.world import ProviderRules, World

STEPS = {"tiktok": tiktok.STEPS, "instagram": instagram.STEPS}
"""The steps of each provider that a fault can name."""


def make_providers(rules: ProviderRules | None = None) -> Starlette:
    """A new application with a state of its own."""
    world = World(rules or ProviderRules())
    control = ControlPlane(world, TikTok(world), Instagram(world))
    return Starlette(
        routes=[
            Route("/_ledger", control.read_ledger, methods=["GET"]),
            Route("/_faults", control.put_fault, methods=["PUT"]),
            Route("/_state", control.forget, methods=["DELETE"]),
            Mount("/tiktok", routes=control.tiktok.routes()),
            Mount("/instagram", routes=control.instagram.routes()),
        ]
    )


class ControlPlane:
    """What tests and people use to look at the doubles and to break them."""

    def __init__(self, world: World, tiktok: TikTok, instagram: Instagram) -> None:
        self.world = world
        self.tiktok = tiktok
        self.instagram = instagram

    async def read_ledger(self, request: Request) -> Response:
        """The effects that match the query."""
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
        """Start afresh; numbers go on, so an old id never means a new post."""
        self.world.ledger.effects.clear()
        self.world.faults.waiting.clear()
        self.tiktok.uploads.clear()
        self.instagram.containers.clear()
        self.instagram.posts.clear()
        return Response(status_code=204)
