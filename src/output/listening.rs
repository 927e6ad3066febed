//! Renders the events of `listen` other than exchanges: the ready line, connection errors, the summary.

use super::text::{Role, Theme, plural};
use crate::clock::local_zone;
use crate::error::Exit;
use crate::listen::event::{ConnectionErrors, Ending, Listening, Summary};
use crate::process::Ended;
use crate::untrusted::clean;

/// The path through TeleCMI's dashboard to the webhook's settings is broken into lines of at most 60 columns.
const DASHBOARD: [&str; 3] = [
    "in TeleCMI's dashboard: business number → SETTINGS →",
    "  WEBHOOKS → type \"call report\" → method (POST or GET) →",
    "  paste the URL",
];

/// The ready line, for which scripts wait, comes first; then the public URL, the inspector's URL and, with `hint`, a
/// `send` command to try.
pub fn ready(listening: &Listening, hint: bool, theme: Theme) -> String {
    let row = |label: &str, url: &str| {
        let padding = 12_usize.saturating_sub(label.len()).max(1);
        let label = theme.paint(Role::Strong, label);
        format!("{label}{:padding$}{url}\n", "")
    };
    let faint = |line: &str| format!("{}\n", theme.paint(Role::Faint, line));
    let mut text = row("listening on", &listening.url);
    if let Some(url) = &listening.public_url {
        text += &row("public URL", &to_register(url));
        text.extend(DASHBOARD.map(faint));
    }
    if let Some(url) = &listening.inspect {
        text += &row("inspect", url);
    }
    if let Some(zone) = local_zone(listening.at) {
        text += &faint(&format!("times are in {zone}"));
    }
    if hint {
        let command = format!("telecmi-cdr send --url {}/webhook/cdr", listening.url);
        text += &faint(&format!("try: {command}   (Ctrl-C stops)"));
    }
    text
}

fn to_register(url: &str) -> String {
    let beginning = url.find("://").map_or(0, |at| at + 3);
    let has_path = url[beginning..].contains(['?', '#'])
        || url[beginning..].trim_end_matches('/').contains('/');
    let url = clean(url);
    if has_path {
        url.into_owned()
    } else {
        format!("{}/webhook/cdr", url.trim_end_matches('/'))
    }
}

pub fn connection_errors(errors: &ConnectionErrors, theme: Theme) -> String {
    let more = match errors.count {
        0 | 1 => String::new(),
        count => format!(" (and {} more of this kind)", count - 1),
    };
    let mark = theme.paint(Role::Odd, "!");
    format!("{mark} {}{more}\n", clean(&errors.text))
}

pub fn summary(summary: &Summary, theme: Theme) -> String {
    let counted = summary.counted;
    let surplus = summary.wanted.filter(|wanted| counted > *wanted);
    let failed = summary.command.filter(|ended| ended.shell_code() != 0);
    let failed = failed.map(Ended::words);
    let ending = match (summary.ending, &failed) {
        (Ending::Counted, _) | (Ending::CommandEnded, None)
            if surplus.is_some() && summary.exit != Exit::Success =>
        {
            "received more CDRs than expected".to_owned()
        }
        (Ending::CommandEnded, Some(how)) => format!("the command ended {how}"),
        (ending, _) => self::ending(ending).to_owned(),
    };
    let cdrs = plural(summary.cdrs, "CDR");
    let counted = match summary.wanted {
        Some(wanted) => format!("{counted} of {wanted} CDRs"),
        None if counted < summary.cdrs => format!("{cdrs}, {counted} of them matching"),
        None => cdrs,
    };
    let if_any = |n: u64, what: &str| (n > 0).then(|| format!("{n} {what}"));
    let not_shown = "not shown (the output was not read fast enough)";
    let failed = failed.filter(|_| summary.ending != Ending::CommandEnded);
    let tunnel = summary.tunnel_ended;
    let parts = [
        Some(plural(summary.exchanges, "request")),
        Some(counted),
        Some(plural(summary.remarks, "remark")),
        if_any(summary.malformed, "malformed"),
        summary.saved.map(|saved| format!("{saved} saved")),
        if_any(summary.lost, "not saved"),
        if_any(summary.dropped, not_shown),
        failed.map(|how| format!("command ended {how}")),
        tunnel.then(|| "the tunnel ended early".to_owned()),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    let role = Role::of(summary.exit.code() == 0);
    format!("{} · {}\n", theme.paint(role, ending), parts.join(" · "))
}

pub fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Counted => "received all expected CDRs",
        Ending::TimedOut => "timed out",
        Ending::Interrupted => "interrupted",
        Ending::Terminated => "terminated",
        Ending::CommandEnded => "the command ended",
    }
}
