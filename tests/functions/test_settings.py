import pytest

from functions.settings import Settings, SettingsError

ENVIRONMENT = {
    "SUPABASE_URL": "http://127.0.0.1:54321/",
    "SUPABASE_ANON_KEY": "anon-key",
    "SUPABASE_SERVICE_ROLE_KEY": "service-key-canary",
    "CRON_SECRET": "cron-secret-canary",
}


def refusal(**changes: str) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ(ENVIRONMENT | changes)
    return str(caught.value)


def test_four_variables_are_enough() -> None:
    settings = Settings.from_environ(ENVIRONMENT)
    assert settings.supabase_url == "http://127.0.0.1:54321"
    assert settings.tiktok_base_url == "https://open.tiktokapis.com"
    assert settings.instagram_api_version == "v26.0"
    assert settings.media_allowed_hosts == ()
    assert (settings.drain_concurrency, settings.drain_budget_seconds, settings.drain_linger_seconds) == (10, 50, 2.5)


@pytest.mark.parametrize("name", ["SUPABASE_URL", "SUPABASE_ANON_KEY"])
def test_the_names_of_the_design_documents_are_read_too(name: str) -> None:
    value = "https://example.test" if name.endswith("URL") else "another-key"
    environment = {key: text for key, text in ENVIRONMENT.items() if key != name}
    settings = Settings.from_environ(environment | {f"NEXT_PUBLIC_{name}": value})
    found = getattr(settings, name.lower())
    assert (found.get_secret_value() if name.endswith("KEY") else found) == value


def test_the_short_name_wins_over_the_long_one() -> None:
    settings = Settings.from_environ(ENVIRONMENT | {"NEXT_PUBLIC_SUPABASE_URL": "http://other.test"})
    assert settings.supabase_url == "http://127.0.0.1:54321"


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_a_missing_variable_is_named_with_its_remedy(name: str) -> None:
    message = refusal(**{name: " "})
    assert message.startswith(f"{name}: is not set. Set it to ")
    assert message.count("\n") == 0


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ({})
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == list(ENVIRONMENT)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SUPABASE_URL", "127.0.0.1:54321"),
        ("SUPABASE_URL", "ftp://example.test"),
        ("SUPABASE_URL", "https://"),
        ("SUPABASE_URL", "https://exam ple.test"),
        ("SUPABASE_URL", "https://example.test:port"),
        ("SUPABASE_URL", "https://example.test?query"),
        ("CRON_SECRET", "two words"),
        ("CRON_SECRET", "schlüssel"),
        ("INSTAGRAM_API_VERSION", "26"),
        ("FACEBOOK_API_VERSION", "latest"),
        ("THREADS_BASE_URL", "graph.threads.net"),
        ("FILAVIVA_PLATFORM_ANSWER_SECONDS", "0"),
        ("FILAVIVA_DRAIN_CONCURRENCY", "0"),
        ("FILAVIVA_DRAIN_CONCURRENCY", "ten"),
        ("FILAVIVA_DRAIN_BUDGET_SECONDS", "inf"),
        ("FILAVIVA_DRAIN_LINGER_SECONDS", "nan"),
        ("FILAVIVA_SHUTDOWN_GRACE_SECONDS", "-1"),
    ],
)
def test_a_malformed_variable_is_named_with_its_remedy_too(name: str, value: str) -> None:
    message = refusal(**{name: value})
    assert message.startswith(f"{name}: ")
    assert "Set it to " in message


def test_hosts_are_a_list_with_commas() -> None:
    settings = Settings.from_environ(ENVIRONMENT | {"MEDIA_ALLOWED_HOSTS": "cdn.test, 127.0.0.1:54321,,CDN2.test "})
    assert settings.media_allowed_hosts == ("cdn.test", "127.0.0.1:54321", "cdn2.test")


def test_secrets_are_never_printed() -> None:
    settings = Settings.from_environ(ENVIRONMENT)
    assert "canary" not in repr(settings) + str(settings)
    assert "canary" not in refusal(CRON_SECRET="cron secret canary")


def test_settings_cannot_be_changed() -> None:
    settings = Settings.from_environ(ENVIRONMENT)
    with pytest.raises(ValueError, match="frozen"):
        settings.drain_concurrency = 3
