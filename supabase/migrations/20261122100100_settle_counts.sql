-- Counts of what was settled: one narrow row a settle call and queue, so that rates and trends need
-- no scan of jobs and no counter that two settles would fight over.

create table filaviva.settle_counts (
  queue text not null,
  at timestamptz not null,
  completed int not null,
  failed int not null,
  cancelled int not null,
  unconfirmed int not null,
  again int not null
);
create index settle_counts_by_time on filaviva.settle_counts (at);
comment on table filaviva.settle_counts is 'How many claims of a queue ended in which way, a row for each settle call.';
comment on column filaviva.settle_counts.again is 'Claims that ended in another wait: retries and snoozes.';
alter table filaviva.settle_counts enable row level security;

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
