"""The official JavaScript client, unchanged: files in and out; also against a hosted project (`hosted`)."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.wire.hosted import ServedProject, served_project
from tests.wire.js_support import official_js, run_js

pytestmark = [*official_js, pytest.mark.asyncio(loop_scope="module")]

SCHEMA = """
insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
values ('js-inner', 'js-inner', false, 1000, array['text/plain', 'video/*']), ('js-open', 'js-open', true, null, null);
create policy js_upload on storage.objects for insert to anon
  with check (bucket_id = 'js-open' or bucket_id = 'js-inner' and (storage.foldername(name))[1] = 'mine');
create policy js_see on storage.objects for select to anon
  using (bucket_id = 'js-inner' and (storage.foldername(name))[1] = 'mine');
create policy js_remove on storage.objects for delete to anon
  using (bucket_id = 'js-inner' and (storage.foldername(name))[1] = 'mine');
create function public.tested() returns boolean language sql stable as 'select true';
grant execute on function public.tested to anon;
"""
UNDO = """
drop policy js_upload on storage.objects;
drop policy js_see on storage.objects;
drop policy js_remove on storage.objects;
drop function public.tested;
"""

TOOLS = """
const db = createClient({ auth: { persistSession: false } })
const inner = db.storage.from('js-inner')
const ask = async (call, pick = (data) => data) => {
  const { data, error } = await call
  tell(error ? [error.statusCode ?? error.status, error.message] : await pick(data))
  return data
}
const text = { contentType: 'text/plain' }
const blob = (content) => new Blob([content], { type: 'text/plain' })
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(request: pytest.FixtureRequest) -> AsyncIterator[ServedProject]:
    async with served_project(lambda: request.getfixturevalue("cluster"), SCHEMA, UNDO) as project:
        yield project
        headers = {"apikey": project.service_role_key, "Authorization": f"Bearer {project.service_role_key}"}
        async with httpx.AsyncClient(base_url=f"{project.url}/storage/v1/bucket", headers=headers) as buckets:
            for name in ("js-inner", "js-open"):
                await buckets.post(f"/{name}/empty", json={})
                await buckets.delete(f"/{name}")


async def told(project: ServedProject, script: str) -> list[Any]:
    return await run_js(TOOLS + script, {"SUPABASE_URL": project.url, "SUPABASE_KEY": project.anon_key})


async def test_a_private_file_goes_in_is_listed_read_in_parts_and_removed(server: ServedProject) -> None:
    script = """
    await ask(inner.upload('mine/a b.txt', 'hello there', text), (data) => data.path)
    await ask(inner.upload('mine/a b.txt', 'again', text))
    await ask(inner.upload('theirs/a.txt', 'hello', text))
    await ask(inner.upload('mine/page.html', '<p>', { contentType: 'text/html' }))
    await ask(inner.list('mine'), (data) => data.map((file) => [file.name, file.metadata.size]))
    await ask(inner.list(''), (data) => data.map((file) => [file.name, file.id]))
    await ask(inner.download('mine/a b.txt'), (data) => data.text())
    await ask(inner.download('theirs/a.txt'), (data) => data.text())
    const { signedUrl } = await ask(inner.createSignedUrl('mine/a b.txt', 60), (data) => typeof data.signedUrl)
    const part = await fetch(signedUrl, { headers: { Range: 'bytes=0-4' } })
    tell([part.status, part.headers.get('content-range'), await part.text()])
    await ask(inner.createSignedUrls(['mine/a b.txt', 'mine/none'], 60), (data) => data.map((one) => !!one.signedUrl))
    await ask(inner.remove(['mine/a b.txt', 'theirs/a.txt']), (data) => data.map((file) => file.name))
    await ask(inner.list('mine'))
    """
    answers = await told(server, script)
    assert answers[0] == "mine/a b.txt"
    assert answers[1] == ["409", "The resource already exists"]
    assert answers[2] == ["403", "new row violates row-level security policy"]
    assert answers[3] == ["415", "mime type text/html is not supported"]
    assert answers[4:7] == [[["a b.txt", 11]], [["mine", None]], "hello there"]
    assert answers[7] != "hello"
    assert answers[8:] == ["string", [206, "bytes 0-4/11", "hello"], [True, False], ["mine/a b.txt"], []]


async def test_a_signed_address_takes_an_upload(server: ServedProject) -> None:
    script = """
    const { token } = await ask(inner.createSignedUploadUrl('mine/b.txt'), (data) => data.path)
    await ask(inner.uploadToSignedUrl('mine/b.txt', token, blob('signed')), (data) => data.path)
    await ask(inner.download('mine/b.txt'), (data) => data.text())
    await ask(inner.uploadToSignedUrl('mine/c.txt', token, blob('other')), () => 'taken')
    await ask(inner.createSignedUploadUrl('theirs/b.txt'), () => 'signed')
    """
    answers = await told(server, script)
    assert answers[:3] == ["mine/b.txt", "mine/b.txt", "signed"]
    assert answers[3] != "taken"
    assert answers[4] == ["403", "new row violates row-level security policy"]


async def test_a_public_file_is_read_without_a_key(server: ServedProject) -> None:
    script = """
    const open = db.storage.from('js-open')
    await ask(open.upload('x/a.txt', 'for all', text), (data) => data.path)
    const answer = await fetch(open.getPublicUrl('x/a.txt').data.publicUrl)
    tell([answer.status, answer.headers.get('content-type').split(';')[0], await answer.text()])
    """
    assert await told(server, script) == ["x/a.txt", [200, "text/plain", "for all"]]
