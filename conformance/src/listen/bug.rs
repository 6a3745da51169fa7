//! What the suite's client does wrong when it is told to. `icecast-ext-conformance listen --bug ID` has one of these; each of a MUST
//! breaks that requirement, and no other that the suite looks at. A test proves it.

pub use crate::reference::bug::Bug;

const fn bug(id: &'static str, requirement: &'static str, does: &'static str) -> Bug {
    Bug {
        id,
        requirement,
        does,
    }
}

/// The one of a name.
#[must_use]
pub fn named(id: &str) -> Option<&'static Bug> {
    BUGS.iter().find(|bug| bug.id == id)
}

/// All of them.
#[rustfmt::skip]
pub const BUGS: &[Bug] = &[
    bug("joins-without-a-word", "R-JOIN-1", "joins without Resume-Offset"),
    bug("two-lines", "R-FIELD-5", "sends Resume-Offset twice"),
    bug("long-heads", "R-HEAD-4", "sends heads of more than 4096 bytes"),
    bug("unknown-is-malformed", "R-FIELD-2", "takes a parameter that it does not know for an error"),
    bug("guesses-offsets", "R-FIELD-8", "guesses what a malformed Stream-Offset means"),
    bug("counts-one-more", "R-RESUME-1", "counts one byte more than it has received"),
    bug("believes-its-own-count", "R-RESUME-6", "counts on from what it asked for after a miss"),
    bug("hears-twice", "R-RESUME-9", "takes bytes again that it has already"),
    bug("drops-preludes", "R-CLIENT-9", "does not give preludes to the decoder"),
    bug("forgets-half-a-prelude", "R-RESUME-7", "goes on behind a prelude that was cut"),
    bug("counts-over-splices", "R-SPLICE-8", "counts on over a splice as if nothing had been"),
    bug("compares-epochs", "R-ADDR-5", "leaves bytes of another epoch out whose offsets it has had"),
    bug("hides-losses", "R-MISS-10", "says nothing of losses that it is told of"),
    bug("hides-what-it-reckons", "R-MISS-11", "says nothing of losses that it would have to reckon"),
    bug("hears-error-pages", "R-CLIENT-1", "takes error pages for audio"),
    bug("counts-blocks", "R-ADDR-6", "counts ICY blocks"),
    bug("keeps-the-phase", "R-ICY-1", "keeps the ICY phase over a cut"),
    bug("first-interval-for-all", "R-ICY-3", "takes the interval of the first answer for all"),
    bug("reads-cut-blocks", "R-ICY-10", "says the title of a block that was cut"),
    bug("says-titles-again", "R-ICY-8", "says titles again after a cut"),
    bug("titles-newest-first", "R-ICY-8", "says the titles of a block as they stand there"),
    bug("stops-at-unknown-keys", "R-ICY-11", "reads no block that begins with a key that it does not know"),
    bug("counts-without-an-address", "R-COMPAT-1", "makes positions up where a server has none"),
    bug("trusts-what-has-no-address", "R-COMPAT-3", "says nothing of what was lost at a server without positions"),
    bug("believes-errors", "R-COMPAT-4", "takes positions from errors"),
    bug("links-from-the-root", "R-FIELD-12", "resolves Link against the root of the server"),
    bug("credentials-for-all", "R-CLIENT-5", "sends its credentials to every origin"),
    bug("down-to-http", "R-CLIENT-6", "goes from https to http"),
    bug("follows-for-ever", "R-SEC-8", "follows any number of redirects"),
    bug("learns-for-ever", "R-SEC-8", "learns any number of relays"),
    bug("stays", "R-CLIENT-4", "asks one relay only"),
    bug("no-session", "R-SESS-2", "does not echo its session"),
    bug("session-for-all", "R-SESS-6", "sends its session to every server"),
    bug("gives-up-its-position", "R-CLIENT-8", "asks for live after an error"),
    bug("412-is-live", "R-AHEAD-5", "asks for live after a 412"),
    bug("asks-again-after-412", "R-AHEAD-5", "asks the same relay again after a 412"),
    bug("ignores-retry-after", "R-CLIENT-7", "takes no notice of Retry-After"),
    bug("waits-for-all", "R-CLIENT-11", "asks nobody while one relay wants to be left alone"),
    bug("never-waits", "R-CLIENT-3", "asks again at once, however often"),
    bug("waits-in-silence", "R-CLIENT-2", "waits ten minutes for the next byte"),
    bug("impatient", "R-CLIENT-12", "gives its only relay five seconds to answer"),
    bug("elsewhere-first", "R-CLIENT-13", "asks another relay first after a cut"),
    bug("three-at-once", "R-CLIENT-15", "asks twice more, on further connections, if no answer has begun for a second"),
    bug("names-of-its-own", "R-ANCHOR-1", "names chunks in a way of its own"),
    bug("early-cuts", "R-ANCHOR-2", "believes cuts among the first bytes that it hears"),
    bug("long-evidence", "R-ANCHOR-4", "sends evidence of more than 1536 octets"),
    bug("evidence-over-losses", "R-ANCHOR-6", "goes on with its evidence over losses and splices"),
    bug("age-of-nothing", "R-ANCHOR-7", "says that its last byte came just now"),
    bug("largest-chunks", "R-ANCHOR-8", "names the largest chunks that it has"),
    bug("no-evidence", "R-ANCHOR-9", "sends no evidence"),
    bug("proofs-change-nothing", "R-ANCHOR-18", "counts on from what it asked for after a proof"),
    bug("proofs-are-losses", "R-ANCHOR-18", "takes a proven place for a loss"),
    bug("aliases-change-nothing", "R-ALIAS-5", "counts on from what it asked for after an alias"),
    bug("any-proof", "R-ANCHOR-19", "takes any Stream-Proof for a proof"),
    bug("unasked-proofs", "R-ANCHOR-19", "takes a proof that it has not asked for"),
];
