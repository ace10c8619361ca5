//! What hangs on a table, and would follow or be lost with it when another takes its name.

use std::collections::{BTreeMap, BTreeSet};

use syncline_types::Result;

use crate::client::Client;

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

/// Each row: a table, a class, and the name of what was found.
fn sql(oids: &str) -> String {
    format!(
        "SELECT i.indrelid, 'index', c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
          WHERE i.indrelid IN ({oids}) AND NOT i.indisprimary
         UNION ALL SELECT conrelid, 'constraint', conname FROM pg_constraint
          WHERE conrelid IN ({oids}) AND contype NOT IN ('p', 'n', 'u')
         UNION ALL SELECT confrelid, CASE WHEN confdeltype IN ('c', 'n', 'd') THEN 'cascade' ELSE 'referenced' END,
                          conname || ' of ' || conrelid::regclass::text
          FROM pg_constraint WHERE confrelid IN ({oids}) AND contype = 'f' AND conparentid = 0
         UNION ALL SELECT tgrelid, 'trigger', tgname FROM pg_trigger WHERE tgrelid IN ({oids}) AND NOT tgisinternal
         UNION ALL SELECT DISTINCT d.refobjid, 'view', r.ev_class::regclass::text
          FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
          WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
            AND d.refobjid IN ({oids}) AND r.ev_class <> d.refobjid
         UNION ALL SELECT ev_class, 'rule', rulename FROM pg_rewrite
          WHERE ev_class IN ({oids}) AND rulename <> '_RETURN'
         UNION ALL SELECT DISTINCT d.refobjid, 'function', d.objid::regprocedure::text FROM pg_depend d
          WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid IN ({oids})
         UNION ALL SELECT polrelid, 'policy', polname FROM pg_policy WHERE polrelid IN ({oids})
         UNION ALL SELECT r.prrelid, 'publication', p.pubname FROM pg_publication_rel r
          JOIN pg_publication p ON p.oid = r.prpubid WHERE r.prrelid IN ({oids})
         UNION ALL SELECT stxrelid, 'statistics object', stxname FROM pg_statistic_ext WHERE stxrelid IN ({oids})
         UNION ALL SELECT DISTINCT o.oid, 'child or parent table', 'by inheritance or partitioning'
          FROM pg_inherits h JOIN pg_class o ON o.oid IN (h.inhparent, h.inhrelid) WHERE o.oid IN ({oids})
         UNION ALL SELECT d.objoid, 'comment', coalesce('on column ' || a.attname, 'on the table')
          FROM pg_description d LEFT JOIN pg_attribute a
            ON a.attrelid = d.objoid AND a.attnum = d.objsubid AND d.objsubid > 0
          WHERE d.objoid IN ({oids}) AND d.classoid = 'pg_class'::regclass
         UNION ALL SELECT attrelid, 'grants', 'on column ' || attname FROM pg_attribute
          WHERE attrelid IN ({oids}) AND attacl IS NOT NULL AND NOT attisdropped
         UNION ALL SELECT d.refobjid, 'sequence', s.relname FROM pg_depend d JOIN pg_class s ON s.oid = d.objid
          WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
            AND d.refobjid IN ({oids}) AND s.relkind = 'S'
         UNION ALL SELECT attrelid, 'generated column', attname FROM pg_attribute
          WHERE attrelid IN ({oids}) AND attgenerated <> '' AND NOT attisdropped
         UNION ALL SELECT c.oid, what.* FROM pg_class c CROSS JOIN LATERAL (VALUES
            ('grants', CASE WHEN c.relacl IS NOT NULL THEN 'on the table' END),
            ('owner', CASE WHEN c.relowner <> current_user::regrole THEN c.relowner::regrole::text END),
            ('row security', CASE WHEN c.relrowsecurity THEN 'is on' END),
            ('storage parameters', array_to_string(c.reloptions, ', ')),
            ('tablespace', CASE WHEN c.reltablespace <> 0 THEN 'of its own' END),
            ('unlogged or temporary', CASE WHEN c.relpersistence <> 'p' THEN 'storage' END),
            ('replica identity', CASE WHEN c.relreplident <> 'd' THEN 'of its own' END),
            ('kind', CASE c.relkind WHEN 'r' THEN NULL WHEN 'p' THEN 'partitioned table' ELSE 'not a plain table' END)
          ) what(class, name) WHERE c.oid IN ({oids}) AND what.name IS NOT NULL"
    )
}

/// What a table that we made has by its stream's shape, and gets again.
const OF_OUR_SHAPE: [&str; 2] = ["sequence", "generated column"];

/// Looks for everything attached to each of these tables, some of which we have made.
pub(crate) async fn attached(
    client: &Client,
    oids: &str,
    ours: &BTreeSet<u32>,
) -> Result<BTreeMap<u32, Attached>> {
    let rows =
        client.texts(&sql(oids), "look for what is attached to tables in", &client.config.place()).await?;
    let mut found: BTreeMap<u32, Attached> = BTreeMap::new();
    for row in rows {
        let [Some(oid), Some(class), Some(name)] = row.as_slice() else { continue };
        let Ok(oid) = oid.parse() else { continue };
        if ours.contains(&oid) && OF_OUR_SHAPE.contains(&class.as_str()) {
            continue;
        }
        let attached = found.entry(oid).or_default();
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
    Ok(found)
}
