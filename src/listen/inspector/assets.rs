//! What the page is made of, compiled in. It holds nothing of what was received.

/// One part of the page.
#[derive(Debug, PartialEq, Eq)]
pub struct Asset {
    /// Where it is asked for.
    pub path: &'static str,
    /// Its content type.
    pub kind: &'static str,
    /// What is in it.
    pub text: &'static str,
}

/// All parts of the page.
const PARTS: [Asset; 8] = [
    Asset {
        path: "/",
        kind: "text/html; charset=utf-8",
        text: include_str!("page.html"),
    },
    Asset {
        path: "/page.css",
        kind: "text/css; charset=utf-8",
        text: include_str!("page.css"),
    },
    script("/page.js", include_str!("page.js")),
    script("/list.js", include_str!("list.js")),
    script("/detail.js", include_str!("detail.js")),
    script("/calls.js", include_str!("calls.js")),
    script("/feed.js", include_str!("feed.js")),
    script("/text.js", include_str!("text.js")),
];

/// A part that does something.
const fn script(path: &'static str, text: &'static str) -> Asset {
    Asset {
        path,
        kind: "text/javascript; charset=utf-8",
        text,
    }
}

/// The part at this path, if the page has one there.
#[must_use]
pub fn find(path: &str) -> Option<&'static Asset> {
    PARTS.iter().find(|part| part.path == path)
}
