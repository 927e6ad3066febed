//! `--generate`: shell completions, the manual page, and the webhook's JSON Schema and OpenAPI document.

use clap::ValueEnum;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::help;
use crate::cdr::document;
use crate::net::{Destination, query};

/// The values of `--generate`; shell completions show the variants' doc comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Generate {
    /// Completions for bash
    Bash,
    /// Completions for zsh
    Zsh,
    /// Completions for fish
    Fish,
    /// Completions for PowerShell
    Powershell,
    /// Completions for elvish
    Elvish,
    /// The manual page, telecmi-cdr(1)
    Man,
    /// JSON Schema 2020-12 of the body that the webhook delivers
    JsonSchema,
    /// The webhook as OpenAPI 3.1
    Openapi,
}

/// `url` is the handler of an OpenAPI document.
pub fn text(what: Generate, url: Option<&Destination>) -> String {
    match what {
        // clap_complete's bash generator takes the hyphen in `telecmi-cdr` for a subcommand separator.
        Generate::Bash => completions(Shell::Bash).replace("telecmi__subcmd__cdr", "telecmi__cdr"),
        Generate::Zsh => completions(Shell::Zsh),
        Generate::Fish => completions(Shell::Fish),
        Generate::Powershell => completions(Shell::PowerShell),
        Generate::Elvish => completions(Shell::Elvish),
        Generate::Man => manual(),
        Generate::JsonSchema => format!("{:#}\n", document::json_schema()),
        Generate::Openapi => format!("{:#}\n", document::openapi(url.map(handler).as_ref())),
    }
}

fn handler(url: &Destination) -> document::Handler {
    let exact = url.exact_url();
    let server = exact.strip_suffix(url.target()).unwrap_or(&exact);
    let (path, query) = url.target().split_once('?').unwrap_or((url.target(), ""));
    document::Handler {
        server: server.to_owned(),
        path: path.to_owned(),
        parameters: query::decode(query).pairs,
    }
}

fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::command(), "telecmi-cdr", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The other environment variables that the program and its child processes have.
const VARIABLES: &str = "
TELECMI_CDR_URL, TELECMI_CDR_PUBLIC_URL
    set for the command of listen -- CMD: the listener's URL,
    and the URL of the tunnel or of --public-url
TELECMI_CDR_URL, PORT
    set for the command of send --suite -- CMD: the URL and
    the port of the handler
CDR_CMIUUID, CDR_REQUEST_ID, CDR_CALL_ID, CDR_USER, CDR_TO
    set for the command of --read-back-cmd: the CDR's values
HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY
    the proxy of send and listen; never for this machine
NO_COLOR, CLICOLOR_FORCE, CLICOLOR, TERM
    decide on colours, unless --color is given
COLUMNS
    the width of help, and of reports without a terminal
BORE_SERVER
    the server of listen --tunnel bore
SSL_CERT_FILE, SSL_CERT_DIR
    the system's root certificates, on Linux";

const FILES: &str = "\
No configuration file is read, and only files that a flag
names are written: --output, --junit, --save, --report and
--ready-file. The files of --save and --report, which name
callers, are created with mode 0600.";

/// The manual page telecmi-cdr(1) covers both subcommands, instead of clap_mangen's page for each.
fn manual() -> String {
    let mut command = super::command();
    command.build();
    let man = Man::new(command.clone());
    let version = concat!("telecmi-cdr ", env!("CARGO_PKG_VERSION"));
    let title = ["TELECMI-CDR", "1", "\"\"", version, "User Commands"];
    let mut page = Vec::new();
    let _ = Roff::new().control("TH", title).to_writer(&mut page);
    let _ = man.render_name_section(&mut page);
    let mut synopsis = Roff::new();
    synopsis.control("SH", ["SYNOPSIS"]);
    for mode in command.get_subcommands() {
        let mode = bold(format!("telecmi-cdr {}", mode.get_name()));
        synopsis.text([mode, roman(" [OPTIONS] [-- CMD]")]);
        synopsis.control("br", []);
    }
    synopsis.text([bold("telecmi-cdr --generate"), roman(" WHAT")]);
    let _ = synopsis.to_writer(&mut page);
    let _ = man.render_description_section(&mut page);
    let _ = man.render_options_section(&mut page);
    for mode in command.get_subcommands() {
        let about = mode.get_about().map(ToString::to_string);
        let mut section = Roff::new();
        section.control("SH", [mode.get_name().to_uppercase().as_str()]);
        section.text([roman(about.unwrap_or_default())]);
        let _ = section.to_writer(&mut page);
        let mut options = Vec::new();
        let _ = Man::new(mode.clone()).render_options_section(&mut options);
        let options = String::from_utf8_lossy(&options).replace(".SH ", ".SS ");
        page.extend(options.into_bytes());
    }
    for (title, lines) in sections() {
        let mut section = Roff::new();
        section.control("SH", [title]).control("nf", []);
        for line in lines.lines() {
            section.text([roman(line)]);
        }
        let _ = section.control("fi", []).to_writer(&mut page);
    }
    plain(&String::from_utf8_lossy(&page))
}

/// The sections of the manual page after the flags.
fn sections() -> [(&'static str, String); 4] {
    let examples = [&help::SEND, &help::LISTEN].map(|page| page.examples.trim_start());
    let codes = |mode: &str, page: &help::Page| page.end.replace("Exit codes:", mode);
    [
        ("EXAMPLES", examples.join("\n\n")),
        (
            "EXIT STATUS",
            codes("send", &help::SEND) + "\n\n" + &codes("listen", &help::LISTEN),
        ),
        ("ENVIRONMENT", format!("{}\n{VARIABLES}", help::ENVIRONMENT)),
        ("FILES", FILES.to_owned()),
    ]
}

/// Strict man page parsers warn about a `.br` next to an empty line or `.sp`, as clap_mangen writes it.
fn plain(page: &str) -> String {
    let page = page
        .replace("\n\n.br\n", "\n\n")
        .replace("\n.sp\n.br\n", "\n.sp\n");
    page.replace("\n.br\n\n", "\n\n")
        .replace("\n.br\n.sp", "\n.sp")
}
