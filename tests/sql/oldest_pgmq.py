"""pgmq as hosted Supabase ships it, 1.5.1, made from the real SQL by taking away what came later.

Taken from the newer SQL and not written anew, so that what is left behaves as pgmq does. Given here
are the few functions that went another way since: then, a queue's tables belonged to the extension.
"""

import psycopg

FUNCTIONS = frozenset(
    {
        "archive(text, bigint)",
        "archive(text, bigint[])",
        "create(text)",
        "create_non_partitioned(text)",
        "create_unlogged(text)",
        "delete(text, bigint)",
        "delete(text, bigint[])",
        "detach_archive(text)",
        "drop_queue(text)",
        "drop_queue(text, boolean)",
        "format_table_name(text, text)",
        "list_queues()",
        "metrics(text)",
        "metrics_all()",
        "pop(text)",
        "purge_queue(text)",
        "read(text, integer, integer, jsonb)",
        "read_with_poll(text, integer, integer, integer, integer, jsonb)",
        "send(text, jsonb)",
        "send(text, jsonb, integer)",
        "send(text, jsonb, jsonb)",
        "send(text, jsonb, jsonb, integer)",
        "send(text, jsonb, jsonb, timestamp with time zone)",
        "send(text, jsonb, timestamp with time zone)",
        "send_batch(text, jsonb[])",
        "send_batch(text, jsonb[], integer)",
        "send_batch(text, jsonb[], jsonb[])",
        "send_batch(text, jsonb[], jsonb[], integer)",
        "send_batch(text, jsonb[], jsonb[], timestamp with time zone)",
        "send_batch(text, jsonb[], timestamp with time zone)",
        "set_vt(text, bigint, integer)",
        "validate_queue_name(text)",
    }
)
"""Every public function of 1.5.1, with the types of its parameters, those for partitioned queues aside."""

HELPERS = frozenset({"_belongs_to_pgmq", "_send_batch", "_validate_batch_params", "acquire_queue_lock"})
"""Private functions that the public ones call, three of them newer; nobody else may."""

COLUMNS = {
    "message_record": ["msg_id", "read_ct", "enqueued_at", "vt", "message", "headers"],
    "metrics_result": [
        "queue_name",
        "queue_length",
        "newest_msg_age_sec",
        "oldest_msg_age_sec",
        "total_messages",
        "scrape_time",
        "queue_visible_length",
    ],
    "meta": ["queue_name", "is_partitioned", "is_unlogged", "created_at"],
    "q_": ["msg_id", "read_ct", "enqueued_at", "vt", "message", "headers"],
}
"""The columns of 1.5.1's types and tables, in their order."""

_TAKE_AWAY_A_COLUMN = r"""
do $$
declare
  v_newer record;
begin
  for v_newer in
    select pg_get_functiondef(p.oid) as definition from pg_proc p
    where p.pronamespace = 'pgmq'::regnamespace and p.prosrc like '%last\_read\_at%'
  loop
    execute regexp_replace(
      v_newer.definition, '(m\.)?last_read_at( TIMESTAMP WITH TIME ZONE| = clock_timestamp\(\))?,\s*', '', 'g'
    );
  end loop;
end
$$;
alter type pgmq.message_record drop attribute last_read_at;
alter type pgmq.metrics_result drop attribute default_partition_length;
"""

_TAKE_AWAY_TABLES = """
alter extension pgmq drop table pgmq.notify_insert_throttle;
alter extension pgmq drop table pgmq.topic_bindings;
drop table pgmq.notify_insert_throttle, pgmq.topic_bindings;
"""

_AS_THEY_WERE = """
create function pgmq.pop(queue_name text) returns setof pgmq.message_record
language plpgsql
as $$
begin
  return query execute format(
    'delete from pgmq.%1$I where msg_id = (select msg_id from pgmq.%1$I where vt <= clock_timestamp()'
    ' order by msg_id limit 1 for update skip locked) returning *',
    pgmq.format_table_name(queue_name, 'q')
  );
end
$$;
create or replace function pgmq.set_vt(queue_name text, msg_id bigint, vt integer) returns setof pgmq.message_record
language plpgsql
as $$
begin
  return query execute format(
    'update pgmq.%I set vt = clock_timestamp() + %L where msg_id = %L returning *',
    pgmq.format_table_name(queue_name, 'q'), make_interval(secs => vt), msg_id
  );
end
$$;
create or replace function pgmq.create(queue_name text) returns void
language plpgsql
as $$
begin
  perform pgmq.create_non_partitioned(queue_name);
  if pgmq._belongs_to_pgmq(pgmq.format_table_name(queue_name, 'q')) then
    return;
  end if;
  execute format('alter extension pgmq add table pgmq.%I', pgmq.format_table_name(queue_name, 'q'));
  execute format('alter extension pgmq add sequence pgmq.%I_msg_id_seq', pgmq.format_table_name(queue_name, 'q'));
  execute format('alter extension pgmq add table pgmq.%I', pgmq.format_table_name(queue_name, 'a'));
end
$$;
create or replace function pgmq.detach_archive(queue_name text) returns void
language plpgsql
as $$
begin
  execute format('alter extension pgmq drop table pgmq.%I', pgmq.format_table_name(queue_name, 'a'));
end
$$;
create or replace function pgmq.drop_queue(queue_name text) returns boolean
language plpgsql
as $$
begin
  execute format('alter extension pgmq drop sequence pgmq.%I_msg_id_seq', pgmq.format_table_name(queue_name, 'q'));
  execute format('alter extension pgmq drop table pgmq.%I', pgmq.format_table_name(queue_name, 'q'));
  execute format('alter extension pgmq drop table pgmq.%I', pgmq.format_table_name(queue_name, 'a'));
  execute format('drop table pgmq.%I', pgmq.format_table_name(queue_name, 'q'));
  execute format('drop table pgmq.%I', pgmq.format_table_name(queue_name, 'a'));
  execute format('delete from pgmq.meta where queue_name = %L', queue_name);
  return true;
end
$$;
alter function pgmq.pop(text) owner to postgres;
update pg_extension set extowner = 'postgres'::regrole, extversion = '1.5.1' where extname = 'pgmq';
"""


def install_oldest_pgmq(admin: psycopg.Connection) -> None:
    """Create the extension in a database that has none, as 1.5.1; `admin` is a superuser."""
    with admin.transaction():
        admin.execute("create extension pgmq")
        admin.execute(_TAKE_AWAY_A_COLUMN)
        admin.execute(_TAKE_AWAY_TABLES)
        for name, signature in functions(admin):
            if signature not in FUNCTIONS and name not in HELPERS:
                admin.execute(f"alter extension pgmq drop function pgmq.{signature}")
                admin.execute(f"drop function pgmq.{signature}")
        admin.execute(_AS_THEY_WERE)


def functions(connection: psycopg.Connection) -> list[tuple[str, str]]:
    """(name, name with the types of its parameters) of every function in schema pgmq."""
    return connection.execute(
        "select proname::text, proname || '(' || oidvectortypes(proargtypes) || ')' from pg_proc"
        " where pronamespace = 'pgmq'::regnamespace"
    ).fetchall()
