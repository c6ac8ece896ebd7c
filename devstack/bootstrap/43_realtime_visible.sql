-- Row-level security for the stream of changes: which rows each subscriber can see, for hundreds of them in one call.
-- A prepared statement serves all of one role; policies read the claims anew at every execution.

create function realtime.visible_rows(question text, viewers jsonb)
returns table (viewer int, row_number int, failure text)
language plpgsql
as $$
declare
  who jsonb;
begin
  execute 'deallocate all';
  execute 'prepare realtime_visible_rows as ' || question;
  viewer := -1;
  for who in select value from jsonb_array_elements(viewers) loop
    viewer := viewer + 1;
    begin
      perform set_config('role', who ->> 0, true), set_config('request.jwt.claims', who ->> 1, true);
      for row_number in execute 'execute realtime_visible_rows' loop
        return next;
      end loop;
    exception when others then
      row_number := null;
      failure := sqlerrm;
      return next;
      failure := null;
    end;
  end loop;
  perform set_config('role', 'none', true);
end
$$;
comment on function realtime.visible_rows is
  'For each viewer (an array of a role and the text of its claims; numbered from 0) the rows that `question` gives, '
  'or why it failed.';

revoke execute on function realtime.visible_rows from public;
