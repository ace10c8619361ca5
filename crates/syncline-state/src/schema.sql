-- One row a pipeline: its latest run.
CREATE TABLE run (
    pipeline    TEXT PRIMARY KEY,
    run         TEXT NOT NULL UNIQUE,
    epoch       INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    from_url    TEXT NOT NULL,
    to_url      TEXT NOT NULL,
    finished    INTEGER NOT NULL DEFAULT 0,
    started     TEXT NOT NULL DEFAULT (datetime('now')),
    updated     TEXT NOT NULL DEFAULT (datetime('now'))
) STRICT;

CREATE TABLE stream (
    run           TEXT NOT NULL REFERENCES run (run) ON DELETE CASCADE,
    stream        INTEGER NOT NULL,
    source        TEXT NOT NULL,
    target        TEXT NOT NULL,
    rows_estimate INTEGER,
    phase         TEXT NOT NULL DEFAULT 'copying',
    planned       INTEGER NOT NULL DEFAULT 0,
    -- Which rows an incremental run reads.
    window        TEXT,
    PRIMARY KEY (run, stream)
) STRICT, WITHOUT ROWID;

CREATE TABLE split (
    run           TEXT NOT NULL,
    stream        INTEGER NOT NULL,
    split         INTEGER NOT NULL,
    extent        TEXT NOT NULL,
    rows_estimate INTEGER,
    progress      TEXT,
    PRIMARY KEY (run, stream, split),
    FOREIGN KEY (run, stream) REFERENCES stream (run, stream) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Letters outlive their run.
CREATE TABLE dead_letter (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    pipeline TEXT NOT NULL,
    run      TEXT NOT NULL,
    stream   INTEGER NOT NULL,
    split    INTEGER NOT NULL,
    began_at TEXT,
    source   TEXT NOT NULL,
    row      TEXT,
    code     TEXT NOT NULL,
    reason   TEXT NOT NULL,
    payload  TEXT NOT NULL,
    at       TEXT NOT NULL DEFAULT (datetime('now'))
) STRICT;
CREATE INDEX dead_letter_place ON dead_letter (pipeline, run, stream, split);

-- What attempts at a split have found of rows that an earlier run has appended.
CREATE TABLE seen (
    run      TEXT NOT NULL,
    stream   INTEGER NOT NULL,
    split    INTEGER NOT NULL,
    began_at TEXT NOT NULL, -- '' at the split's beginning, else 'at ' and the position
    found    TEXT NOT NULL,
    PRIMARY KEY (run, stream, split, began_at),
    FOREIGN KEY (run, stream) REFERENCES stream (run, stream) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- How far the incremental runs of a pipeline have come. Outlives runs, as it does at targets that keep it.
CREATE TABLE mark (
    pipeline TEXT NOT NULL,
    source   TEXT NOT NULL,
    mark     TEXT NOT NULL,
    PRIMARY KEY (pipeline, source)
) STRICT, WITHOUT ROWID;
