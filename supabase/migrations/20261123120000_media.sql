-- Where media lies until it is published: the private bucket `media`, in which everybody has a folder of their own.
--
-- A file comes in by a signed upload address, and goes out by a signed address that the worker makes when it needs
-- one, so a post may wait for as long as it likes. Files cannot be replaced, only removed: what was checked when a post
-- was enqueued is what is published.

insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types) values (
  'media', 'media', false,
  5000000000,  -- the largest object that Storage takes in one piece; the project's own limit may be lower
  -- What some platform takes. Not all images: a drawing (SVG) may hold a script, which would run under this origin.
  array[
    'image/bmp', 'image/gif', 'image/jpeg', 'image/png', 'image/tiff', 'image/webp',
    'video/3gpp', 'video/mp4', 'video/mpeg', 'video/quicktime', 'video/webm', 'video/x-flv', 'video/x-matroska', 'video/x-ms-wmv', 'video/x-msvideo',
    'application/pdf'
  ]
);

-- Access
-- Nothing for anon; the service role passes all policies. There is none for update.

create policy "media: upload into one's own folder" on storage.objects
  for insert to authenticated
  with check (bucket_id = 'media' and (storage.foldername(name))[1] = (select auth.uid())::text);

create policy "media: see what lies in one's own folder" on storage.objects
  for select to authenticated
  using (bucket_id = 'media' and (storage.foldername(name))[1] = (select auth.uid())::text);

create policy "media: remove from one's own folder" on storage.objects
  for delete to authenticated
  using (bucket_id = 'media' and (storage.foldername(name))[1] = (select auth.uid())::text);

revoke execute on all functions in schema filaviva from public;
