-- Forgetting in slices: what is to be erased, and how far that has come. The person's ids stand here
-- only until it is done.
CREATE TABLE forgettings (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('person', 'chat')),
    chats TEXT NOT NULL,
    actor TEXT NOT NULL,
    address TEXT NOT NULL,
    asked_at REAL NOT NULL,
    stage TEXT NOT NULL DEFAULT 'cut',
    place TEXT NOT NULL DEFAULT '[]',
    marks TEXT NOT NULL DEFAULT '{}',
    counts TEXT NOT NULL DEFAULT '{}',
    done_at REAL
) STRICT;
-- The ids of the messages from and to the person, which others' rows refer to; until it is done, too.
CREATE TABLE forgetting_ids (
    job INTEGER NOT NULL REFERENCES forgettings (id),
    id TEXT NOT NULL,
    PRIMARY KEY (job, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX forgettings_open ON forgettings (id) WHERE done_at IS NULL;

-- What forgetting and retention look for.
CREATE INDEX messages_by_author ON messages (json_extract(message, '$.author'), seq)
    WHERE chat GLOB '*@g.us';
CREATE INDEX runs_by_turn ON runs (turn_id);
CREATE INDEX tool_calls_by_run ON tool_calls (run_id);
CREATE INDEX thread_by_turn ON thread_items (turn_id) WHERE turn_id IS NOT NULL;
CREATE INDEX facts_by_turn ON facts (turn_id);
CREATE INDEX escalations_by_outbox ON escalations (outbox_id) WHERE outbox_id IS NOT NULL;
CREATE INDEX aliases_by_chat ON aliases (chat);
CREATE INDEX chats_by_activity ON chats (last_activity_at);

-- The sums of a day are kept when the calls that they are of are deleted; what was only reserved is
-- given back as before.
DROP TRIGGER usage_removed;
CREATE TRIGGER usage_removed AFTER DELETE ON usage WHEN OLD.state = 'reserved' BEGIN
    UPDATE usage_days SET tokens = tokens - OLD.tokens, micros = micros - OLD.micros
        WHERE day = OLD.day AND (channel, chat) IN (
            SELECT turns.channel, turns.chat FROM runs JOIN turns ON turns.id = runs.turn_id
            WHERE runs.id = OLD.run_id UNION ALL SELECT '', ''
        );
END;

-- A daemon that is at work on a person ends that before it forgets them, so that nothing is written
-- about them any more: the one place is daemon/ops/maintenance/forgetting.py.
DROP TRIGGER forgotten_turns;
DROP TRIGGER forgotten_messages;
DROP TRIGGER forgotten_outbox;
DROP TRIGGER forgotten_outbox_parts;
DROP TRIGGER forgotten_thread_items;
DROP TRIGGER forgotten_runs;
DROP TRIGGER forgotten_responses;
DROP TRIGGER forgotten_answers;
DROP TRIGGER forgotten_tool_calls;
DROP TRIGGER forgotten_outputs;
DROP TRIGGER forgotten_escalations;
DROP TRIGGER forgotten_facts;
