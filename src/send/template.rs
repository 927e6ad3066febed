//! Makes the HTTP requests that carry CDRs.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::edit::{self, Edit};
use super::plan::{Methods, Origin};
use crate::cdr::{Cdr, CdrText, Fields, live_event};
use crate::input::Item;
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
                self.prepared(&cdr.json.clone(), None, Some(cdr))
            }
            CdrSource::Generated(cdr) => self.prepare_body(cdr.json().into()),
            CdrSource::Event(cdr, (status, conversation)) => {
                let mut fields = cdr.fields();
                self.edits.iter().for_each(|edit| edit.apply(&mut fields));
                let mut event = live_event(&fields, status);
                if *conversation != cdr.cmiuuid {
                    let conversation = conversation.to_string();
                    event.insert("conversation_uuid".to_owned(), conversation.into());
                }
                let cdr = CdrText {
                    status: Some(format!("{status} event").into()),
                    ..CdrText::from(&event)
                };
                self.prepared(&cdr.json.clone(), Some(&event), Some(cdr))
            }
            CdrSource::Item(Item::Body(body)) => self.prepare_body(body.clone()),
            CdrSource::Item(Item::Captured(_, captured)) => self.prepare_capture(&captured.request),
        }
    }

    /// Returns an error if an item cannot be sent by the template's methods: a GET needs fields for the query.
    pub fn check(&self, item: &Item) -> Result<(), String> {
        if self.methods == Methods::Post || self.prepare(&CdrSource::Item(item)).cdr.is_some() {
            return Ok(());
        }
        let error = match item {
            Item::Body(body) => serde_json::from_slice::<Fields>(body).err(),
            Item::Captured(..) => None,
        };
        error.map_or(Ok(()), |error| {
            Err(format!("cannot be sent as a query: {error}"))
        })
    }

    fn prepare_body(&self, mut body: Bytes) -> PreparedCdr {
        let read = |body: &[u8]| serde_json::from_slice::<Fields>(body).ok();
        let mut fields = read(&body);
        if !self.edits.is_empty() {
            body = if let Some(fields) = &mut fields {
                self.edits.iter().for_each(|edit| edit.apply(fields));
                serde_json::to_vec(fields).unwrap_or_default().into()
            } else {
                // `serde_json::Value` holds neither 1e400 nor half a surrogate pair, so the JSON text of the payload is
                // edited.
                Bytes::from(edit::edit_object(&body, &self.edits))
            };
            fields = fields.or_else(|| read(&body));
        }
        let cdr = fields.as_ref().map(CdrText::from);
        self.prepared(&body, fields.as_ref(), cdr)
    }

    fn prepared(&self, body: &Bytes, fields: Option<&Fields>, cdr: Option<CdrText>) -> PreparedCdr {
        let request = |method: &&str| {
            Arc::new(match *method {
                "GET" => self.get(fields),
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

    pub fn get(&self, fields: Option<&Fields>) -> Request {
        let query = fields.map(|fields| query::encode(fields, self.encoding));
        let target = query::merge(&self.target, &query.unwrap_or_default());
        Request::new("GET", target, self.headers.clone(), Bytes::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_and_a_body_tell_the_same_number() {
        // If the JSON were parsed and written again, the number `big` would become the neighbouring f64.
        let item = Item::Body("{\"big\":123456789012345678901234}".into());
        let template = RequestTemplate {
            methods: Methods::Both,
            edits: vec![Edit::set("leg=b").unwrap()],
            ..RequestTemplate::default()
        };
        let requests = template.prepare(&CdrSource::Item(&item)).requests;
        assert_eq!(
            requests[0].body.text(),
            Some(r#"{"big":1.2345678901234567e+23,"leg":"b"}"#)
        );
        assert_eq!(requests[1].target, "?big=1.2345678901234567e%2B23&leg=b");
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
            assert!(template(Methods::Get, set.clone()).check(&item).is_err());
            let readable = template(Methods::Both, Edit::unset("big").unwrap());
            assert_eq!(readable.check(&item), Ok(()));
            assert_eq!(
                readable.prepare(&CdrSource::Item(&item)).requests[1].target,
                "?leg=a"
            );
        }
    }
}
