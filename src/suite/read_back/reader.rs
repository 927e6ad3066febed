//! Finds the records of a CDR in what a read-back gave: JSON of any shape, a table, or text.

use serde_json::{Deserializer, Value};

use super::compare::stored;
use crate::cdr;
use crate::reply::page_text;

/// A `Record` is one stored record: its values with their names, which are empty where the output has none.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Record {
    pub values: Vec<(String, Value)>,
    /// The lines of a table or text, since values with spaces cannot always be told apart.
    pub text: String,
}

impl Record {
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> {
        let plain = |name: &str| name.replace(['_', '-'], "").to_lowercase();
        let values = self.values.iter();
        values.filter_map(move |(own, value)| (plain(own) == plain(name)).then_some(value))
    }

    /// `has` is true if a value equals `text`, or if the text has it between characters that are no part of a word.
    pub fn has(&self, text: &str) -> bool {
        !text.is_empty()
            && (self.values.iter().any(|(_, value)| is(value, text)) || contains(&self.text, text))
    }
}

fn is(value: &Value, text: &str) -> bool {
    !(value.is_object() || value.is_array() || value.is_null()) && cdr::text(value) == text
}

fn contains(line: &str, text: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(text).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + text.len()..].chars().next();
        let inside = |edge: Option<char>, own: Option<char>| {
            edge.is_some_and(is_word) && own.is_some_and(is_word)
        };
        !inside(before, text.chars().next()) && !inside(after, text.chars().next_back())
    })
}

