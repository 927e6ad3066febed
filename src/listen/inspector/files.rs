//! What the page is made of, compiled in. It holds nothing of what was received.

/// One file of the page.
#[derive(Debug, PartialEq, Eq)]
pub struct File {
    /// Where it is asked for.
    pub path: &'static str,
    /// Its content type.
    pub kind: &'static str,
    /// What is in it.
    pub text: &'static str,
}

/// All files of the page.
const FILES: [File; 8] = [
    File { path: "/", kind: "text/html; charset=utf-8", text: include_str!("page.html") },
    File { path: "/page.css", kind: "text/css; charset=utf-8", text: include_str!("page.css") },
    script("/page.js", include_str!("page.js")),
    script("/list.js", include_str!("list.js")),
    script("/detail.js", include_str!("detail.js")),
    script("/calls.js", include_str!("calls.js")),
    script("/feed.js", include_str!("feed.js")),
    script("/text.js", include_str!("text.js")),
];

/// A file with something to do in it.
const fn script(path: &'static str, text: &'static str) -> File {
    File { path, kind: "text/javascript; charset=utf-8", text }
}

/// The file at this path, if the page has one there.
#[must_use]
pub fn find(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}
