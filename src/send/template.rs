//! Makes the HTTP requests that carry CDRs.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::edit::{self, Edit};
use super::{Methods, Origin};
use crate::cdr::{Cdr, CdrText, live_event};
use crate::input::Item;
use crate::json;
use crate::net::{Header, Request, query};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestTemplate {
    pub target: String,
    pub methods: Methods,
    pub encoding: query::Encoding,
    pub headers: Vec<Header>,
    pub edits: Vec<Edit>,
    /// The `Host` header for captured requests that go to another machine.
    pub host: Option<String>,
    /// The URL's userinfo as the `Authorization` header of captured requests. The HTTP client adds the header to other
    /// requests.
    pub authorization: Option<Header>,
}

pub enum CdrSource<'a> {
    Generated(Cdr<'a>),
    /// A live event of the CDR's leg, with its status and `conversation_uuid`.
    Event(Cdr<'a>, (&'static str, Uuid)),
    Item(&'a Item),
}

#[derive(Debug, Clone, PartialEq)]
pub struct PreparedCdr {
    pub cdr: Option<CdrText>,
    pub requests: Vec<Arc<Request>>,
    pub origin: Origin,
}

impl RequestTemplate {
    pub fn prepare(&self, source: &CdrSource<'_>) -> PreparedCdr {
        match source {
            // Fast path: a generated CDR without edits needs no parsing, which takes longer than generating.
            CdrSource::Generated(cdr) if self.methods == Methods::Post && self.edits.is_empty() => {
                let cdr = CdrText::from(cdr);
                self.prepared(&cdr.json.clone(), Some(cdr))
            }
            CdrSource::Generated(cdr) => self.prepare_body(cdr.json().into()),
            CdrSource::Event(cdr, (status, conversation)) => {
                let edited = edit::edit_object(&cdr.json(), &self.edits);
                let fields = serde_json::from_slice(&edited).unwrap_or_default();
                let mut event = live_event(&fields, status);
                if *conversation != cdr.cmiuuid {
                    let conversation = conversation.to_string();
                    event.insert("conversation_uuid".to_owned(), conversation.into());
                }
                let cdr = CdrText {
                    status: Some(format!("{status} event").into()),
                    ..CdrText::from(&event)
                };
                self.prepared(&cdr.json.clone(), Some(cdr))
            }
            CdrSource::Item(Item::Body(body)) => self.prepare_body(body.clone()),
            CdrSource::Item(Item::Captured(_, captured)) => self.prepare_capture(&captured.request),
        }
    }

    /// Returns an error if an item cannot be sent by the template's methods: a query is UTF-8 text.
    pub fn check(&self, item: &Item) -> Result<(), String> {
        let Item::Body(body) = item else {
            return Ok(());
        };
        let edited = edit::edit_object(body, &self.edits);
        let is_half = |token: json::Token<'_>| {
            token.text.starts_with('"') && serde_json::from_str::<String>(token.text).is_err()
        };
        let mut tokens = json::tokens(str::from_utf8(&edited).unwrap_or_default());
        if self.methods == Methods::Post || !tokens.any(is_half) {
            return Ok(());
        }
        Err("cannot be sent as a query: a string holds half of a surrogate pair".to_owned())
    }

    fn prepare_body(&self, mut body: Bytes) -> PreparedCdr {
        if !self.edits.is_empty() {
            body = edit::edit_object(&body, &self.edits).into();
        }
        let cdr = CdrText::read(&body);
        self.prepared(&body, cdr)
    }

    fn prepared(&self, body: &Bytes, cdr: Option<CdrText>) -> PreparedCdr {
        let request = |method: &&str| {
            Arc::new(match *method {
                "GET" => self.get(body),
                _ => self.post(body.clone()),
            })
        };
        PreparedCdr {
            requests: self.methods.each().iter().map(request).collect(),
            cdr,
            origin: Origin::Template,
        }
    }

    pub fn post(&self, body: impl Into<Bytes>) -> Request {
        let mut headers = Vec::with_capacity(self.headers.len() + 1);
        if !self.headers.iter().any(|own| own.is("content-type")) {
            headers.push(Header::from_static("Content-Type", "application/json"));
        }
        headers.extend(self.headers.iter().cloned());
        Request::new("POST", self.target.clone(), headers, body)
    }

    pub fn get(&self, body: &[u8]) -> Request {
        let target = query::merge(&self.target, &query::encode(body, self.encoding));
        Request::new("GET", target, self.headers.clone(), Bytes::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_and_a_body_tell_the_same_number() {
        // A `serde_json::Value` would hold the neighbouring f64 of `big`, and the last `a` only.
        let item = Item::Body(r#"{"big":123456789012345678901234, "a":1.50,"a":-0}"#.into());
        let template = RequestTemplate {
            methods: Methods::Both,
            edits: vec![Edit::set("leg=b").unwrap()],
            ..RequestTemplate::default()
        };
        let requests = template.prepare(&CdrSource::Item(&item)).requests;
        assert_eq!(
            requests[0].body.text(),
            Some(r#"{"big":123456789012345678901234, "a":1.50,"a":-0, "leg":"b"}"#)
        );
        assert_eq!(
            requests[1].target,
            "?big=123456789012345678901234&a=1.50&a=-0&leg=b"
        );
    }

    #[test]
    fn an_edit_is_made_even_where_a_value_cannot_be_read() {
        let template = |methods, edit| RequestTemplate {
            methods,
            edits: vec![edit],
            ..RequestTemplate::default()
        };
        let set = Edit::set("leg=b").unwrap();
        for value in ["1e400", r#""\ud800""#] {
            let item = Item::Body(format!(r#"{{"leg":"a", "big":{value}}}"#).into());
            let post = template(Methods::Post, set.clone());
            assert_eq!(
                post.prepare(&CdrSource::Item(&item)).requests[0]
                    .body
                    .text(),
                Some(&*format!(r#"{{"leg":"b", "big":{value}}}"#))
            );
            assert_eq!(post.check(&item), Ok(()));
            let by_get = template(Methods::Get, set.clone()).check(&item);
            assert_eq!(by_get.is_err(), value.starts_with('"'));
            let readable = template(Methods::Both, Edit::unset("big").unwrap());
            assert_eq!(readable.check(&item), Ok(()));
            assert_eq!(
                readable.prepare(&CdrSource::Item(&item)).requests[1].target,
                "?leg=a"
            );
        }
    }
}
