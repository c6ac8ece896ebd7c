"""The SQL that the five design documents print, and what of it runs here, as data for the tests.

A source is `<document>:<line>`; docs/compatibility.md explains every entry.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Printed:
    """A statement as it is printed."""

    source: str
    sql: str


@dataclass(frozen=True, slots=True)
class Mended(Printed):
    """A printed statement that PostgreSQL refuses with `sqlstate`, and `ours`, which says the same."""

    sqlstate: str
    ours: str


@dataclass(frozen=True, slots=True)
class Met(Printed):
    """A printed definition: PostgreSQL refuses it with `sqlstate`, since the migrations have made what it asks for."""

    sqlstate: str


RUNS = [
    Printed("000:73", "SELECT * FROM queue_jobs WHERE status = 'pendente' ORDER BY created_at;"),
    Printed("000:78", "SELECT * FROM queue_jobs WHERE status = 'falha' ORDER BY created_at DESC;"),
    Printed(
        "000:83",
        "SELECT status, COUNT(*) as total, AVG(tentativas) as media_tentativas FROM queue_jobs GROUP BY status;",
    ),
    Printed("000:96", "SELECT limpar_queue_jobs_antigos();"),
    Printed("001:73", "CREATE EXTENSION IF NOT EXISTS pgmq;"),
    Printed("001:74", "CREATE EXTENSION IF NOT EXISTS pg_cron;"),
    Printed("001:75", "CREATE EXTENSION IF NOT EXISTS pg_net;"),
    Printed("001:81", "SELECT pgmq.create('publication_queue');"),
    Printed("001:235", "SELECT * FROM pgmq.metrics('publication_queue');"),
    Printed(
        "001:238",
        "SELECT status, COUNT(*) FROM publication_jobs WHERE created_at > now() - interval '1 hour' GROUP BY status;",
    ),
    Printed(
        "001:244",
        "SELECT id, platform, started_at, now() - started_at as duration FROM publication_jobs"
        " WHERE status = 'processing' AND started_at < now() - interval '30 minutes';",
    ),
    Printed("004:265", "SELECT * FROM message_queue_items WHERE status = 'PENDING';"),
    Printed("004:268", "SELECT * FROM message_queue_items WHERE status = 'FAILED' ORDER BY updated_at DESC;"),
    Printed("004:271", "SELECT status, COUNT(*) FROM message_queue_items GROUP BY status;"),
    Printed(
        "004:322",
        "SELECT error, COUNT(*) as count FROM message_queue_items WHERE status = 'FAILED'"
        " GROUP BY error ORDER BY count DESC;",
    ),
]

_CLAIM = """
CREATE OR REPLACE FUNCTION get_next_queue_message()
RETURNS TABLE(id uuid, correlation_id uuid, message_type text, payload jsonb, retry_count integer)
AS $$
BEGIN
  RETURN QUERY
  UPDATE message_queue
  SET
    status = 'processing',
    processed_at = NOW(),
    retry_count = retry_count + 1
  WHERE id = (
    SELECT mq.id
    FROM message_queue mq
    WHERE mq.status IN ('pending', 'retrying')
    AND (mq.scheduled_at IS NULL OR mq.scheduled_at <= NOW())
    ORDER BY mq.priority DESC, mq.created_at ASC
    FOR UPDATE SKIP LOCKED
    LIMIT 1
  )
  RETURNING message_queue.id, message_queue.correlation_id,
            message_queue.message_type, message_queue.payload,
            message_queue.retry_count;
