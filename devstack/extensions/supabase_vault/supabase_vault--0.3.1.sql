-- supabase_vault as a hosted project has it, in plain SQL: the same table, view, functions and rights.
-- The real one encrypts with a key outside the database. Here the key lies in a table without grants, read by
-- definer functions of the superuser, and AES from pgcrypto does the work: dumps and logs show no secret.

alter schema vault owner to current_user;  -- create extension made it as whoever called

create table vault._key (
  only_row boolean primary key default true constraint there_is_one_key check (only_row),
  key bytea not null default extensions.gen_random_bytes(32)
);
insert into vault._key default values;

create function vault._crypto_aead_det_noncegen() returns bytea
language sql
set search_path = ''
as $$ select extensions.gen_random_bytes(16) $$;

create function vault._crypto_aead_det_encrypt(
  message bytea, additional bytea, key_id bigint, context bytea default 'pgsodium', nonce bytea default null
) returns bytea
language sql stable security definer
set search_path = ''
as $$ select extensions.encrypt_iv(message, k.key, nonce, 'aes-cbc/pad:pkcs') from vault._key k $$;

create function vault._crypto_aead_det_decrypt(
  message bytea, additional bytea, key_id bigint, context bytea default 'pgsodium', nonce bytea default null
) returns bytea
language sql stable security definer
set search_path = ''
as $$ select extensions.decrypt_iv(message, k.key, nonce, 'aes-cbc/pad:pkcs') from vault._key k $$;

create table vault.secrets (
  id uuid primary key default gen_random_uuid(),
  name text,
  description text not null default '',
  secret text not null,
  key_id uuid,
  nonce bytea default vault._crypto_aead_det_noncegen(),
  created_at timestamptz not null default current_timestamp,
  updated_at timestamptz not null default current_timestamp
);
comment on table vault.secrets is 'Table with encrypted `secret` column for storing sensitive information on disk.';
create unique index on vault.secrets (name) where name is not null;

create function vault._encrypt(p_secret text, p_id uuid, p_nonce bytea) returns text
language sql stable
set search_path = ''
as $$
  select encode(
    vault._crypto_aead_det_encrypt(convert_to(p_secret, 'utf8'), convert_to(p_id::text, 'utf8'), 0, nonce => p_nonce),
    'base64'
  )
$$;

create view vault.decrypted_secrets as
select
  s.id,
  s.name,
  s.description,
  s.secret,
  convert_from(
    vault._crypto_aead_det_decrypt(decode(s.secret, 'base64'), convert_to(s.id::text, 'utf8'), 0, nonce => s.nonce),
    'utf8'
  ) as decrypted_secret,
  s.key_id,
  s.nonce,
  s.created_at,
  s.updated_at
from vault.secrets s;

create function vault.create_secret(
  new_secret text, new_name text default null, new_description text default '', new_key_id uuid default null
) returns uuid
language plpgsql security definer
set search_path = ''
as $$
declare
  v_id uuid := gen_random_uuid();
  v_nonce bytea := vault._crypto_aead_det_noncegen();
begin
  insert into vault.secrets (id, name, description, secret, nonce)
  values (v_id, new_name, new_description, vault._encrypt(new_secret, v_id, v_nonce), v_nonce);
  return v_id;
end
$$;

create function vault.update_secret(
  secret_id uuid, new_secret text default null, new_name text default null, new_description text default null,
  new_key_id uuid default null
) returns void
language sql security definer
set search_path = ''
as $$
  update vault.secrets s set
    secret = coalesce(vault._encrypt(new_secret, s.id, s.nonce), s.secret),
    name = coalesce(new_name, s.name),
    description = coalesce(new_description, s.description),
    updated_at = now()
  where s.id = secret_id
$$;

-- Access ------------------------------------------------------------------------------------------

revoke execute on all functions in schema vault from public;
revoke all on schema vault from public;

grant usage on schema vault to postgres with grant option;
grant select, delete on vault.secrets, vault.decrypted_secrets to postgres with grant option;
grant execute on function vault.create_secret, vault.update_secret, vault._crypto_aead_det_decrypt
  to postgres with grant option;

grant usage on schema vault to service_role;
grant select, delete on vault.secrets, vault.decrypted_secrets to service_role;
grant execute on function vault.create_secret, vault.update_secret, vault._crypto_aead_det_decrypt to service_role;

select pg_extension_config_dump('vault.secrets', '');
