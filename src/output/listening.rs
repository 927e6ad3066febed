//! What a listener says of itself: where it listens, connections without a request, and its summary.

use std::fmt::Write as _;

use super::theme::{Role, Theme};
use super::wrap::plural;
use crate::error::Exit;
use crate::listen::event::{ConnectionErrors, Ending, Listening, Summary};
use crate::process::Ended;
use crate::untrusted::clean;

/// The line that says where we listen. It is the ready line: scripts wait for it.
#[must_use]
pub fn listening(listening: &Listening, theme: Theme) -> String {
    format!(
        "{} {}\n",
        theme.paint(Role::Strong, "listening on"),
        listening.url
    )
}

/// Where a browser can see what comes, if it can.
#[must_use]
pub fn inspect(listening: &Listening, theme: Theme) -> String {
    let line = |url: &String| format!("{}     {url}\n", theme.paint(Role::Strong, "inspect"));
    listening.inspect.as_ref().map(line).unwrap_or_default()
}

/// The public URL, if there is one, and where to enter it in TeleCMI's dashboard.
#[must_use]
pub fn public_url(listening: &Listening, theme: Theme) -> String {
    // Fits sixty columns.
    const CLICKS: [&str; 2] = [
        "in TeleCMI's dashboard: business number → SETTINGS →",
        "  WEBHOOKS → type \"call report\" → method (POST or GET) →",
    ];
    let Some(url) = &listening.public_url else {
        return String::new();
    };
    let mut text = format!(
        "{}  {}\n",
        theme.paint(Role::Strong, "public URL"),
        to_register(url)
    );
    for line in CLICKS {
        let _ = writeln!(text, "{}", theme.paint(Role::Faint, line));
    }
    let _ = writeln!(text, "{}", theme.paint(Role::Faint, "  paste the URL"));
    text
}

/// The URL to register: with the path of TeleCMI's own examples, unless it has one.
fn to_register(url: &str) -> String {
    let beginning = url.find("://").map_or(0, |at| at + 3);
    let has_path = url[beginning..].contains(['?', '#'])
        || url[beginning..].trim_end_matches('/').contains('/');
    let url = clean(url);
    if has_path {
        url
    } else {
        format!("{}/webhook/cdr", url.trim_end_matches('/'))
    }
}

/// What to do next, for a person who has just started a listener.
#[must_use]
pub fn listening_hint(listening: &Listening, theme: Theme) -> String {
    let text = format!(
        "try: telecmi-cdr send --url {}/webhook/cdr   (Ctrl-C stops)",
        listening.url
    );
    format!("{}\n", theme.paint(Role::Faint, &text))
}

/// The line about connections that failed before a request could be read.
#[must_use]
pub fn connection_errors(errors: &ConnectionErrors, theme: Theme) -> String {
    let more = if errors.count > 1 {
        format!(" (and {} more like it)", errors.count - 1)
    } else {
        String::new()
    };
    format!(
        "{} {}{more}\n",
        theme.paint(Role::Odd, "!"),
        clean(&errors.text)
    )
}

/// The listener's last lines.
#[must_use]
pub fn summary(summary: &Summary, theme: Theme) -> String {
    let too_many = summary.exit != Exit::Success
        && summary
            .wanted
            .is_some_and(|wanted| summary.counted > wanted);
    let failed = summary
        .command
        .filter(|ended| ended.shell_code() != 0)
        .map(Ended::words);
    let ending = match (summary.ending, &failed) {
        (Ending::Counted, _) if too_many => "more CDRs came than wanted".to_owned(),
        (Ending::CommandEnded, Some(how)) => format!("the command ended {how}"),
        (ending, _) => self::ending(ending).to_owned(),
    };
    let mut parts = vec![plural(summary.exchanges, "request")];
    parts.push(match summary.wanted {
        Some(wanted) => format!("{} of {wanted} CDRs", summary.counted),
        None if summary.counted < summary.cdrs => {
            format!(
                "{}, {} of them as expected",
                plural(summary.cdrs, "CDR"),
                summary.counted
            )
        }
        None => plural(summary.cdrs, "CDR"),
    });
    parts.push(plural(summary.remarks, "remark"));
    if summary.malformed > 0 {
        parts.push(format!("{} malformed", summary.malformed));
    }
    parts.extend(summary.saved.map(|saved| format!("{saved} saved")));
    if summary.lost > 0 {
        parts.push(format!("{} lost (could not be saved)", summary.lost));
    }
    if summary.dropped > 0 {
        parts.push(format!(
            "{} not shown (the output was not read fast enough)",
            summary.dropped
        ));
    }
    if summary.ending != Ending::CommandEnded {
        parts.extend(failed.map(|how| format!("command ended {how}")));
    }
    if summary.tunnel_ended {
        parts.push("the tunnel ended early".to_owned());
    }
    let role = if summary.exit.code() == 0 {
        Role::Good
    } else {
        Role::Bad
    };
    format!("{} · {}\n", theme.paint(role, &ending), parts.join(" · "))
}

/// Why a listener ended, in words.
#[must_use]
pub fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Counted => "all wanted CDRs came",
        Ending::TimedOut => "time is up",
        Ending::Interrupted => "interrupted",
        Ending::Terminated => "terminated",
        Ending::CommandEnded => "the command ended",
    }
}
