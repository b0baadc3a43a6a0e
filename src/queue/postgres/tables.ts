/** Time of the server in ms since 1970: one clock for all processes. */
export const NOW = `(extract(epoch FROM clock_timestamp()) * 1000)::bigint`

/** What a queue needs beside BullMQ's tables, in their schema. One text: it runs on one connection. */
export const TABLES = `BEGIN;
SELECT pg_advisory_xact_lock(hashtextextended('holdfast queue tables', 0));
CREATE TABLE IF NOT EXISTS holdfast_about (queue text PRIMARY KEY, partitions integer NOT NULL);
CREATE TABLE IF NOT EXISTS holdfast_lease (
  queue text PRIMARY KEY, token text NOT NULL, fence bigint NOT NULL, until_ms bigint NOT NULL);
CREATE TABLE IF NOT EXISTS holdfast_worker (
  queue text NOT NULL, process text NOT NULL, seen_ms bigint NOT NULL, PRIMARY KEY (queue, process));
CREATE TABLE IF NOT EXISTS holdfast_done (
  queue text NOT NULL, id text NOT NULL, at_ms bigint NOT NULL, PRIMARY KEY (queue, id));
CREATE INDEX IF NOT EXISTS holdfast_done_age ON holdfast_done (queue, at_ms);
COMMIT;`

export const ACQUIRE = `INSERT INTO holdfast_lease AS l (queue, token, fence, until_ms) VALUES ($1, $2, 1, ${NOW} + $3)
  ON CONFLICT (queue) DO UPDATE SET token = EXCLUDED.token, fence = l.fence + 1, until_ms = EXCLUDED.until_ms
  WHERE l.until_ms <= ${NOW} RETURNING fence`

export const BEAT = `WITH gone AS (DELETE FROM holdfast_worker WHERE queue = $1 AND process <> $2 AND seen_ms < ${NOW} - $3),
  here AS (INSERT INTO holdfast_worker VALUES ($1, $2, ${NOW})
    ON CONFLICT (queue, process) DO UPDATE SET seen_ms = EXCLUDED.seen_ms)
  SELECT count(*)::int AS n FROM holdfast_worker WHERE queue = $1 AND process <> $2 AND seen_ms >= ${NOW} - $3`

/** Names of jobs begin with the number of their messages. */
export const LOOK = `SELECT
  coalesce(sum(coalesce(nullif(split_part(name, ' ', 1), '')::int, 1)), 0)::bigint AS depth, min(added_at_ms) AS oldest
  FROM job WHERE queue = ANY($1) AND state IN ('waiting', 'active')`

/** Of these queues those that have something and are not paused. */
export const WAITING = `SELECT q AS queue FROM unnest($1::text[]) AS q
  WHERE EXISTS (SELECT 1 FROM job WHERE queue = q AND state = 'waiting')
  AND NOT EXISTS (SELECT 1 FROM meta WHERE queue = q AND field = 'paused' AND value = '1')`