END;
$$
"""

MENDED = [
    Mended("002:92", _CLAIM, "42P13", "SELECT * FROM get_next_queue_message();"),
    Mended("002:92 with a language", _CLAIM + "LANGUAGE plpgsql", "42P13", "SELECT * FROM get_next_queue_message();"),
    Mended(
        "004:274",
        "SELECT COUNT(*) FROM message_queue_items WHERE status IN ('COMPLETED', 'FAILED', 'CANCELLED')"
        " AND processed_at < DATE_SUB(NOW(), INTERVAL 7 DAY);",
        "42601",
        "SELECT COUNT(*) FROM message_queue_items WHERE status IN ('COMPLETED', 'FAILED', 'CANCELLED')"
        " AND processed_at < NOW() - INTERVAL '7 days';",
    ),
    Mended(
        "004:297",
        "SELECT * FROM message_queue_items WHERE status = 'PROCESSING'"
        " AND processing_started_at < DATE_SUB(NOW(), INTERVAL 1 HOUR);",
        "42601",
        "SELECT * FROM message_queue_items WHERE status = 'PROCESSING'"
        " AND processing_started_at < NOW() - INTERVAL '1 hour';",
    ),
]

MET = [
    Met(
        "001:53",
        "CREATE TABLE publication_jobs ("
        " id uuid PRIMARY KEY DEFAULT gen_random_uuid(),"
        " user_id uuid NOT NULL REFERENCES auth.users(id) ON DELETE CASCADE,"
        " platform text NOT NULL CHECK (platform IN"
        " ('tiktok', 'facebook', 'instagram', 'youtube', 'threads', 'x', 'linkedin')),"
        " content jsonb NOT NULL,"
        " status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'processing', 'completed', 'failed')),"
        " created_at timestamptz DEFAULT now(),"
        " started_at timestamptz,"
        " completed_at timestamptz,"
        " error_message text,"
        " retry_count integer DEFAULT 0,"
        " max_retries integer DEFAULT 3,"
        " platform_response jsonb,"
        " metadata jsonb DEFAULT '{}'::jsonb);",
        "42P07",
    ),
    Met(
        "001:214",
        'CREATE POLICY "Users can view own publication jobs" ON publication_jobs FOR SELECT'
        " USING (auth.uid() = user_id);",
        "42809",
    ),
    Met(
        "001:219",
        'CREATE POLICY "Users can insert own publication jobs" ON publication_jobs FOR INSERT'
        " WITH CHECK (auth.uid() = user_id);",
        "42809",
    ),
    Met(
        "001:224",
        'CREATE POLICY "System can update publication jobs" ON publication_jobs FOR UPDATE USING (true);',
        "42809",
    ),
]

TABLES = {
    "queue_jobs": {"status": "text", "created_at": "timestamptz", "tentativas": "int4", "erro": "text"},
    "publication_jobs": {
        "id": "uuid",
        "user_id": "uuid",
        "platform": "text",
        "content": "jsonb",
        "status": "text",
        "created_at": "timestamptz",
        "started_at": "timestamptz",
        "completed_at": "timestamptz",
        "error_message": "text",
        "retry_count": "int4",
        "max_retries": "int4",
        "platform_response": "jsonb",
        "metadata": "jsonb",
    },
    "message_queue": {
        "id": "uuid",
        "correlation_id": "uuid",
        "message_type": "text",
        "payload": "jsonb",
        "retry_count": "int4",
        "status": "text",
        "priority": "int4",
        "created_at": "timestamptz",
        "scheduled_at": "timestamptz",
        "processed_at": "timestamptz",
        "metadata": "jsonb",
    },
    "failed_messages": {
        "original_message_id": "uuid",
        "correlation_id": "uuid",
        "message_type": "text",
        "payload": "jsonb",
        "error_message": "text",
        "failure_count": "int4",
        "metadata": "jsonb",
    },
    "message_queue_items": {
        "id": "uuid",
        "instance": "text",
        "chatId": "text",
        "clientId": "int4",
        "status": "text",
        "priority": "int4",
        "payload": "jsonb",
        "isGroup": "bool",
        "retryCount": "int4",
        "maxRetries": "int4",
        "error": "text",
        "createdAt": "timestamptz",
        "updatedAt": "timestamptz",
        "processingStartedAt": "timestamptz",
        "processedAt": "timestamptz",
        "updated_at": "timestamptz",
        "processing_started_at": "timestamptz",
        "processed_at": "timestamptz",
    },
}
"""The columns that the documents define or use, and PostgreSQL's name of their type."""

QUEUES = {
    "publication_queue": (5, 3),
    "campaign_scheduler": (2, 3),
    "campaign_messages": (5, 3),
    "campaign_notifications": (3, 2),
    "message_retry": (3, 5),
}
"""Concurrency and attempts that 001 and 003 print, under the names that pgmq can have."""

LIMITERS = {"whatsapp": (20, 60), "campaign": (100, 60), "api": (1000, 60), "retry": (10, 300)}
"""Most hits, and in how many seconds (003)."""

LIMITED = {
    ("messages", "whatsapp", "instance_id"),
    ("campaign_messages", "whatsapp", "instance_id"),
    ("campaign_messages", "campaign", "user_id"),
    ("message_retry", "whatsapp", "instance_id"),
    ("message_retry", "retry", "payload.message_id"),
}
"""Which queue is under which limit, and what is counted (003)."""
