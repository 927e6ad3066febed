//! The files of the page, compiled in. They hold nothing that was received.

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// Path without the first slash, content type, text.
type Asset = (&'static str, &'static str, &'static str);

const ASSETS: [Asset; 8] = [
    ("", HTML, include_str!("page.html")),
    ("page.css", CSS, include_str!("page.css")),
    ("page.js", JS, include_str!("page.js")),
    ("list.js", JS, include_str!("list.js")),
    ("detail.js", JS, include_str!("detail.js")),
    ("calls.js", JS, include_str!("calls.js")),
    ("feed.js", JS, include_str!("feed.js")),
    ("text.js", JS, include_str!("text.js")),
];

pub(super) fn find(path: &str) -> Option<Asset> {
    ASSETS.into_iter().find(|(name, ..)| *name == path)
}
