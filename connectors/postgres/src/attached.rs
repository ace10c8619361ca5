//! What hangs on a table, and would follow or be lost with it when another takes its name.

use syncline_types::Result;

use crate::{client::Client, schema::Table};

/// Everything found on a table that matters for replacing it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attached {
    /// Why the table cannot be replaced by renaming another, each as words.
    pub(crate) reasons: Vec<String>,
    /// Foreign keys of other tables that refer to it.
    pub(crate) referenced: bool,
    /// Those of them that delete or change the other table's rows when rows of this one are deleted.
    pub(crate) cascades: Vec<String>,
    /// Triggers that fire on rows written in place.
    pub(crate) triggers: Vec<String>,
}

/// Each row: a class, and the name of what was found.
fn sql(oid: u32, ours: bool) -> String {
    let not_ours = !ours;
    format!(
        "SELECT 'index', c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
          WHERE i.indrelid = {oid} AND NOT i.indisprimary
         UNION ALL SELECT 'constraint', conname FROM pg_constraint
          WHERE conrelid = {oid} AND contype NOT IN ('p', 'n', 'u')
         UNION ALL SELECT CASE WHEN confdeltype IN ('c', 'n', 'd') THEN 'cascade' ELSE 'referenced' END,
                          conname || ' of ' || conrelid::regclass::text
          FROM pg_constraint WHERE confrelid = {oid} AND contype = 'f' AND conparentid = 0
         UNION ALL SELECT 'trigger', tgname FROM pg_trigger WHERE tgrelid = {oid} AND NOT tgisinternal
         UNION ALL SELECT DISTINCT 'view', r.ev_class::regclass::text
          FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
          WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
            AND d.refobjid = {oid} AND r.ev_class <> {oid}
         UNION ALL SELECT 'rule', rulename FROM pg_rewrite WHERE ev_class = {oid} AND rulename <> '_RETURN'
         UNION ALL SELECT DISTINCT 'function', d.objid::regprocedure::text FROM pg_depend d
          WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = {oid}
         UNION ALL SELECT 'policy', polname FROM pg_policy WHERE polrelid = {oid}
         UNION ALL SELECT 'publication', p.pubname FROM pg_publication_rel r
          JOIN pg_publication p ON p.oid = r.prpubid WHERE r.prrelid = {oid}
         UNION ALL SELECT 'statistics object', stxname FROM pg_statistic_ext WHERE stxrelid = {oid}
         UNION ALL SELECT 'child or parent table', 'by inheritance or partitioning' FROM pg_inherits
          WHERE inhparent = {oid} OR inhrelid = {oid}
         UNION ALL SELECT 'comment', coalesce('on column ' || a.attname, 'on the table')
          FROM pg_description d LEFT JOIN pg_attribute a
            ON a.attrelid = d.objoid AND a.attnum = d.objsubid AND d.objsubid > 0
          WHERE d.objoid = {oid} AND d.classoid = 'pg_class'::regclass
         UNION ALL SELECT 'grants', 'on column ' || attname FROM pg_attribute
          WHERE attrelid = {oid} AND attacl IS NOT NULL AND NOT attisdropped
         UNION ALL SELECT 'sequence', s.relname FROM pg_depend d JOIN pg_class s ON s.oid = d.objid
          WHERE {not_ours} AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
            AND d.refobjid = {oid} AND s.relkind = 'S'
         UNION ALL SELECT 'generated column', attname FROM pg_attribute
          WHERE {not_ours} AND attrelid = {oid} AND attgenerated <> '' AND NOT attisdropped
         UNION ALL SELECT what.* FROM pg_class c CROSS JOIN LATERAL (VALUES
            ('grants', CASE WHEN c.relacl IS NOT NULL THEN 'on the table' END),
            ('owner', CASE WHEN c.relowner <> current_user::regrole THEN c.relowner::regrole::text END),
            ('row security', CASE WHEN c.relrowsecurity THEN 'is on' END),
            ('storage parameters', array_to_string(c.reloptions, ', ')),
            ('tablespace', CASE WHEN c.reltablespace <> 0 THEN 'of its own' END),
            ('unlogged or temporary', CASE WHEN c.relpersistence <> 'p' THEN 'storage' END),
            ('replica identity', CASE WHEN c.relreplident <> 'd' THEN 'of its own' END),
            ('kind', CASE c.relkind WHEN 'r' THEN NULL WHEN 'p' THEN 'partitioned table' ELSE 'not a plain table' END)
          ) what(class, name) WHERE c.oid = {oid} AND what.name IS NOT NULL"
    )
}

/// Looks for everything attached to a table.
pub(crate) async fn attached(client: &Client, table: &Table, ours: bool) -> Result<Attached> {
    let rows = client
        .texts(&sql(table.listed.oid, ours), "look for what is attached to", &table.listed.name.to_string())
        .await?;
    let mut attached = Attached::default();
    for row in rows {
        let [Some(class), Some(name)] = row.as_slice() else { continue };
        match class.as_str() {
            "cascade" => {
                attached.cascades.push(name.clone());
                attached.referenced = true;
            }
            "referenced" => attached.referenced = true,
            "trigger" => attached.triggers.push(name.clone()),
            _ => {}
        }
        let class = match class.as_str() {
            "cascade" | "referenced" => "foreign key",
            class => class,
        };
        attached.reasons.push(format!("{class} {name}"));
    }
    Ok(attached)
}
