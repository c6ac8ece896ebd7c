"""Under which addresses media may be given."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import jwt
import pytest

from functions.jobs.outcomes import JobError
from functions.platforms.media_urls import check_lifetime, check_media_url, stored_path
from functions.settings import Settings
from tests.functions.conftest import make_settings

ANA, BEN = UUID("8f14e45f-ceea-4670-9bd8-2f1d0c6a7b11"), uuid4()
ORIGIN = "http://127.0.0.1:54321"
OBJECTS = f"{ORIGIN}/storage/v1/object"


@pytest.fixture
def settings() -> Settings:
    return make_settings(ORIGIN, media_allowed_hosts="files.example, other.example:9000, [::1]:9000")


def code_of(url: str, settings: Settings, owner: UUID | None = ANA) -> str:
    with pytest.raises(JobError) as refused:
        check_media_url(url, settings, owner)
    return refused.value.code


def signed(path: str, ends_in: timedelta | None, **claims: object) -> str:
    ends = {"exp": datetime.now(UTC) + ends_in} if ends_in is not None else {}
    return f"{OBJECTS}/sign/{path}?token={jwt.encode({**claims, **ends}, 'x' * 32)}"


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.example/a.mp4",
        "https://cdn.example:443/a%20b.mp4?x=%0d%0a#t",
        "https://xn--mnchen-3ya.example/a.mp4",
        "https://münchen.example/a.mp4",
        "https://93.184.215.14/a.mp4",
        "https://[2606:4700:4700::1111]/a.mp4",
        f"{OBJECTS}/public/media/a.mp4",
        "http://files.example/a.mp4",
        "http://files.example:8080/a.mp4",
        "http://other.example:9000/a.mp4",
        "http://[::1]:9000/a.mp4",
        f"storage:media/{ANA}/x/a b.mp4",
    ],
)
def test_public_https_the_projects_own_origin_listed_hosts_and_own_files_are_allowed(
    url: str, settings: Settings
) -> None:
    check_media_url(url, settings, ANA)


@pytest.mark.parametrize(
    "url",
    [
        *("http://cdn.example/a.mp4", "http://127.0.0.1:8000/a.mp4", "http://other.example/a.mp4", "a.mp4", ""),
        *(
            "ftp://cdn.example/a.mp4",
            "file:///etc/passwd",
            "https://",
            "https:cdn.example/a",
            "https://cdn.example:port/",
        ),
        *("https://user:password@cdn.example/a.mp4", "https://@cdn.example/", "https://cdn.example/\na.mp4"),
        *(
            "https://cdn.example\\a",
            "https://cdn.example/a b",
            "https://cdn.example:8443/a",
            "https://cdn.example:99999/a",
        ),
        *(
            "https://127.0.0.1:54321/a",
            "http://127.0.0.1:54322/a",
            "http://localhost:54321/a",
            "https://xn--n3h.example/",
        ),
        *(
            f"https://{'a' * 64}.example/",
            f"https://{'a.' * 127}example/",
            "https://-a.example/",
            "https://a_b..example/",
        ),
    ],
)
def test_any_other_address_is_refused(url: str, settings: Settings) -> None:
    assert code_of(url, settings) == "media_url_not_allowed"


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/rest/v1/jobs", "/rest/v1/rpc/tick?apikey=x", "/auth/v1/settings", "/functions/v1/f"),
        *("/storage/v1", "/storage/v1/bucket", "/storage/v1/object/public/", "/storage/v1/object/info/media/a"),
        *("/x/storage/v1/object/public/m/a", "//storage/v1/object/public/media/a.mp4"),
        "/storage/v1/object/public/../../../../rest/v1/jobs",
        "/storage/v1/object/public/%2e%2e/%2e%2e/%2e%2e/%2e%2e/rest/v1/jobs",
        *("/storage/v1/object/public/..%2f..%2frest/v1", "/storage/v1/object/public/m/..%5c..%5crest"),
        "/storage/v1/object/public/%252e%252e/rest/v1/jobs",
    ],
)  # fmt: skip
@pytest.mark.parametrize("origin", [ORIGIN, "https://abc.supabase.example"])
def test_of_the_projects_own_services_only_storage_gives_media(origin: str, path: str) -> None:
    assert code_of(origin + path, make_settings(origin)) == "media_url_not_allowed"


def test_a_project_below_a_path_has_its_storage_there() -> None:
    settings = make_settings("https://self.example/api")
    check_media_url("https://self.example/api/storage/v1/object/public/media/a.mp4", settings, ANA)
    assert code_of("https://self.example/storage/v1/object/public/media/a.mp4", settings) == "media_url_not_allowed"


def test_servers_that_stand_for_the_platforms_are_no_place_for_media() -> None:
    """They may lie in a private network, and the connection would be let through."""
    settings = make_settings(
        tiktok_base_url="https://egress.corp.example", oauth_base_url="https://signin.corp.example"
    )
    for host in ("egress.corp.example", "egress.corp.example:443", "EGRESS.corp.example", "signin.corp.example"):
        assert code_of(f"https://{host}/metadata", settings) == "media_url_not_allowed"
    check_media_url("https://www.googleapis.com/drive/v3/files/1?alt=media", settings, ANA)


@pytest.mark.parametrize(
    "reference",
    [
        *("storage:", "storage:media", "storage:media/", "storage:other/{}/a.mp4", "storage:/media/{}/a.mp4"),
        *("storage:media/{}/", "storage:media/{}//a.mp4", "storage:media/{}/../x/a.mp4", "storage:media/{}/./a.mp4"),
        *(
            "storage:media/{}/a.mp4?token=x",
            "storage:media/{}/%2e%2e/a.mp4",
            "storage:media/{}/a\n.mp4",
            "storage:media/{}/ü",
        ),
    ],
)
def test_a_reference_that_is_none_is_refused(reference: str, settings: Settings) -> None:
    assert code_of(reference.format(ANA), settings) == "media_url_not_allowed"


@pytest.mark.parametrize("path", ["{}/a.mp4", "a.mp4", "{}x/a.mp4"])
def test_nobody_refers_to_the_files_of_others(path: str, settings: Settings) -> None:
    assert code_of(f"storage:media/{path.format(BEN)}", settings) == "media_not_yours"
    assert (
        code_of(f"storage:media/{path.format(ANA)}", settings, owner=None if "{}/" in path else BEN)
        == "media_not_yours"
    )


def test_own_files_are_known_by_reference_and_by_address(settings: Settings) -> None:
    path = f"{ANA}/x/a b.mp4"
    escaped = path.replace(" ", "%20")
    for url in (f"storage:media/{path}", signed(f"media/{escaped}", None), f"{OBJECTS}/authenticated/media/{escaped}"):
        assert stored_path(url, settings, ANA) == path
        assert stored_path(url, settings, BEN) is None
        assert stored_path(url, settings, None) is None
    for url in (
        f"{OBJECTS}/public/media/{escaped}",
        f"{OBJECTS}/sign/other/{escaped}?token=x",
        f"https://cdn.example/storage/v1/object/sign/media/{escaped}",
        f"{ORIGIN}/rest/v1/media/{escaped}",
        f"{OBJECTS}/sign/media/{ANA}/%2e%2e/{BEN}/a.mp4",
        f"{OBJECTS}/sign/media/{ANA}%2f..%2f{BEN}/a.mp4",
    ):
        assert stored_path(url, settings, ANA) is None, url


def test_a_signed_address_must_outlast_the_publication(settings: Settings) -> None:
    short, long = timedelta(minutes=119), timedelta(minutes=121)
    for place in ("other/a.mp4", f"media/{BEN}/a.mp4"):
        check_lifetime(signed(place, long), settings, ANA)
        with pytest.raises(JobError, match="expires at") as refused:
            check_lifetime(signed(place, short), settings, ANA)
        assert refused.value.code == "media_url_expires_too_soon"
        with pytest.raises(JobError):
            check_lifetime(signed(place, long), settings, ANA, datetime.now(UTC) + timedelta(hours=1))


def test_what_does_not_end_or_is_made_anew_is_not_held_against_the_clock(settings: Settings) -> None:
    for url in (
        f"storage:media/{ANA}/a.mp4",
        signed(f"media/{ANA}/a.mp4", timedelta(seconds=1)),
        f"{OBJECTS}/public/media/a.mp4",
        "https://cdn.example/a.mp4?token=x",
        signed("other/a.mp4", None),
        f"{OBJECTS}/sign/other/a.mp4?token=nonsense",
        f"{OBJECTS}/sign/other/a.mp4",
        signed("other/a.mp4", None, exp="soon"),
        signed("other/a.mp4", None, exp=10**30),
    ):
        check_lifetime(url, settings, ANA)
