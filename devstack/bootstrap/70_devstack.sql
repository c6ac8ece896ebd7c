-- Faults that are to happen to this database's background services. `devstack fault` and the fixtures of
-- devstack.testing write the rows, cron and net obey them. No hosted project has this schema.

create schema devstack;

create table devstack.faults (
  service text not null,
  fault text not null,
  remaining int constraint it_is_still_to_happen check (remaining > 0),
  amount double precision,
  primary key (service, fault),
  constraint fault_is_known check (
    (service = 'net' and fault in ('drop', 'resend', 'delay', 'sleep', 'cancel'))
    or (service = 'cron' and fault in ('skip', 'refuse', 'dead', 'clock'))
  )
);
comment on table devstack.faults is 'Faults that are to happen; each row goes when it has happened often enough.';
comment on column devstack.faults.remaining is 'How many more times; null until the row is deleted.';
comment on column devstack.faults.amount is
  'resend: how often a request arrives; delay: milliseconds; clock: seconds that cron''s clock is ahead; else without meaning.';

create function devstack.announce_faults() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  perform pg_notify('devstack_faults', '');
  return null;
end
$$;

-- For each row: a statement that finds nothing to change says nothing.
create trigger announce_faults
  after insert or update or delete on devstack.faults
  for each row execute function devstack.announce_faults();
create trigger announce_the_end_of_all_faults
  after truncate on devstack.faults
  for each statement execute function devstack.announce_faults();

grant usage on schema devstack to postgres;
grant all on devstack.faults to postgres;
