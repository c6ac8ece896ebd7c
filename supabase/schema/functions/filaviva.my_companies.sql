CREATE FUNCTION filaviva.my_companies() RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$ select m.company_id from public.company_members m where m.user_id = (select auth.uid()) $$;

COMMENT ON FUNCTION filaviva.my_companies() IS 'The companies of the signed-in user, for policies: a definer''s look, so that members may see members without recursion.';

REVOKE ALL ON FUNCTION filaviva.my_companies() FROM PUBLIC;
GRANT ALL ON FUNCTION filaviva.my_companies() TO authenticated;
GRANT ALL ON FUNCTION filaviva.my_companies() TO service_role;
