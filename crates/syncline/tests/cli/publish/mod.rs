//! How an overwrite becomes visible: at once, and without harm to what hangs on the table.

mod attached;
mod orphans;
mod races;
mod readers;
