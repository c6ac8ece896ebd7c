"""Which relationship a request means by a name and a hint, and the refusals when it means none or several."""

from collections.abc import Mapping, Sequence

from devstack.rest.errors import RestError
from devstack.rest.likeness import likest
from devstack.rest.relationships import Name, Relationship

Relationships = Mapping[Name, Sequence[Relationship]]


def find_relationship(known: Relationships, schema: str, origin: str, target: str, hint: str | None) -> Relationship:
    """The one relationship from `origin` that `target`, made precise by `hint`, can mean.

    Raises:
        RestError: PGRST200, there is none; PGRST201, there are several.
    """
    there = [one for one in known.get((schema, origin), ()) if (one.function_schema or one.foreign[0]) == schema]
    found = [one for one in there if one.answers(target, hint)]
    if len(found) == 1:
        return found[0]
    raise _ambiguous(origin, target, found) if found else _unknown(known, schema, origin, target, hint)


def _unknown(known: Relationships, schema: str, origin: str, target: str, hint: str | None) -> RestError:
    using = f" using the hint '{hint}'" if hint else ""
    return RestError(
        400,
        "PGRST200",
        f"Could not find a relationship between '{origin}' and '{target}' in the schema cache",
        details=f"Searched for a foreign key relationship between '{origin}' and '{target}'{using}"
        f" in the schema '{schema}', but no matches were found.",
        hint=_meant(known, schema, origin, target),
    )


def _meant(known: Relationships, schema: str, origin: str, target: str) -> str | None:
    """A name like the one that was not found; nothing when the hint must have been wrong."""
    there = known.get((schema, origin))
    if there is None:
        near = likest(origin, [name for in_schema, name in known if in_schema == schema])
        wrong = origin
    else:
        names = [one.foreign[1] for one in there]
        near = None if target in names else likest(target, names)
        wrong = target
    return f"Perhaps you meant '{near}' instead of '{wrong}'." if near else None


def _ambiguous(origin: str, target: str, found: Sequence[Relationship]) -> RestError:
    choices = ", ".join(f"'{target}!{one.junction.table[1] if one.junction else one.constraint}'" for one in found)
    return RestError(
        300,
        "PGRST201",
        f"Could not embed because more than one relationship was found for '{origin}' and '{target}'",
        details=[_described(one) for one in found],
        hint=f"Try changing '{target}' to one of the following: {choices}."
        " Find the desired relationship in the 'details' key.",
    )


def _described(one: Relationship) -> dict[str, str]:
    if one.junction is not None:
        here = f"{one.junction.source}({', '.join(there for _, there in one.columns)})"
        there = f"{one.junction.target}({', '.join(here for here, _ in one.junction.to_target)})"
        told = f"{one.junction.table[1]} using {here} and {there}"
    else:
        here = f"{one.table[1]}({', '.join(here for here, _ in one.columns)})"
        there = f"{one.foreign[1]}({', '.join(there for _, there in one.columns)})"
        told = f"{one.constraint} using {here} and {there}"
    return {
        "cardinality": one.kind,
        "embedding": f"{one.table[1]} with {one.foreign[1]}",
        "relationship": told,
    }
