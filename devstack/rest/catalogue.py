"""What the database has to offer, as the gateway remembers it: relations, functions, settings of roles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from devstack.rest.errors import RestError
from devstack.rest.likeness import likest
from devstack.rest.relationships import Relationship

STALE_CODES = frozenset({"PGRST200", "PGRST202", "PGRST204", "PGRST205"})
"""Refusals that a newer catalogue might not give."""

Settings = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `default` is SQL; `type` is SQL too, qualified where it must be."""

    name: str
    type: str
    default: str | None


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view. `methods` are what a client may at best do with it, whatever its role."""

    schema: str
    name: str
    columns: Mapping[str, Column]
    primary_key: tuple[str, ...]
    methods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parameter:
    """An input parameter of a function; `name` is empty when it has none."""

    name: str
    type: str
    required: bool
    variadic: bool


@dataclass(frozen=True, slots=True)
class Function:
    """A function.

    Attributes:
        parameters: its input parameters, in order.
        shape: what it returns: nothing, a value, a value of a composite type, or columns of its own (`out`, `table`).
        returns_set: it returns any number of them.
        relation: schema and name of the table whose rows it returns, if it does.
        volatile: it may write.
        settings: what is set for it already before it is called, such as ``statement_timeout``.
        isolation: the isolation level that it asks for.
    """

    schema: str
    name: str
    parameters: tuple[Parameter, ...]
    shape: Literal["void", "scalar", "composite", "columns"]
    returns_set: bool
    relation: tuple[str, str] | None
    volatile: bool
    settings: Settings = ()
    isolation: str | None = None

    def takes(self, names: frozenset[str]) -> bool:
        """Whether it can be called with arguments of exactly these names."""
        required = {parameter.name for parameter in self.parameters if parameter.required}
        return required <= names <= {parameter.name for parameter in self.parameters}

    @property
    def whole_type(self) -> str | None:
        """The type of its one parameter, if that has no name, so that a body as a whole is what it takes."""
        only = self.parameters[0] if len(self.parameters) == 1 else None
        return only.type if only and not only.name else None


@dataclass(frozen=True, slots=True)
class RoleSettings:
    """Settings stored with a role, and the isolation level among them."""

    settings: Settings = ()
    isolation: str | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything that plans are made from. Never changes: a newer one takes its place."""

    relations: Mapping[tuple[str, str], Relation] = field(default_factory=dict)
    relationships: Mapping[tuple[str, str], Sequence[Relationship]] = field(default_factory=dict)
    functions: Mapping[tuple[str, str], Sequence[Function]] = field(default_factory=dict)
    roles: Mapping[str, RoleSettings] = field(default_factory=dict)

    def relation(self, schema: str, name: str) -> Relation:
        """The relation of that name.

        Raises:
            RestError: PGRST205, there is none.
        """
        found = self.relations.get((schema, name))
        if found is None:
            near = _nearest(name, schema, self.relations)
            message = f"Could not find the table '{schema}.{name}' in the schema cache"
            hint = f"Perhaps you meant the table '{schema}.{near}'" if near else None
            raise RestError(404, "PGRST205", message, hint=hint)
        return found

    def function(self, schema: str, name: str, names: frozenset[str], whole: Sequence[str], *, raw: bool) -> Function:
        """The one function that can be called with these argument names.

        Args:
            schema: where it is.
            name: what it is called.
            names: the names of the arguments.
            whole: the types of a parameter that can take the body as a whole, where there is one.
            raw: whether that is the only way to take it.

        Raises:
            RestError: PGRST202, there is none; PGRST203, there are several.
        """
        overloads = self.functions.get((schema, name), ())
        found = [] if raw else [one for one in overloads if one.takes(names)]
        found = found or [one for one in overloads if one.whole_type in whole]
        if len(found) == 1:
            return found[0]
        if found:
            raise _ambiguous(found)
        raise _unknown_raw(schema, name, whole) if raw else self._unknown(schema, name, names, whole)

    def _unknown(self, schema: str, name: str, names: frozenset[str], whole: Sequence[str]) -> RestError:
        told = ", ".join(sorted(names))
        word = "parameters" if len(names) > 1 else "parameter"
        searched = f" with {word} {told}" if names else " without parameters"
        alternative = f" or with a single unnamed {'/'.join(whole)} parameter" if whole else ""
        return RestError(
            404,
            "PGRST202",
            f"Could not find the function {schema}.{name}{f'({told})' if names else ' without parameters'}"
            " in the schema cache",
            details=f"Searched for the function {schema}.{name}{searched}{alternative},"
            " but no matches were found in the schema cache.",
            hint=self._near_function(schema, name, told),
        )

    def _near_function(self, schema: str, name: str, told: str) -> str | None:
        overloads = self.functions.get((schema, name))
        if overloads:
            signatures = [f"({', '.join(sorted(one.name for one in overload.parameters))})" for overload in overloads]
            near = likest(f"({told})", signatures)
            call = f"{name}{near}" if near else None
        else:
            call = _nearest(name, schema, self.functions)
        return f"Perhaps you meant to call the function {schema}.{call}" if call else None


def _unknown_raw(schema: str, name: str, whole: Sequence[str]) -> RestError:
    return RestError(
        404,
        "PGRST202",
        f"Could not find the function {schema}.{name} in the schema cache",
        details=f"Searched for the function {schema}.{name} with a single unnamed {'/'.join(whole)} parameter,"
        " but no matches were found in the schema cache.",
    )


def _ambiguous(found: Sequence[Function]) -> RestError:
    signatures = []
    for function in found:
        parameters = ", ".join(f"{one.name} => {one.type}" for one in function.parameters)
        signatures.append(f"{function.schema}.{function.name}({parameters})")
    return RestError(
        300,
        "PGRST203",
        f"Could not choose the best candidate function between: {', '.join(signatures)}",
        hint="Try renaming the parameters or the function itself in the database"
        " so function overloading can be resolved",
    )


def _nearest(name: str, schema: str, known: Mapping[tuple[str, str], object]) -> str | None:
    return likest(name, [other for in_schema, other in known if in_schema == schema], 0.75)
