//! A pipeline's place: which moments of the server its looks have told.
//!
//! A row of the bookkeeping holds a mark, a number that goes up with every question for the end of the
//! changes while there are any. A look reads it in its snapshot: whatever was committed before the mark was set is in that snapshot
//! too. Looks between two questions have the same mark, and are counted apart from it.

use syncline_sql::{Dialect, bookkeeping::PREFIX};
use syncline_types::{Error, Position, Result, StreamName, codes};

use super::{
    catalogue::standing,
    install::{NOTE, Names, Note, changes_there},
};
use crate::{
    client::Client,
    dialect::{Mysql, qualified, text_constant},
};

/// A place in a pipeline's changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Which changes it is a place in: those that were kept anew have another.
    pub(super) life: String,
    /// The mark that the look has seen.
    pub(super) mark: u64,
    /// How many looks with that mark have told something.
    pub(super) look: u64,
}

impl Place {
    pub(super) fn of(position: &Position) -> Result<Self> {
        let parse = || {
            let (life, moment) = position.0.split_once('/')?;
            let (mark, look) = moment.split_once('.')?;
            let place = Place { life: life.to_owned(), mark: mark.parse().ok()?, look: look.parse().ok()? };
            (!life.is_empty()).then_some(place)
        };
        parse().ok_or_else(|| {
            Error::new(&codes::BAD_BYTES, "go on from", format!("`{}`", position.0))
                .because("it is no place in the changes that triggers have recorded")
        })
    }

    pub(super) fn position(&self) -> Position {
        Position(format!("{}/{}.{}", self.life, self.mark, self.look))
    }

    /// Later looks of one life are greater.
    pub(super) fn moment(&self) -> (u64, u64) {
        (self.mark, self.look)
    }
}

/// The error of a place behind which something may be missing.
pub(super) fn lost(names: &Names, reason: impl std::fmt::Display) -> Error {
    Error::new(&codes::LOG_LOST, "go on following with pipeline", names.quoted())
        .because(reason)
        .hint("Copy the streams again with --restart")
}

/// Whose the tables of changes are: one row a pipeline.
fn table(names: &Names) -> String {
    format!("{}.{}", Mysql.quote(&names.database), Mysql.quote(&table_name()))
}

fn table_name() -> String {
    format!("{PREFIX}_follow")
}

fn own_row(names: &Names) -> String {
    format!("hash = {}", text_constant(&names.hash))
}

/// Notes that the pipeline's changes are kept from now on; returns their life.
pub(super) async fn begin(client: &mut Client, names: &Names) -> Result<String> {
    if kept(client, names).await?.is_some() {
        return Err(Error::new(&codes::LOG_LOST, "begin to follow with pipeline", names.quoted())
            .because("its changes are recorded already, and nothing is known of how far they were followed")
            .hint("Use the --state it was followed with, or begin again with --restart"));
    }
    let (table, quoted, keep) = (table(names), names.quoted(), "keep the changes of pipeline");
    let sql = format!(
        "CREATE TABLE IF NOT EXISTS {table} (hash CHAR(12) NOT NULL PRIMARY KEY, pipeline TEXT NOT NULL, life CHAR(8) NOT NULL,
           mark BIGINT UNSIGNED NOT NULL, confirmed_mark BIGINT UNSIGNED NOT NULL, confirmed_look BIGINT UNSIGNED NOT NULL)
         ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    );
    client.run(&sql, keep, &quoted).await?;
    let life = client.text("SELECT LEFT(UUID(), 8)", keep, &quoted).await?;
    let life = life.unwrap_or_default();
    let sql = format!(
        "INSERT INTO {table} VALUES ({}, {}, {}, 1, 0, 0)",
        text_constant(&names.hash),
        text_constant(&names.pipeline),
        text_constant(&life)
    );
    client.run(&sql, keep, &quoted).await?;
    Ok(life)
}

/// What is noted of a pipeline.
struct Kept {
    /// Where the changes end.
    now: Place,
    /// Records that were told up to there may be deleted.
    confirmed: (u64, u64),
}

