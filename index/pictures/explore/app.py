"""A web application that shows one bundle: a page for each token, each question, and the whole vocabulary.

Every page is HTML that needs no script to be read, walked through or searched: links and forms of its own, so that
back, forward and a shared address are the browser's. Scripts add suggestions, charts and the map.

The application answers GET requests to 127.0.0.1 only. Texts are escaped by the templates, and the
Content-Security-Policy lets a browser run and load nothing but the files served here: token texts are data.
"""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from index.pictures.explore import map_data
from index.pictures.explore.endpoints import Pages, Questions
from index.pictures.explore.opened import WatchedBundle

HOSTS = ["127.0.0.1", "localhost"]
"""What a request may call this host: another name is another site's, made to point here (DNS rebinding)."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def application(folder: Path, map_path: Path, questions: Questions) -> Starlette:
    """Return the application that shows the bundle in a folder, and asks it questions; BundleError when it cannot.

    A bundle that takes its place is shown from the next request on. At `map_path` a map of it may be.
    """
    watched = WatchedBundle(folder, map_path)
    watched.current()
    pages = Pages(watched, questions)
    routes = {
        "/": pages.home,
        "/search": pages.search,
        "/suggest": pages.suggest,
        "/densest": pages.densest,
        "/token/{token:path}": pages.token,
        "/name/{token}": pages.name,
        "/analogy": pages.analogy,
        "/vocabulary": pages.vocabulary,
        "/findings": pages.findings,
        "/findings.json": pages.quoted,
        "/ask": pages.questions,
        "/ask/{name}.{form}": pages.answer,
        "/ask/{name}": pages.ask,
        "/about": pages.about,
        "/map": pages.lay_out,
        **{f"/map/{{fingerprint}}{path}": map_data.endpoint(read) for path, read in map_data.READ.items()},
    }
    return Starlette(
        routes=[
            Route("/static/{name}", pages.static),
            *(Route(path, pages.answering(answer)) for path, answer in routes.items()),
        ],
        middleware=[Middleware(_Headers), Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False)],
        exception_handlers={HTTPException: pages.refused},
    )


class _Headers:
    """Put `HEADERS` on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)
