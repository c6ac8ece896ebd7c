"""Column values as JSON: what the database's own `to_jsonb` makes of them."""

import json
from collections.abc import AsyncIterator

import pytest

from tests.conftest import Database
from tests.wire.realtime_support import RawClient, Server, serve, watching, writer

TYPES = {
    "big": ("int8", "9007199254740993", "9007199254740993"),
    "small": ("int2", "-5", "-5"),
    "exact": ("numeric", "12.50", "12.50"),
    "long": ("numeric", "12345678901234567890.123456789", "12345678901234567890.123456789"),
    "nan": ("numeric", "NaN", "null"),
    "real": ("float8", "0.1", "0.1"),
    "infinite": ("float8", "-Infinity", "null"),
    "yes": ("boolean", "true", "true"),
    "words": ("text", 'say "é" \\ \n', '"say \\"é\\" \\\\ \\n"'),
    "short": ("varchar(10)", "abc", '"abc"'),
    "fixed": ("char(4)", "abcd", '"a"'),  # the server's quirk: cast to character, which is character(1)
    "key": ("uuid", "6F000000-0000-4000-8000-000000000001", '"6f000000-0000-4000-8000-000000000001"'),
    "document": ("jsonb", '{"b": [1, 2.50], "a": null}', '{"a": null, "b": [1, 2.50]}'),
    "verbatim": ("json", '{"b":1}', '{"b":1}'),
    "moment": ("timestamptz", "2024-01-02 03:04:05.678901+02", '"2024-01-02T01:04:05.678901+00:00"'),
    "plain": ("timestamp", "2024-01-02 03:04:05", '"2024-01-02T03:04:05"'),
    "forever": ("timestamptz", "infinity", '"infinity"'),
    "ancient": ("timestamptz", "0044-03-15 12:00:00+00 BC", '"0044-03-15T12:00:00+00:00 BC"'),
    "day": ("date", "2024-02-29", '"2024-02-29"'),
    "hour": ("time", "23:59:59", '"23:59:59"'),
    "lasting": ("interval", "1 day 2 hours", '"1 day 02:00:00"'),
    "bytes": ("bytea", "\\x0102ff", '"0102ff"'),
    "tags": ("text[]", '{a,"b c",NULL}', '["a", "b c", null]'),
    "matrix": ("int[]", "{{1,2},{3,4}}", "[[1, 2], [3, 4]]"),
    "moments": ("timestamptz[]", '{"2024-01-02 00:00:00+00"}', '["2024-01-02T00:00:00+00:00"]'),
    "span": ("int4range", "[1,5)", '"[1,5)"'),
    "mood": ("mood", "glad", '"glad"'),
    "moods": ("mood[]", "{glad,sad}", '["glad", "sad"]'),
    "positive": ("positive", "7", "7"),
    "pair": ("pair", "(1,x)", '{"a": 1, "b": "x"}'),
    "address": ("inet", "10.0.0.1", '"10.0.0.1"'),
}
TYPE_NAMES = {
    "big": "int8", "yes": "bool", "short": "varchar", "fixed": "bpchar", "moment": "timestamptz", "tags": "_text",
    "mood": "mood", "positive": "positive",
}  # fmt: skip


@pytest.fixture
async def server(bare_database: Database) -> AsyncIterator[Server]:
    columns = ", ".join(f'"{name}" {kind}' for name, (kind, _, _) in TYPES.items())
    with bare_database.connect() as connection:
        connection.execute("create type mood as enum ('sad', 'glad')")
        connection.execute("create domain positive as int check (value > 0)")
        connection.execute("create type pair as (a int, b text)")
        connection.execute(f"create table samples (id int primary key, {columns})")
        connection.execute("grant select on samples to anon")
        connection.execute("alter publication supabase_realtime add table samples")
    async with serve(bare_database) as running:
        yield running


async def test_every_type_arrives_as_its_json(server: Server) -> None:
    async with RawClient.open(server) as client:
        await client.subscribe(watching("samples"))
        with writer(server.database) as connection:
            # the writer's own settings must not show in the message
            connection.execute(
                "set timezone = 'America/Sao_Paulo'; set datestyle = 'SQL, DMY'; set bytea_output = escape"
            )
            places = ", ".join("%s" for _ in TYPES)
            connection.execute(f"insert into samples values (1, {places})", [text for _, text, _ in TYPES.values()])
        text = str(await client.connection.recv())
    change = json.loads(text)["payload"]["data"]
    wrong = {
        name: change["record"][name]
        for name, (_, _, wanted) in TYPES.items()
        if change["record"][name] != json.loads(wanted)
    }
    assert wrong == {}
    names = {column["name"]: column["type"] for column in change["columns"]}
    assert {name: names[name] for name in TYPE_NAMES} == TYPE_NAMES
    for digits in ('"big":9007199254740993,', '"exact":12.50,', '"long":12345678901234567890.123456789,'):
        assert digits in text


async def test_a_value_that_its_domain_no_longer_accepts_stays_text(server: Server) -> None:
    async with RawClient.open(server) as client:
        await client.subscribe(watching("samples"))
        with writer(server.database) as connection:
            connection.execute("insert into samples (id, positive, tags) values (1, 7, '{a}')")
            await client.change()
            connection.execute("alter domain positive add constraint large check (value > 100) not valid")
            connection.execute("update samples set tags = '{b}'")
        record = (await client.change())["record"]
    assert (record["positive"], record["tags"]) == ("7", ["b"])


async def test_a_stored_generated_column_is_worked_out(bare_database: Database) -> None:
    with bare_database.connect() as connection:
        connection.execute(
            'create table orders (id int primary key, price numeric(8, 2), "Amount" int,'
            ' total numeric(8, 1) generated always as (price * "Amount") stored,'
            " dear boolean generated always as (price > 9) stored, label text generated always as (null) stored)"
        )
        connection.execute("grant select on orders to anon")
        connection.execute("alter publication supabase_realtime add table orders")
    async with serve(bare_database) as server, RawClient.open(server) as client:
        await client.subscribe(watching("orders", filter="total=gt.5"))
        with writer(bare_database) as connection:
            connection.execute("insert into orders values (1, 1.25, 2)")
            connection.execute("insert into orders values (2, 1.25, 5)")
        change = await client.change()
    worked_out = {"total": 6.3, "dear": False, "label": None}
    assert change["record"] == {"id": 2, "price": 1.25, "Amount": 5, **worked_out}
    assert [column["name"] for column in change["columns"]] == ["id", "price", "Amount", *worked_out]