async fn kept(client: &mut Client, names: &Names) -> Result<Option<Kept>> {
    let (quoted, look) = (names.quoted(), "look for the changes of pipeline");
    let there = format!(
        "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {}",
        text_constant(&names.database),
        text_constant(&table_name())
    );
    if client.text(&there, look, &quoted).await?.is_none() {
        return Ok(None);
    }
    let sql = format!(
        "SELECT life, mark, confirmed_mark, confirmed_look FROM {} WHERE {}",
        table(names),
        own_row(names)
    );
    let rows = client.texts(&sql, look, &quoted).await?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let number = |at: usize| row.get(at).and_then(Option::as_deref).and_then(|text| text.parse().ok());
    let kept = || {
        let now = Place { life: row.first().cloned().flatten()?, mark: number(1)?, look: 0 };
        Some(Kept { now, confirmed: (number(2)?, number(3)?) })
    };
    kept().map(Some).ok_or_else(|| lost(names, "what is noted of it was changed"))
}

/// Which changes there are, if any.
pub(super) async fn life(client: &mut Client, names: &Names) -> Result<Option<String>> {
    Ok(kept(client, names).await?.map(|kept| kept.now.life))
}

/// A query for the life and the mark, which has no row when the pipeline was released.
pub(super) fn mark_query(names: &Names) -> String {
    format!("SELECT CONCAT(life, '/', mark) FROM {} WHERE {}", table(names), own_row(names))
}

/// What that query has answered.
pub(super) fn seen_mark(names: &Names, answer: Option<&str>) -> Result<(String, u64)> {
    let parts = answer.and_then(|answer| answer.split_once('/'));
    let parsed = parts.and_then(|(life, mark)| Some((life.to_owned(), mark.parse().ok()?)));
    parsed.ok_or_else(|| gone(names))
}

fn gone(names: &Names) -> Error {
    lost(names, format!("`{}` has no row for it any more", table_name()))
}

/// Where the changes end now. Unless nothing has happened since what was confirmed last, that is noted, so
/// that looks can tell whether they were before or after.
pub(super) async fn head(client: &mut Client, names: &Names) -> Result<Place> {
    // In this order: what is deleted meanwhile is confirmed with it.
    let quiet = quiet(client, names).await?;
    let kept = kept(client, names).await?.ok_or_else(|| gone(names))?;
    if quiet.is_some_and(|life| life == kept.now.life) {
        let (mark, look) = kept.confirmed;
        return Ok(Place { mark, look, ..kept.now });
    }
    mark(client, names).await
}

/// Notes that somebody has asked for the end.
pub(super) async fn mark(client: &mut Client, names: &Names) -> Result<Place> {
    let (quoted, find) = (names.quoted(), "find the end of the changes of pipeline");
    let sql = format!("UPDATE {} SET mark = LAST_INSERT_ID(mark + 1) WHERE {}", table(names), own_row(names));
    if client.run(&sql, find, &quoted).await?.affected != 1 {
        return Err(gone(names));
    }
    // A life ends with its row, so this one is of the row that was changed, or there is none.
    let sql =
        format!("SELECT CONCAT(life, '/', LAST_INSERT_ID()) FROM {} WHERE {}", table(names), own_row(names));
    let answer = client.text(&sql, find, &quoted).await?;
    let (life, mark) = seen_mark(names, answer.as_deref())?;
    Ok(Place { life, mark, look: 0 })
}

