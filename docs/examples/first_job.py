import asyncio
import os

from supabase import acreate_client

from filaviva import FilaViva


async def main() -> None:
    url, key = os.environ["SUPABASE_URL"], os.environ["SUPABASE_ANON_KEY"]
    project = await acreate_client(url, key)
    session = (await project.auth.sign_up({"email": "ana@example.com", "password": "a-long-secret"})).session
    assert session is not None
    async with FilaViva(url, key, access_token=session.access_token) as fila:
        job = await fila.enqueue("canary", {})
        async for state in fila.watch(job.id):
            print(state.status, state.attempt)


asyncio.run(main())
