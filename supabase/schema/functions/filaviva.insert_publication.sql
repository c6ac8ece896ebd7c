CREATE FUNCTION filaviva.insert_publication() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $_$
declare
  c_first_options constant jsonb := '{"tiktok": "tiktok_video", "facebook": "facebook_feed", "instagram": "instagram_feed",
    "youtube": "youtube_video", "threads": "threads_post", "x": "x_post", "linkedin": "linkedin_post"}';
  v_option constant text := coalesce(new.option, c_first_options ->> new.platform, new.platform);
  v_platform constant text := split_part(v_option, '_', 1);
  v_problem record;
  v_job jsonb;
  v_id uuid;
begin
  select f.field, f.expected into v_problem
  from (values
    ('id', 'left out: the engine gives it', new.id is not null),
    ('status', 'left out: a new publication is pending', new.status <> 'pending'),
    ('retry_count', 'left out: no attempt was made yet', new.retry_count <> 0),
    ('created_at', 'left out: the engine keeps it', new.created_at is not null),
    ('started_at', 'left out: the engine keeps it', new.started_at is not null),
    ('completed_at', 'left out: the engine keeps it', new.completed_at is not null),
    ('error_message', 'left out: the engine keeps it', new.error_message is not null),
    ('platform_response', 'left out: the engine keeps it', new.platform_response is not null),
    ('max_retries', 'a whole number from 1 to 100', new.max_retries not between 1 and 100),
    ('user_id', 'the owner of the publication', new.user_id is null and filaviva.is_trusted()),
    ('content', 'an object', jsonb_typeof(new.content) is distinct from 'object'),
    ('metadata', 'an object', jsonb_typeof(new.metadata) <> 'object')
  ) as f(field, expected, wrong)
  where f.wrong limit 1;
  if found then
    perform filaviva.fail(400, 'invalid_field', format('%s of a publication must be %s.', v_problem.field, v_problem.expected), 'Correct the column and insert the row again.');
  end if;
  if not c_first_options ? coalesce(v_platform, '') or v_option !~ '^[a-z]+(_[a-z]+)+$' then
    perform filaviva.fail(400, 'unknown_platform', format('%L is no platform and no option of one.', coalesce(new.option, new.platform)),
      'The platforms are ' || (select string_agg(p, ', ' order by p) from jsonb_object_keys(c_first_options) p) || '; an option looks like tiktok_video.');
  end if;
  if new.platform not in (v_platform, v_option) then
    perform filaviva.fail(400, 'invalid_field', format('platform must be %s, the platform of %s.', v_platform, v_option), 'Correct one of the two.');
  end if;

  v_job := jsonb_strip_nulls(jsonb_build_object('kind', 'publish_post', 'user_id', new.user_id, 'max_attempts', new.max_retries))
    || jsonb_build_object('metadata', coalesce(new.metadata, '{}'),
      'payload', jsonb_build_object('option', v_option, 'platform', v_platform, 'content', new.content));
  v_id := public.enqueue_jobs(jsonb_build_array(v_job)) -> 0 ->> 'job_id';
  select p.* into new from public.publication_jobs p where p.id = v_id;
  return new;
end
$_$;

COMMENT ON FUNCTION filaviva.insert_publication() IS 'Enqueues what is inserted into publication_jobs, as its caller. The engine''s columns are refused: nobody inserts a publication that is already completed.';

REVOKE ALL ON FUNCTION filaviva.insert_publication() FROM PUBLIC;
