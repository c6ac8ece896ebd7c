
-- Hosted Supabase gives every object of the extension to postgres after creation.
do $ownership$
declare
  v_statement text;
begin
  if exists (select from pg_roles where rolname = 'postgres') then
    for v_statement in
      select format('alter %s %s owner to postgres', case c.relkind when 'S' then 'sequence' else 'table' end, c.oid::regclass)
      from pg_class c
      where c.relnamespace = 'pgmq'::regnamespace and c.relkind in ('r', 'p', 'S')
        and not exists (  -- an identity's sequence follows its table
          select from pg_depend d where d.objid = c.oid and d.classid = 'pg_class'::regclass and d.deptype in ('a', 'i')
            and d.refclassid = 'pg_class'::regclass
        )
      union all
      select format('alter routine %s owner to postgres', p.oid::regprocedure)
      from pg_proc p where p.pronamespace = 'pgmq'::regnamespace
      union all
      select format('alter type %s owner to postgres', t.oid::regtype)
      from pg_type t join pg_class c on c.oid = t.typrelid
      where t.typnamespace = 'pgmq'::regnamespace and c.relkind = 'c'
    loop
      execute v_statement;
    end loop;
    alter schema pgmq owner to postgres;
  end if;
end
$ownership$;
