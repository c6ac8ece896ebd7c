-- Limits of publications: what the networks say of their caps, as far as they give a number, and two of our own that an
-- account's cool-downs stand under. All of them can be changed with set_rate_limiter() while everything runs.

insert into public.rate_limiters (name, max_hits, window_seconds) values
  ('account_posts', 1000, 86400),
  ('account_calls', 600, 60),
  ('tiktok_minute', 6, 60),
  ('tiktok_day', 15, 86400),
  ('instagram_day', 100, 86400),
  ('threads_day', 250, 86400),
  ('facebook_reels_day', 30, 86400),
  ('x_quarter', 100, 900),
  ('x_app', 10000, 86400),
  ('youtube_app', 100, 86400);

insert into public.queue_limits (queue, limiter, key, counts) values
  ('publication_queue', 'account_posts', 'user_id+payload.platform', 'jobs'),
  ('publication_queue', 'account_calls', 'user_id+payload.platform', 'claims'),
  ('publication_queue', 'tiktok_minute', 'user_id+payload.platform=tiktok', 'jobs'),
  ('publication_queue', 'tiktok_day', 'user_id+payload.platform=tiktok', 'jobs'),
  ('publication_queue', 'instagram_day', 'user_id+payload.platform=instagram', 'jobs'),
  ('publication_queue', 'threads_day', 'user_id+payload.platform=threads', 'jobs'),
  ('publication_queue', 'facebook_reels_day', 'user_id+payload.option=facebook_reels', 'jobs'),
  ('publication_queue', 'x_quarter', 'user_id+payload.platform=x', 'jobs'),
  ('publication_queue', 'x_app', 'payload.platform=x', 'jobs'),
  ('publication_queue', 'youtube_app', 'payload.platform=youtube', 'jobs');

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
