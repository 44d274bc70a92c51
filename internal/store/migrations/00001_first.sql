-- +goose Up
-- Ids are text in the C collation: derived, readable, compared byte by byte.

CREATE TABLE connection (
    slug       text COLLATE "C" PRIMARY KEY,
    kind       text NOT NULL CHECK (kind IN ('sidenode', 'github', 'gitlab', 'gitea', 'git')),
    base_url   text NOT NULL,
    source     text NOT NULL DEFAULT '',
    credential bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE connection IS 'written by store/connection; credential is sealed by vault, source is the CloudEvents source that its events must begin with';

CREATE TABLE event (
    key         text COLLATE "C" PRIMARY KEY,
    source      text NOT NULL,
    id          text NOT NULL,
    kind        text NOT NULL,
    connection  text NOT NULL,
    happened_at timestamptz,
    trace       text NOT NULL DEFAULT '',
    body        jsonb NOT NULL,
    accepted_at timestamptz NOT NULL DEFAULT now(),
    folded_at   timestamptz
);
COMMENT ON TABLE event IS 'written by store/event; accepted events, folded_at is the dedupe';
CREATE INDEX event_open ON event (accepted_at) WHERE folded_at IS NULL;

CREATE TABLE run (
    id          text COLLATE "C" PRIMARY KEY,
    connection  text NOT NULL,
    repository  text NOT NULL,
    ref         text NOT NULL DEFAULT '',
    commit_id   text NOT NULL DEFAULT '',
    strategy    text NOT NULL CHECK (strategy IN ('DRY_RUN', 'CREATE_PR', 'AUTO_APPLY', 'SCHEDULED')),
    priority    text NOT NULL CHECK (priority IN ('CRITICAL', 'HIGH', 'MEDIUM', 'LOW')),
    status      text NOT NULL CHECK (status IN ('PENDING', 'RUNNING', 'WAITING', 'COMPLETED', 'FAILED', 'CANCELLED')),
    reason      text NOT NULL DEFAULT '',
    trace       text NOT NULL DEFAULT '',
    state       jsonb NOT NULL,
    created_at  timestamptz NOT NULL,
    started_at  timestamptz,
    finished_at timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE run IS 'written by store/run; state is flow.State, the other columns are for reading';
CREATE INDEX run_newest ON run (created_at DESC, id);
CREATE INDEX run_branch ON run (connection, repository, ref) WHERE finished_at IS NULL;
CREATE INDEX run_finished ON run (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE job (
    id         text COLLATE "C" PRIMARY KEY,
    run        text COLLATE "C" NOT NULL,
    kind       text NOT NULL,
    priority   text NOT NULL CHECK (priority IN ('CRITICAL', 'HIGH', 'MEDIUM', 'LOW')),
    connection text NOT NULL,
    repository text NOT NULL,
    branch     text NOT NULL DEFAULT '',
    origin     text NOT NULL DEFAULT '',
    trace      text NOT NULL DEFAULT '',
    body       bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE job IS 'written by store/job; never updated';
CREATE INDEX job_run ON job (run);

CREATE TABLE job_open (
    id          text COLLATE "C" PRIMARY KEY,
    status      text NOT NULL DEFAULT 'PENDING' CHECK (status IN ('PENDING', 'PROCESSING')),
    attempt     int NOT NULL DEFAULT 0,
    fence       bigint NOT NULL DEFAULT 0,
    published   boolean NOT NULL DEFAULT true,
    published_at timestamptz NOT NULL DEFAULT now(),
    held        boolean NOT NULL DEFAULT false,
    connection  text COLLATE "C" NOT NULL,
    repository  text COLLATE "C" NOT NULL,
    branch      text NOT NULL DEFAULT '',
    rank        smallint NOT NULL,
    seq         bigint GENERATED ALWAYS AS IDENTITY,
    worker      text NOT NULL DEFAULT '',
    started_at  timestamptz,
    lease_until timestamptz,
    next_at     timestamptz,
    cancel      text
) WITH (fillfactor = 50);
COMMENT ON TABLE job_open IS 'written by store/job; the jobs that are not ended. Held ones wait for a slot of their repository, branch or connection. No index holds a column that a claim changes, so that claims stay heap-only updates';
CREATE INDEX job_open_busy ON job_open (connection, repository) WHERE NOT held;
CREATE INDEX job_open_held ON job_open (connection, repository, rank, seq) WHERE held;

CREATE TABLE job_attempt (
    job         text COLLATE "C" NOT NULL,
    attempt     int NOT NULL,
    fence       bigint NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN ('COMPLETED', 'FAILED', 'CANCELLED', 'RETRY', 'LATER', 'LOST')),
    worker      text NOT NULL DEFAULT '',
    started_at  timestamptz,
    finished_at timestamptz NOT NULL DEFAULT now(),
    error       text NOT NULL DEFAULT ''
);
COMMENT ON TABLE job_attempt IS 'written by store/job; append only; the first three outcomes end the job';
CREATE INDEX job_attempt_job ON job_attempt (job);

CREATE TABLE fact (
    id         text COLLATE "C" PRIMARY KEY,
    run        text COLLATE "C" NOT NULL,
    job        text COLLATE "C" NOT NULL,
    kind       text NOT NULL,
    trace      text NOT NULL DEFAULT '',
    body       bytea NOT NULL,
    due_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX fact_due ON fact (due_at);
COMMENT ON TABLE fact IS 'written by store/fact; facts not folded yet: the fold deletes the row, and that is the dedupe';

CREATE TABLE dead_letter (
    id         text COLLATE "C" PRIMARY KEY,
    run        text COLLATE "C" NOT NULL DEFAULT '',
    kind       text NOT NULL,
    subject    text NOT NULL,
    cause      text NOT NULL,
    attempts   int NOT NULL,
    body       bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    resolution text CHECK (resolution IN ('REQUEUED', 'DISCARDED')),
    resolved_at timestamptz,
    reason     text NOT NULL DEFAULT ''
);
COMMENT ON TABLE dead_letter IS 'written by store/dead; the copy is on HUB_DEAD; open until it is resolved';
CREATE INDEX dead_letter_newest ON dead_letter (created_at DESC, id);

CREATE TABLE snapshot (
    id         text COLLATE "C" PRIMARY KEY,
    run        text COLLATE "C" NOT NULL,
    commit_id  text NOT NULL,
    ref        text NOT NULL,
    files      int NOT NULL,
    bytes      bigint NOT NULL,
    manifest   bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    swept_at   timestamptz
);
COMMENT ON TABLE snapshot IS 'written by store/snapshot; manifest is compressed (path, mode, blob hash, size), the bytes are in the Object Store until swept_at';
CREATE INDEX snapshot_run ON snapshot (run);

CREATE TABLE analysis (
    run         text COLLATE "C" PRIMARY KEY,
    snapshot    text NOT NULL,
    score       int NOT NULL,
    risk        text NOT NULL,
    summary     jsonb NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE analysis IS 'written by store/finding; summary is hub.Analysis';

CREATE TABLE finding (
    run         text COLLATE "C" NOT NULL,
    n           int NOT NULL,
    rule        text NOT NULL,
    severity    text NOT NULL CHECK (severity IN ('CRITICAL', 'HIGH', 'MEDIUM', 'LOW', 'INFO')),
    category    text NOT NULL CHECK (category IN ('SECURITY', 'PERFORMANCE', 'QUALITY', 'STYLE', 'ARCHITECTURE', 'RELIABILITY')),
    file        text NOT NULL,
    line        int NOT NULL,
    fingerprint text NOT NULL,
    body        jsonb NOT NULL,
    PRIMARY KEY (run, n)
);
COMMENT ON TABLE finding IS 'written by store/finding; body is hub.Finding, n its rank, worst first';

CREATE TABLE deployment (
    id          text COLLATE "C" PRIMARY KEY,
    run         text COLLATE "C" NOT NULL,
    strategy    text NOT NULL CHECK (strategy IN ('DRY_RUN', 'CREATE_PR', 'AUTO_APPLY', 'SCHEDULED')),
    status      text NOT NULL CHECK (status IN ('PREPARED', 'EMPTY')),
    base_commit text NOT NULL,
    changes     jsonb NOT NULL,
    proof       jsonb NOT NULL,
    diff        bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE deployment IS 'written by store/deployment; changes is a list of hub.Change, proof says what was shown of it';
CREATE INDEX deployment_run ON deployment (run);

CREATE TABLE deployment_file (
    deployment text COLLATE "C" NOT NULL,
    path       text COLLATE "C" NOT NULL,
    side       text NOT NULL CHECK (side IN ('BACKUP', 'CHANGE')),
    mode       text NOT NULL,
    hash       text NOT NULL,
    size       bigint NOT NULL,
    chunks     text[] NOT NULL,
    PRIMARY KEY (deployment, path, side)
);
CREATE INDEX deployment_file_chunk ON deployment_file USING gin (chunks);
COMMENT ON TABLE deployment_file IS 'written by store/deployment; BACKUP is the file before the change touches it, CHANGE what it will hold; a create has no BACKUP, a delete no CHANGE';

CREATE TABLE chunk (
    hash    text COLLATE "C" PRIMARY KEY,
    bytes   bytea NOT NULL,
    used_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX chunk_used ON chunk (used_at);
COMMENT ON TABLE chunk IS 'written by store/deployment; zstd of at most 1 MiB, under the SHA-256 of what it holds';

CREATE TABLE schedule (
    slug       text COLLATE "C" PRIMARY KEY,
    cron       text NOT NULL,
    zone       text NOT NULL,
    missed     text NOT NULL CHECK (missed IN ('ONCE', 'SKIP')),
    paused     boolean NOT NULL DEFAULT false,
    target     jsonb NOT NULL,
    next_at    timestamptz NOT NULL,
    last_at    timestamptz,
    last_run   text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE schedule IS 'written by store/schedule; target is message.Target, next_at the clock that all orchestrators share';
CREATE INDEX schedule_next ON schedule (next_at) WHERE NOT paused;

CREATE TABLE queue_pause (
    worker     text NOT NULL CHECK (worker IN ('connector', 'analyzer', 'deployer')),
    priority   text NOT NULL CHECK (priority IN ('CRITICAL', 'HIGH', 'MEDIUM', 'LOW')),
    reason     text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (worker, priority)
);
COMMENT ON TABLE queue_pause IS 'written by store/queue; what operators paused, so that a stream that is made anew stays paused';
