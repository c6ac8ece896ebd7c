-- The queues and kinds that the design documents name for chat and campaigns: rows alone, with their
-- numbers. A user may enqueue none of these kinds until its handler is deployed: a worker that does
-- not know a kind ends its jobs as failed.

-- Chat. An SQL consumer, which renews no lease, works on these two: see get_next_queue_message().
select filaviva.create_queue('messages', '{
  "max_attempts": 3, "timeout_seconds": 60, "lease_seconds": 60, "stall_seconds": 3600, "on_stall": "retry",
  "backoff_base_seconds": 2, "backoff_factor": 2, "gap_min_ms": 500, "gap_max_ms": 2000
}');
select filaviva.create_queue('webhooks', '{"max_attempts": 5, "timeout_seconds": 60, "lease_seconds": 60}');
select filaviva.create_queue('message_retry', '{
  "concurrency": 3, "max_attempts": 5, "timeout_seconds": 60, "lease_seconds": 60, "backoff_base_seconds": 2, "backoff_factor": 2
}');

-- Campaigns.
select filaviva.create_queue('campaign_scheduler', '{"concurrency": 2, "max_attempts": 3, "timeout_seconds": 300}');
select filaviva.create_queue('campaign_messages', '{
  "concurrency": 5, "max_attempts": 3, "timeout_seconds": 60, "backoff_base_seconds": 2, "backoff_factor": 2,
  "gap_min_ms": 1000, "gap_max_ms": 1000
}');
select filaviva.create_queue('campaign_notifications', '{"concurrency": 3, "max_attempts": 2, "timeout_seconds": 60}');

-- Limits: what a WhatsApp account bears, what one user's campaigns may send, and how often one message
-- may be sent again. The fourth that the documents name, `api`, is counted by enqueue_jobs().
select filaviva.set_rate_limiter('whatsapp', 20, 60);
select filaviva.set_rate_limiter('campaign', 100, 60);
select filaviva.set_rate_limiter('retry', 10, 300);
select filaviva.limit_queue('messages', 'whatsapp', 'instance_id');
select filaviva.limit_queue('campaign_messages', 'whatsapp', 'instance_id');
select filaviva.limit_queue('campaign_messages', 'campaign', 'user_id');
select filaviva.limit_queue('message_retry', 'whatsapp', 'instance_id');
select filaviva.limit_queue('message_retry', 'retry', 'payload.message_id');

-- Nothing can work on these yet, so that their jobs wait instead of failing; resume_queue() opens each
-- one together with its handler.
select filaviva.pause_queue(q) from unnest(array['message_retry', 'campaign_scheduler', 'campaign_messages', 'campaign_notifications']) q;

select filaviva.register_kind(k.kind, jsonb_build_object('queue', k.queue))
from (values
  ('envio_mensagem', 'messages'),
  ('processamento_webhook', 'webhooks'),
  ('envio_campanha', 'campaign_scheduler'),
  ('schedule-campaign', 'campaign_scheduler'),
  ('campaign_message', 'campaign_messages'),
  ('campaign_notification', 'campaign_notifications')
) as k(kind, queue);

-- Access ----------------------------------------------------------------------------------------

revoke execute on all functions in schema filaviva from public;
