import jwt
import pytest

from devstack.keys import local_keys


def test_the_keys_are_those_of_the_official_cli() -> None:
    keys = local_keys()
    assert keys.anon_key.endswith(".CRXP1A7WOeoJeXxjNni43kdQwgnWNReilDMblYTn_I0")
    assert keys.service_role_key.endswith(".EGIM96RAZx35lJzdJsyH-qQwv8Hdp7fsn3W0YpN81IU")
    assert keys.publishable_key.startswith("sb_publishable_")
    assert keys.secret_key.startswith("sb_secret_")


@pytest.mark.parametrize("role", ["anon", "service_role"])
def test_a_legacy_key_carries_its_role_and_an_expiry(role: str) -> None:
    keys = local_keys()
    claims = jwt.decode(getattr(keys, f"{role}_key"), keys.jwt_secret, algorithms=["HS256"])
    assert claims == {"iss": "supabase-demo", "role": role, "exp": 1983812996}
