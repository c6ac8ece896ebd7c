-- The bare case to hold the engine against: one status row and one pgmq message a job, set-based
-- functions, nothing else. No owner, no lease, no fencing, no groups, no keys, no RLS.

select pgmq.create('bare');

create schema bare;
create table bare.jobs (
  id bigint generated always as identity primary key, msg_id bigint, status text not null default 'pending', payload jsonb not null
) with (fillfactor = 40);

create function bare.enqueue(p_jobs jsonb) returns bigint
language plpgsql as $$
declare v_ids bigint[];
begin
  with added as (insert into bare.jobs (payload) select j from jsonb_array_elements(p_jobs) j returning id)
  select array_agg(id) into v_ids from added;
  perform pgmq.send_batch('bare', array(select jsonb_build_object('job_id', i) from unnest(v_ids) i));
  return cardinality(v_ids);
end $$;

create function bare.settle_and_claim(p_results jsonb, p_limit int) returns jsonb
language plpgsql as $$
declare v_ids bigint[]; v_msgs bigint[];
begin
  update bare.jobs set status = 'completed' where id = any (array(select (r ->> 'job_id')::bigint from jsonb_array_elements(p_results) r));
  perform pgmq.delete('bare', array(select (r ->> 'msg_id')::bigint from jsonb_array_elements(p_results) r));
  select array_agg((m.message ->> 'job_id')::bigint), array_agg(m.msg_id) into v_ids, v_msgs from pgmq.read('bare', 60, p_limit) m;
  update bare.jobs set status = 'processing' where id = any (v_ids);
  return (select coalesce(jsonb_agg(jsonb_build_object('job_id', j.id, 'msg_id', m.msg_id, 'payload', j.payload)), '[]')
    from unnest(v_ids, v_msgs) as m(job_id, msg_id) join bare.jobs j on j.id = m.job_id where j.id = any (v_ids));
end $$;
