"""Which function runs which kind. A handler file registers itself on import; `load` imports them all."""

import importlib
import pkgutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from functions.jobs.context import ClaimedJob, Context
from functions.jobs.outcomes import Outcome

HandlerFunction = Callable[[ClaimedJob, Any, Context], Awaitable[Outcome]]


@dataclass(slots=True)
class Registration:
    """One kind: its payload model, its handler and, where it has one, its reconcile function."""

    kind: str
    payload: type[BaseModel]
    run: HandlerFunction
    reconcile: HandlerFunction | None = None


_registrations: dict[str, Registration] = {}


def handler(kind: str, *, payload: type[BaseModel]) -> Callable[[HandlerFunction], HandlerFunction]:
    """Register the decorated coroutine as the handler of `kind`; its payload is validated first."""

    def register(function: HandlerFunction) -> HandlerFunction:
        if kind in _registrations:
            raise ValueError(f"kind {kind!r} already has a handler")
        _registrations[kind] = Registration(kind, payload, function)
        return function

    return register


def reconcile(kind: str) -> Callable[[HandlerFunction], HandlerFunction]:
    """Register the decorated coroutine as what finds out whether a committed `kind` took effect."""

    def register(function: HandlerFunction) -> HandlerFunction:
        _registrations[kind].reconcile = function
        return function

    return register


def find(kind: str) -> Registration | None:
    """The registration of `kind`, or None."""
    return _registrations.get(kind)


def load(package: str = "functions.handlers") -> None:
    """Import every module of `package`, so that its handlers register themselves."""
    root = importlib.import_module(package)
    for module in pkgutil.iter_modules(root.__path__):
        importlib.import_module(f"{package}.{module.name}")
