import asyncio
import os

from supabase import acreate_client

from filaviva import FilaViva


async def main() -> None:
    url, key = os.environ["SUPABASE_URL"], os.environ["SUPABASE_ANON_KEY"]
    app = await acreate_client(url, key)
    ana = (await app.auth.sign_up({"email": f"{os.urandom(8).hex()}@example.com", "password": "a-long-secret"})).session
    assert ana is not None
    async with FilaViva(url, key, access_token=ana.access_token) as fila:
        job = await fila.enqueue("canary", {})
        async for state in fila.watch(job.id):
            print(state.status, state.attempt)


asyncio.run(main())
