-- From the first version's tables to those with incremental runs.
ALTER TABLE stream ADD COLUMN window TEXT;

CREATE TABLE seen (
    run      TEXT NOT NULL,
    stream   INTEGER NOT NULL,
    split    INTEGER NOT NULL,
    began_at TEXT NOT NULL,
    found    TEXT NOT NULL,
    PRIMARY KEY (run, stream, split, began_at),
    FOREIGN KEY (run, stream) REFERENCES stream (run, stream) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE mark (
    pipeline TEXT NOT NULL,
    source   TEXT NOT NULL,
    mark     TEXT NOT NULL,
    PRIMARY KEY (pipeline, source)
) STRICT, WITHOUT ROWID;
