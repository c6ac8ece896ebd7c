CREATE VIEW public.queue_jobs WITH (security_invoker='true') AS
 SELECT id,
    user_id,
    queue AS fila,
    kind AS tipo,
    payload,
        CASE status
            WHEN 'pending'::text THEN 'pendente'::text
            WHEN 'retrying'::text THEN 'pendente'::text
            WHEN 'processing'::text THEN 'processando'::text
            WHEN 'completed'::text THEN 'concluido'::text
            WHEN 'failed'::text THEN 'falha'::text
            WHEN 'cancelled'::text THEN 'cancelado'::text
            WHEN 'unconfirmed'::text THEN 'nao_confirmado'::text
            ELSE NULL::text
        END AS status,
    attempt AS tentativas,
    max_attempts AS max_tentativas,
    progress AS progresso,
    result AS resultado,
    error_message AS erro,
    scheduled_at AS agendado_para,
    created_at,
    updated_at,
    started_at AS iniciado_em,
    finished_at AS finalizado_em
   FROM public.jobs j;

COMMENT ON VIEW public.queue_jobs IS 'Every job under the Portuguese names of the first design document.';

GRANT SELECT ON TABLE public.queue_jobs TO authenticated;
GRANT SELECT ON TABLE public.queue_jobs TO service_role;