/// The fields by which a record is recognised. `id` is the `cmiuuid`; a record without an id needs two of the `others`,
/// a record with the id one, so that "no call 5f3c…" is no record.
pub struct Wanted {
    pub id: String,
    pub others: Vec<(&'static str, Value)>,
}

impl Wanted {
    fn fits(&self, record: &Record) -> bool {
        let others = self.others.iter();
        let others = others.filter(|(name, value)| stored(name, value, record));
        let others = others.count();
        others >= if record.has(&self.id) { 1 } else { 2 }
    }
}

pub fn records(output: &str, wanted: &Wanted) -> Vec<Record> {
    let output = output.trim();
    let page = output.starts_with('<').then(|| page_text(output));
    let output = page.as_deref().unwrap_or(output);
    // A bare number counts the records, as `select count(*)` does.
    if let Ok(count) = output.parse::<usize>() {
        return vec![Record::default(); count.min(100)];
    }
    let documents: Result<Vec<Value>, _> = Deserializer::from_str(output).into_iter().collect();
    let mut found = match documents {
        Ok(documents) if documents.iter().all(is_nested) => {
            in_json(&Value::Array(documents), &wanted.id)
        }
        _ => in_text(output, wanted),
    };
    found.retain(|record| wanted.fits(record));
    let with_id = |record: &Record| record.has(&wanted.id);
    if found.iter().any(with_id) {
        found.retain(with_id);
    }
    found
}

fn is_nested(value: &Value) -> bool {
    value.is_object() || value.is_array()
}

/// The items of an array are separate records. An object is one record, unless its only content are arrays of records.
fn in_json(value: &Value, id: &str) -> Vec<Record> {
    match value {
        Value::Array(items) if items.iter().any(is_nested) => {
            items.iter().flat_map(|item| in_json(item, id)).collect()
        }
        Value::Object(members) if !members.values().any(|member| is(member, id)) => {
            let lists = members.values().filter_map(Value::as_array);
            let lists = lists.flatten().filter(|item| is_nested(item));
            let inner: Vec<Record> = lists.flat_map(|item| in_json(item, id)).collect();
            let mut values = members.values();
            let has_scalar = values.any(|own| own.is_string() || own.is_number());
            let is_list = !has_scalar && !inner.is_empty();
            if is_list || inner.iter().any(|record| record.has(id)) {
                return inner;
            }
            vec![flat(value)]
        }
        _ => vec![flat(value)],
    }
}

/// Nested values, and those of JSON text in strings, are listed beside the whole.
fn flat(value: &Value) -> Record {
    let mut record = Record::default();
    push(&mut record.values, "", value);
    record
}

fn push(values: &mut Vec<(String, Value)>, name: &str, value: &Value) {
    values.push((name.to_owned(), value.clone()));
    match unwrapped(value) {
        Value::Object(members) => {
            let members = members.iter();
            members.for_each(|(name, own)| push(values, name, own));
        }
        Value::Array(items) => items.iter().for_each(|item| push(values, name, item)),
        _ => {}
    }
}

/// The value that a JSON text in a string stands for; other values as they are.
pub fn unwrapped(value: &Value) -> Value {
    match value {
        Value::String(text) if text.trim_start().starts_with(['{', '[', '"']) => {
            serde_json::from_str(text).map_or_else(|_| value.clone(), |inner| unwrapped(&inner))
        }
        other => other.clone(),
    }
}

/// A line with the id and another value is a row. Otherwise each block of lines is a record, with a field in each line.
fn in_text(output: &str, wanted: &Wanted) -> Vec<Record> {
    let lines: Vec<&str> = output.lines().collect();
    let has_id = contains(output, &wanted.id);
    let is_row = |line: &&str| {
        let text = (*line).to_owned();
        let values = Vec::new();
        let record = Record { values, text };
        wanted.fits(&record) && (!has_id || record.has(&wanted.id))
    };
    if lines.iter().any(is_row) {
        let mut others = lines.iter().filter(|line| !is_row(line));
        let names = others.find_map(|line| Some(cells(line)).filter(|cells| cells.len() > 1));
        let names = names.unwrap_or_default();
        let rows = lines.iter().filter(|line| is_row(line));
        return rows.map(|line| row(line, &names)).collect();
    }
    // psql's expanded table and MySQL's \G begin a record by `-[ RECORD 1 ]-` and `*** 1. row ***`.
    let begins =
        |line: &&str| line.trim().is_empty() || line.starts_with("-[") || line.starts_with("***");
    let blocks = lines.split(begins).filter(|block| !block.is_empty());
    blocks.map(block).collect()
}

fn row(line: &str, names: &[String]) -> Record {
    let cells = cells(line);
    let mut names = names.to_vec();
    if names.len() != cells.len() {
        names = vec![String::new(); cells.len()];
    }
    let cells = cells.into_iter().map(Value::String);
    Record {
        values: names.into_iter().zip(cells).collect(),
        text: line.to_owned(),
    }
}

fn block(lines: &[&str]) -> Record {
    let pair = |line: &&str| {
        let line = line.trim();
        let (name, value) = line.split_at(line.find(|c: char| !c.is_alphanumeric() && c != '_')?);
        let value = value.trim_start().trim_start_matches(['|', ':', '=']);
        Some((name.to_owned(), Value::from(value.trim())))
    };
    Record {
        values: lines.iter().filter_map(pair).collect(),
        text: lines.join("\n"),
    }
}

/// The cells of a table's line: between bars or tabs, as CSV, or else its words.
fn cells(line: &str) -> Vec<String> {
    let line = line.trim().trim_matches('|');
    let trimmed = |cell: &str| cell.trim().to_owned();
    match ['|', '\t', ','].iter().find(|c| line.contains(**c)) {
        Some(',') => csv(line),
        Some(separator) => line.split(*separator).map(trimmed).collect(),
        None => line.split_whitespace().map(trimmed).collect(),
    }
}

/// A quoted cell holds commas, and quotes twice (RFC 4180).
fn csv(line: &str) -> Vec<String> {
    let (mut cells, mut cell, mut is_quoted) = (Vec::new(), String::new(), false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if is_quoted && letters.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => cells.push(std::mem::take(&mut cell)),
            letter => cell.push(letter),
        }
    }
    cells.push(cell);
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0f6c9a52-31de";

    fn found(output: &str) -> Vec<Record> {
        let wanted = Wanted {
            id: ID.to_owned(),
            others: vec![
                ("status", "missed".into()),
                ("time", 1_795_338_000_123_u64.into()),
                ("user", "101_2222223".into()),
            ],
        };
        records(output, &wanted)
    }

