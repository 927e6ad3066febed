//! The documented fields with other types, other values and other text.

use super::super::super::{Case, CaseDelivery, CaseMethod, CasePayload, Change};
use super::{changed, got, tolerant};
use crate::cdr::Grade::{Doc, Hostile, Inferred, Seen};
use CaseDelivery::Pluses;
use CaseMethod::Get;
use CasePayload::Changed;
use Change::{AsText, Fill, InSeconds, Plus, Put};

/// Types, values and text.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    // Types.
    changed("virtual-number-as-number", Seen, &[Put("virtual_number", "910000000012")],
        "Live virtual_number is a number; startsWith, strip and slices exist for text only."),
    changed("to-as-text", Inferred, &[AsText("to")],
        "Live events carry to as text; arithmetic on it fails, and 442… == \"442…\" is false."),
    changed("appid-as-text", Inferred, &[AsText("appid")],
        "By GET appid is text, and it may become so by POST; comparing it with a number rejects \
         one's own account."),
    changed("appid-not-a-number", Hostile, &[Put("appid", "\"many\"")],
        "Anyone can post anything; int(appid) without a try ends TeleCMI's own .NET example."),
    changed("appid-beyond-32-bits", Inferred, &[Put("appid", "22222230001")],
        "App ids have grown from 7 to 8 digits; an INT column ends at 2147483647."),
    changed("time-as-text", Inferred, &[AsText("time")],
        "By GET time is text, and it may become so by POST; time / 1000 fails."),
    changed("time-in-seconds", Inferred, &[InSeconds],
        "Seconds for milliseconds is the classic mix-up; a check of the year refuses it, and \
         dates fall into January 1970."),
    changed("time-with-fraction", Inferred, &[Put("time", "1795338000000.5")],
        "JSON has one kind of number; a BIGINT column and int(\"….5\") refuse a fraction."),
    changed("to-of-fifteen-digits", Doc, &[Put("to", "123456789012345")],
        "Telephone numbers have up to 15 digits; 32-bit integers end at 10, and some columns at \
         12."),
    changed("to-with-plus", Inferred, &[Plus("to")],
        "Bare digits are documented, but everything else in the world says +44…; a lookup by \
         number misses one of the two."),
    changed("virtual-number-with-plus", Inferred, &[Plus("virtual_number")],
        "+44… against bare digits: a lookup of the line by its number finds nothing, and then \
         fails on nothing."),
    changed("user-without-appid", Inferred, &[Put("user", "\"101\"")],
        "user is <extension>_<appid> by documentation only; split(\"_\")[1] fails on a bare \
         extension."),
    changed("unknown-status", Inferred, &[Put("status", "\"voicemail\"")],
        "Statuses get added; a map of the known ones without a default fails."),
    changed("unknown-hangup-reason", Inferred, &[Put("hangup_reason", "\"send_cancel\"")],
        "The platform's own names differ from TeleCMI's by one letter; an ENUM column refuses \
         them."),
    changed("hangup-reason-of-answered-calls", Doc, &[Put("hangup_reason", "\"sent_bye\"")],
        "sent_bye and recv_bye are documented for missed calls as well, odd as it is; a map of \
         two reasons fails."),
    // Text.
    changed("not-ascii", Seen, &[Put("custom", "\"{\\\"name\\\":\\\"अनुष्का, Zoë, Łódź\\\"}\"")],
        "Names in custom are in Hindi and Polish too; a log or column in ASCII or latin-1 fails."),
    changed("emoji", Inferred, &[Put("custom", "\"{\\\"name\\\":\\\"📞 चुनाव 👩🏽‍💻\\\"}\"")],
        "Emoji need four bytes in UTF-8; MySQL's utf8 has three, and answers with an error."),
    got("get-not-ascii", Inferred,
        &[Put("custom", "\"{\\\"name\\\":\\\"अनुष्का 📞 Zoë & Co. 100%\\\"}\"")],
        "Hindi, emoji, & and % in a query are escaped UTF-8; decoding twice or as latin-1 \
         garbles or fails."),
    changed("long-value", Seen, &[Fill("custom", "long ", 5_000)],
        "custom carries whatever a CRM puts there; VARCHAR(255) refuses it in a strict database, \
         and 2 KiB limits answer 413."),
    got("get-long-value", Inferred, &[Fill("custom", "x", 3_000)],
        "By GET a long custom makes a long URL; limits of 2 KiB exist, most are at 8."),
    tolerant("get-plus-for-space", Inferred, Get,
        Changed(&[Put("custom", "\"{\\\"note\\\":\\\"campaign 7, Berlin + Bonn\\\"}\"")]), Pluses,
        "Forms write a space as +, others as %20; a handler that decodes by hand keeps the plus \
         signs."),
];
