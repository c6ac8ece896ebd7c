"""The REST gateway of the stack, wire-compatible with PostgREST 14."""