/// Whether there is nothing to tell, as far as that shows at once: no record, no table altered, none empty that was
/// not. Returns the life of what is so.
async fn quiet(client: &mut Client, names: &Names) -> Result<Option<String>> {
    let find = "find the end of the changes of pipeline";
    let mut notes = vec![];
    for name in changes_there(client, names).await? {
        let changes = qualified(&StreamName::new(names.database.clone(), name), "");
        let sql = format!(
            "SELECT note, EXISTS (SELECT 1 FROM {changes} WHERE number > {NOTE}) FROM {changes} WHERE number = {NOTE}"
        );
        let rows = client.texts(&sql, find, &names.quoted()).await?;
        let note = match rows.first().map(Vec::as_slice) {
            Some([Some(note), Some(is_recorded)]) if is_recorded == "0" => Note::parse(note),
            _ => None,
        };
        let Some(note) = note else { return Ok(None) };
        notes.push(note);
    }
    let tables: Vec<StreamName> = notes.iter().map(Note::name).collect();
    for (note, standing) in notes.iter().zip(standing(client, names, &tables).await?) {
        if standing.altered.as_deref() != Some(note.altered.as_str()) || note.life != notes[0].life {
            return Ok(None);
        }
        if note.rows == Some(0) {
            continue;
        }
        let any = format!("SELECT 1 FROM {} LIMIT 1", qualified(&note.name(), ""));
        match client.text(&any, find, &names.quoted()).await {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(None),
            Err(error) if error.code() == &codes::STREAM_MISSING => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(notes.into_iter().next().map(|note| note.life))
}

/// That everything is there that has come behind a place.
pub(super) async fn check(client: &mut Client, names: &Names, known: &Place) -> Result<()> {
    let kept = kept(client, names).await?.ok_or_else(|| gone(names))?;
    if known.life != kept.now.life {
        return Err(lost(names, "its changes were kept anew"));
    }
    if known.mark > kept.now.mark {
        return Err(lost(
            names,
            "the server is not yet as far as that: it has gone back in time, or is another one",
        ));
    }
    if known.moment() < kept.confirmed {
        return Err(lost(
            names,
            "records behind that place are deleted, since another process has read them",
        ));
    }
    Ok(())
}

/// Notes that what was told up to a place may be deleted.
pub(super) fn confirm(names: &Names, upto: &Place) -> String {
    let Place { life, mark, look } = upto;
    format!(
        "UPDATE {} SET confirmed_mark = {mark}, confirmed_look = {look} WHERE {} AND life = {}
           AND (confirmed_mark < {mark} OR confirmed_mark = {mark} AND confirmed_look < {look})",
        table(names),
        own_row(names),
        text_constant(life)
    )
}

/// Forgets the place, if there is one.
pub(super) async fn give_up(client: &mut Client, names: &Names) -> Result<()> {
    let (quoted, give_up) = (names.quoted(), "give up the changes of pipeline");
    let there = format!(
        "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {}",
        text_constant(&names.database),
        text_constant(&table_name())
    );
    if client.text(&there, give_up, &quoted).await?.is_none() {
        return Ok(());
    }
    let table = table(names);
    client.run(&format!("DELETE FROM {table} WHERE {}", own_row(names)), give_up, &quoted).await?;
    let others = format!("SELECT 1 FROM {table} LIMIT 1");
    let others = client.text(&others, "look for the changes of other pipelines beside", &quoted).await?;
    if others.is_none() {
        client.run(&format!("DROP TABLE {table}"), give_up, &quoted).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back_as_they_were_written() {
        let place = Place { life: "a1b2c3d4".into(), mark: 12, look: 3 };
        assert_eq!(place.position().0, "a1b2c3d4/12.3");
        assert_eq!(Place::of(&place.position()).unwrap(), place);
        for text in ["", "a/", "a/5", "a/5.", "/5.1", "a/5.x", "a/-5.1", "{\"server\":\"1\"}"] {
            assert_eq!(Place::of(&Position(text.into())).unwrap_err().code(), &codes::BAD_BYTES, "{text}");
        }
    }

    #[test]
    fn a_later_mark_is_greater_than_any_look_before_it() {
        let moments = ["a/1.0", "a/1.7", "a/2.0", "a/10.0", "a/10.1"];
        let moment = |text: &&str| Place::of(&Position((*text).into())).unwrap().moment();
        assert!(moments.iter().map(moment).is_sorted());
    }
}
