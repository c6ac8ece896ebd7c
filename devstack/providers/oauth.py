"""A double of the platforms' sign-in servers: pages of consent, tokens, renewal with rotation, revocation.

Every address of theirs is answered below `/oauth` with its host as the first part of the path, so
`https://api.x.com/2/oauth2/token` is `/oauth/api.x.com/2/oauth2/token`: a caller that has a host, a path, a method or
a parameter wrong is refused. The app's id is `double-client` and its secret `double-secret`, everywhere.

The page of consent agrees at once. Added to its address, `double_account` chooses who signs in,
`double_scopes` what they leave ticked, and `double_error` lets them refuse.
"""

import base64
import hashlib
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from devstack.providers.double import Double, Refusal
from devstack.providers.faults import Endpoint
from devstack.providers.oauth_grants import Grant, Grants
from devstack.providers.oauth_servers import CLIENT_ID, CLIENT_SECRET, SERVERS, Server
from devstack.providers.world import World

LONG_SECONDS = 5_184_000


class OAuth(Double):
    """The endpoints, over what was granted."""

    name = "oauth"
    steps = ("authorize", "token", "refresh", "exchange", "identity", "revoke")

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.grants = Grants(world)

    def routes(self) -> list[Route]:
        """The routes below `/oauth`."""
        routes = [route for server in SERVERS for route in self._of(server)]
        long_lived = (
            ("graph.facebook.com/{version}/oauth/access_token", "fb_exchange_token", "fb_exchange_token"),
            ("graph.instagram.com/access_token", "ig_exchange_token", "access_token"),
            ("graph.threads.net/access_token", "th_exchange_token", "access_token"),
            ("graph.instagram.com/refresh_access_token", "ig_refresh_token", "access_token"),
            ("graph.threads.net/refresh_access_token", "th_refresh_token", "access_token"),
        )
        routes += [self._get(path, "exchange", self._lengthen(kind, carrier)) for path, kind, carrier in long_lived]
        identities = (
            ("graph.facebook.com/{version}/me/accounts", "facebook", self._pages),
            ("graph.facebook.com/{version}/me/permissions", "facebook", self._permissions),
            ("graph.instagram.com/{version}/me", "instagram", lambda g: {"user_id": g.account, "username": "double"}),
            ("graph.threads.net/v1.0/me", "threads", lambda g: {"id": g.account, "username": "double"}),
            ("www.googleapis.com/youtube/v3/channels", "youtube", _channels),
            (
                "api.x.com/2/users/me",
                "x",
                lambda g: {"data": {"id": g.account, "username": "double", "name": "Double"}},
            ),
            ("api.linkedin.com/v2/userinfo", "linkedin", lambda g: {"sub": g.account, "name": "Double"}),
        )
        routes += [self._get(path, "identity", self._identity(app, answer)) for path, app, answer in identities]
        creator = self.step("identity", self._identity("tiktok", lambda g: {"data": {"creator_nickname": "Double"}}))
        routes.append(Route("/open.tiktokapis.com/v2/post/publish/creator_info/query/", creator, methods=["POST"]))
        for path in (
            "/graph.facebook.com/{version}/me/permissions",
            "/graph.facebook.com/{version}/me/permissions/{right}",
        ):
            routes.append(Route(path, self.step("revoke", self._revoke_rights), methods=["DELETE"]))
        return routes

    def forget(self) -> None:
        """Nothing was granted."""
        self.grants.forget()

    def server_error(self) -> Response:
        """The server broke."""
        return JSONResponse({"error": "server_error"}, status_code=500)

    def rate_limited(self) -> Response:
        """The server was asked too often."""
        return JSONResponse({"error": "slow_down"}, status_code=429)

    def _get(self, path: str, step: str, endpoint: Endpoint) -> Route:
        return Route(f"/{path}", self.step(step, endpoint), methods=["GET"])

    def _of(self, server: Server) -> list[Route]:
        async def token(request: Request) -> Response:
            form = {name: str(value) for name, value in (await request.form()).items()}
            return await (refresh if form.get("grant_type") == "refresh_token" else first)(request)

        first = self.step("token", lambda request: self._trade_code(server, request))
        refresh = self.step("refresh", lambda request: self._trade_refresh_token(server, request))
        routes = [
            self._get(server.authorize, "authorize", lambda request: self._authorize(server, request)),
            Route(f"/{server.grant}", token, methods=["POST"]),
        ]
        if server.revoke:
            revoke = self.step("revoke", lambda request: self._revoke(server, request))
            routes.append(Route(f"/{server.revoke}", revoke, methods=["POST"]))
        return routes

    # Consent, codes, tokens -----------------------------------------------------------------------

    async def _authorize(self, server: Server, request: Request) -> Response:
        query = request.query_params
        needed = [server.client, "redirect_uri", "scope", "state", *(["code_challenge"] if server.pkce else [])]
        missing = [name for name in needed if not query.get(name)]
        if missing or query[server.client] != CLIENT_ID or query.get("response_type") != "code":
            raise _refusal(server, "invalid_request", f"missing or wrong: {missing or server.client}")
        if server.pkce and query.get("code_challenge_method") != "S256":
            raise _refusal(server, "invalid_request", "code_challenge_method")
        answer = {"state": query["state"]}
        if "double_error" in query:
            answer["error"] = query["double_error"]
        else:
            scopes = tuple(query.get("double_scopes", query["scope"]).split(server.separator))
            account = query.get("double_account", f"{server.app}-1")
            challenge = query.get("code_challenge", "")
            answer["code"] = self.grants.new_code(Grant(server.app, account, scopes, query["redirect_uri"], challenge))
        return RedirectResponse(f"{query['redirect_uri']}?{urlencode(answer)}", 302)

    async def _trade_code(self, server: Server, request: Request) -> Response:
        form = await self._client(server, request)
        grant = self.grants.codes.pop(form.get("code", ""), None)
        if grant is None or grant.app != server.app or form.get("grant_type") != "authorization_code":
            raise _refusal(server, "invalid_grant", "no such code")
        if form.get("redirect_uri") != grant.redirect_uri:
            raise _refusal(server, "invalid_grant", "redirect_uri")
        if server.pkce and _challenge(form.get("code_verifier", "")) != grant.challenge:
            raise _refusal(server, "invalid_grant", "code_verifier")
        self.grants.done.append((server.app, "code"))
        return self._tokens(server, grant)

    async def _trade_refresh_token(self, server: Server, request: Request) -> Response:
        form = await self._client(server, request)
        token = form.get("refresh_token", "")
        grant = self.grants.refresh_tokens.get(token)
        if grant is None or grant.app != server.app:
            raise _refusal(server, "invalid_grant", "no such refresh token")
        if server.rotates:
            del self.grants.refresh_tokens[token]
        self.grants.done.append((server.app, "refresh"))
        return self._tokens(server, grant, renewed=True)

    def _tokens(self, server: Server, grant: Grant, *, renewed: bool = False) -> Response:
        answer: dict[str, Any] = {"access_token": self.grants.new_access_token(grant), "token_type": "Bearer"}
        if server.seconds:
            answer["expires_in"] = server.seconds
        if server.refreshes and (server.rotates or not renewed):
            answer["refresh_token"] = self.grants.new_refresh_token(grant)
        if not server.graph:
            answer["scope"] = server.separator.join(grant.scopes)
        if server.app == "tiktok":
            answer |= {"open_id": grant.account, "refresh_expires_in": 31_536_000}
        return JSONResponse(answer)

    def _lengthen(self, kind: str, carrier: str) -> Endpoint:
        async def answer(request: Request) -> Response:
            query = request.query_params
            token = query.get(carrier, "")
            grant = self.grants.access_tokens.get(token)
            with_secret = kind.endswith("_exchange_token")
            if query.get("grant_type") != kind or (with_secret and query.get("client_secret") != CLIENT_SECRET):
                raise _graph_refusal(101, "wrong grant_type or client_secret")
            if grant is None:
                raise _graph_refusal(190, "no such token")
            self.grants.done.append((grant.app, "exchange" if with_secret else "refresh"))
            return JSONResponse({"access_token": self.grants.new_access_token(grant), "expires_in": LONG_SECONDS})

        return answer

    # Who it is, and the end -----------------------------------------------------------------------

    def _identity(self, app: str, answer: Any) -> Endpoint:
        async def run(request: Request) -> Response:
            grant = self._bearer(request)
            if grant is None or grant.app != app:
                raise (
                    _graph_refusal(190, "no such token")
                    if "graph." in request.url.path
                    else Refusal("no such token", JSONResponse({"error": {"code": 401}}, status_code=401))
                )
            return JSONResponse(answer(grant))

        return run

    def _pages(self, grant: Grant) -> dict[str, Any]:
        """Two pages, each with an Instagram account of its own; its token acts for what was asked for."""
        pages = []
        for page in (grant.account, f"{grant.account}-2"):
            instagram = f"ig-{page}"
            acts_for = instagram if "instagram_content_publish" in grant.scopes else page
            token = self.grants.new_access_token(grant, acts_for)
            pages.append(
                {
                    "id": page,
                    "name": f"Page {page}",
                    "access_token": token,
                    "instagram_business_account": {"id": instagram},
                }
            )
        return {"data": pages}

    def _permissions(self, grant: Grant) -> dict[str, Any]:
        return {"data": [{"permission": scope, "status": "granted"} for scope in grant.scopes]}

    async def _revoke(self, server: Server, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        if server.app != "youtube":
            form = await self._client(server, request)
        if not form.get("token"):
            raise _refusal(server, "invalid_request", "token")
        self.grants.revoke(form["token"])
        self.grants.done.append((server.app, "revoke"))
        return JSONResponse({})

    async def _revoke_rights(self, request: Request) -> Response:
        grant, right = self._bearer(request), request.path_params.get("right")
        if grant is None:
            raise _graph_refusal(190, "no such token")
        self.grants.done.append((grant.app, f"revoke {right}" if right else "revoke"))
        kept = self.grants.access_tokens
        for token, its in list(kept.items()):
            if its.app == grant.app and right is None:
                del kept[token]
            elif its.app == grant.app:
                kept[token] = replace(its, scopes=tuple(scope for scope in its.scopes if scope != right))
        return JSONResponse({"success": True})

    def _bearer(self, request: Request) -> Grant | None:
        return self.grants.access_tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))

    async def _client(self, server: Server, request: Request) -> dict[str, str]:
        """The form of a client that has proved itself."""
        form = {name: str(value) for name, value in (await request.form()).items()}
        known = form.get(server.client) == CLIENT_ID
        if server.basic:
            expected = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
            known = known and request.headers.get("authorization") == f"Basic {expected}"
        else:
            known = known and form.get("client_secret") == CLIENT_SECRET
        if not known:
            raise _refusal(server, "invalid_client", "the client is unknown")
        return form


def _channels(grant: Grant) -> dict[str, Any]:
    return {"items": [{"id": grant.account, "snippet": {"title": "Double"}}]}


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _refusal(server: Server, code: str, words: str) -> Refusal:
    if server.graph:
        return _graph_refusal(101 if code == "invalid_client" else 100, words)
    status = 401 if code == "invalid_client" else 400
    return Refusal(words, JSONResponse({"error": code, "error_description": words}, status_code=status))


def _graph_refusal(code: int, words: str) -> Refusal:
    error = {"message": words, "type": "OAuthException", "code": code, "fbtrace_id": "double"}
    return Refusal(words, JSONResponse({"error": error}, status_code=400))