    #[test]
    fn records_are_found_in_json_of_any_shape() {
        let row = format!(r#"{{"id":"{ID}","status":"missed"}}"#);
        let text = serde_json::to_string(&row).unwrap();
        for (output, count) in [
            (row.clone(), 1),
            (format!("[{row},{row}]"), 2),
            (format!("{row}\n{row}\n"), 2),
            (format!(r#"{{"count":1,"rows":[{row}]}}"#), 1),
            (format!(r#"{{"data":{{"call":{row}}}}}"#), 1),
            (format!(r#"{{"n":7,"body":{text}}}"#), 1),
            (format!(r#"[["{ID}","missed"],["{ID}","missed"]]"#), 2),
            (
                format!(r#"{{"cmiuuid":"{ID}","status":"missed","tries":[{row},{row}]}}"#),
                1,
            ),
            (
                r#"[{"status":"missed","user":"101_2222223"}]"#.to_owned(),
                1,
            ),
            (
                format!(r#"[{row},{{"id":"another","status":"missed","user":"101_2222223"}}]"#),
                1,
            ),
        ] {
            assert_eq!(found(&output).len(), count, "{output}");
        }
    }

    #[test]
    fn nothing_is_found_in_what_only_repeats_the_question() {
        for output in [
            String::new(),
            "[]".to_owned(),
            "null".to_owned(),
            "0".to_owned(),
            "(0 rows)".to_owned(),
            " cmiuuid | status \n---------+--------\n(0 rows)".to_owned(),
            format!(r#"{{"error":"no call {ID}"}}"#),
            format!(r#"{{"cmiuuid":"{ID}","calls":[]}}"#),
            format!("no call {ID}"),
        ] {
            assert_eq!(found(&output), [], "{output}");
        }
    }

    #[test]
    fn records_are_found_in_tables() {
        for (output, count) in [
            (
                format!(" cmiuuid | status\n---+---\n {ID} | missed\n {ID} | missed\n(2 rows)"),
                2,
            ),
            (format!("+---+---+\n| {ID} | missed |\n+---+---+"), 1),
            (format!("{ID}|missed"), 1),
            (
                format!("cmiuuid,status,custom\n{ID},missed,\"{{\"\"a\"\":\"\"b, c\"\"}}\""),
                1,
            ),
            (format!("cmiuuid\tstatus\n{ID}\tmissed"), 1),
            (
                format!(
                    "-[ RECORD 1 ]-\ncmiuuid | {ID}\nstatus | missed\n-[ RECORD 2 ]-\ncmiuuid | {ID}\nstatus | missed"
                ),
                2,
            ),
            (format!("*** 1. row ***\ncmiuuid: {ID}\n status: missed"), 1),
            (
                format!(
                    "cmiuuid         {ID}\nstatus          missed\n\ncmiuuid         {ID}\nstatus          missed"
                ),
                2,
            ),
            ("2".to_owned(), 2),
            (
                format!(
                    "<!doctype html><title>{ID}</title><h1>Call {ID}</h1><table>\n<tr><th>id</th><th>status</th></tr>\n\
                     <tr>\n <td>{ID}</td>\n <td>missed</td>\n</tr>\n<tr><td>{ID}</td><td>missed</td></tr></table>"
                ),
                2,
            ),
            (
                format!(
                    "<table>\n<tr><th>id</th>\n<td>{ID}</td></tr>\n<tr><th>status</th><td>missed</td></tr>\n</table>\n\
                     <table>\n<tr><th>id</th><td>{ID}</td></tr><tr><th>status</th><td>missed</td></tr></table>"
                ),
                2,
            ),
            (
                format!("<dl>\n<dt>id</dt>\n<dd>{ID}</dd>\n<dt>status</dt><dd>missed</dd></dl>"),
                1,
            ),
            (format!("<h1>Call {ID}</h1><p>No such call.</p>"), 0),
        ] {
            assert_eq!(found(&output).len(), count, "{output}");
        }
        let csv = format!("cmiuuid,status,custom\n{ID},missed,\"{{\"\"a\"\":\"\"b, c\"\"}}\"");
        let record = &found(&csv)[0];
        assert_eq!(
            record.named("custom").next(),
            Some(&Value::from(r#"{"a":"b, c"}"#))
        );
        assert!(record.has("missed") && !record.has("issed"));
        let page = format!(
            "<table><tr><th>id</th><th>status</th><th>custom</th></tr>\
             <tr><td>{ID}</td><td>missed</td><td>{{&quot;a&quot;:\n&quot;b &amp; c&quot;}}</td></tr></table>"
        );
        let record = &found(&page)[0];
        assert_eq!(
            record.named("custom").next(),
            Some(&Value::from(r#"{"a": "b & c"}"#))
        );
    }
}
