//! The files of the page, compiled in. They hold nothing that was received.

/// One file of the page.
#[derive(Debug)]
pub(super) struct Asset {
    /// The path without its first slash.
    pub path: &'static str,
    pub content_type: &'static str,
    pub text: &'static str,
}

const ASSETS: [Asset; 8] = [
    Asset {
        path: "",
        content_type: "text/html; charset=utf-8",
        text: include_str!("page.html"),
    },
    Asset {
        path: "page.css",
        content_type: "text/css; charset=utf-8",
        text: include_str!("page.css"),
    },
    script("page.js", include_str!("page.js")),
    script("list.js", include_str!("list.js")),
    script("detail.js", include_str!("detail.js")),
    script("calls.js", include_str!("calls.js")),
    script("feed.js", include_str!("feed.js")),
    script("text.js", include_str!("text.js")),
];

const fn script(path: &'static str, text: &'static str) -> Asset {
    Asset {
        path,
        content_type: "text/javascript; charset=utf-8",
        text,
    }
}

pub(super) fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}
