"""What the library promises: a short, sorted list of names, each with its meaning."""

import importlib.resources
import inspect
import types

import filaviva


def test_the_exported_names_are_exactly_the_public_ones() -> None:
    public = {
        name
        for name, value in vars(filaviva).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public == set(filaviva.__all__)


def test_the_exported_names_are_sorted_and_few() -> None:
    assert filaviva.__all__ == sorted(filaviva.__all__)
    assert len(filaviva.__all__) <= 16


def test_every_exported_object_reads_as_coming_from_filaviva() -> None:
    assert {getattr(filaviva, name).__module__ for name in filaviva.__all__} == {"filaviva"}


def test_every_exported_object_and_its_methods_say_what_they_mean() -> None:
    for name in filaviva.__all__:
        exported = getattr(filaviva, name)
        assert inspect.getdoc(exported), name
        for method, function in vars(exported).items():
            if inspect.isfunction(function) and not method.startswith("_"):
                assert inspect.getdoc(function), f"{name}.{method}"


def test_the_library_is_typed() -> None:
    assert importlib.resources.files(filaviva).joinpath("py.typed").is_file()
