//! The choices that flags offer, and what each means to the rooms below.

use clap::ValueEnum;

use crate::cdr;
use crate::cdr::story::CallIds;
use crate::send::plan::Methods;
use crate::wire::query::Encoding;

/// What `--method` offers.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Method {
    Post,
    Get,
    Both,
}

impl From<Method> for Methods {
    fn from(method: Method) -> Self {
        match method {
            Method::Post => Self::Post,
            Method::Get => Self::Get,
            Method::Both => Self::Both,
        }
    }
}

/// What `--get-encoding` offers.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum GetEncoding {
    Flat,
    Brackets,
}

impl From<GetEncoding> for Encoding {
    fn from(encoding: GetEncoding) -> Self {
        match encoding {
            GetEncoding::Flat => Self::Flat,
            GetEncoding::Brackets => Self::Brackets,
        }
    }
}

/// What `--shape` offers.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Shape {
    Docs,
    Live,
}

impl From<Shape> for cdr::Shape {
    fn from(shape: Shape) -> Self {
        match shape {
            Shape::Docs => Self::Docs,
            Shape::Live => Self::Live,
        }
    }
}

/// What `--call-id` offers.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum CallId {
    Shared,
    PerLeg,
}

impl From<CallId> for CallIds {
    fn from(call_id: CallId) -> Self {
        match call_id {
            CallId::Shared => Self::Shared,
            CallId::PerLeg => Self::PerLeg,
        }
    }
}
