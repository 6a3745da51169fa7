//! What the header of ABI 1 (`icecast_ext.h`) names.

/// The version of the interface.
pub const ABI: u32 = 1;

/// All functions.
pub const NAMES: &[&str] = &[
    "icecast_ext_abi",
    "icecast_ext_answer",
    "icecast_ext_client_closed",
    "icecast_ext_client_event",
    "icecast_ext_client_failed",
    "icecast_ext_client_free",
    "icecast_ext_client_memory",
    "icecast_ext_client_move",
    "icecast_ext_client_new",
    "icecast_ext_client_options_init",
    "icecast_ext_client_poll",
    "icecast_ext_client_received",
    "icecast_ext_client_stats",
    "icecast_ext_init",
    "icecast_ext_last_error",
    "icecast_ext_listener_free",
    "icecast_ext_listener_pieces",
    "icecast_ext_listener_sent",
    "icecast_ext_listener_state",
    "icecast_ext_mount_body",
    "icecast_ext_mount_fed",
    "icecast_ext_mount_feed",
    "icecast_ext_mount_free",
    "icecast_ext_mount_gone",
    "icecast_ext_mount_new",
    "icecast_ext_mount_options_init",
    "icecast_ext_mount_publish",
    "icecast_ext_mount_source",
    "icecast_ext_mount_state",
    "icecast_ext_mount_title",
    "icecast_ext_refuse",
    "icecast_ext_request_read",
    "icecast_ext_result_text",
    "icecast_ext_version",
];

/// Results, as the header numbers them.
pub(super) mod result {
    pub(crate) const OK: i32 = 0;
    pub(crate) const INCOMPLETE: i32 = 2;
    pub(crate) const NULL_POINTER: i32 = -1;
    pub(crate) const WRONG_SIZE: i32 = -2;
    pub(crate) const WRONG_HANDLE: i32 = -3;
    pub(crate) const BUSY: i32 = -4;
    pub(crate) const WRONG_ABI: i32 = -6;
    pub(crate) const INVALID: i32 = -7;
    pub(crate) const MALFORMED: i32 = -8;
}

/// A rule of the header: a case's requirement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    /// `C-…`, so that nobody takes it for a sentence of the protocol.
    pub id: &'static str,
    /// What the header says. All of it binds.
    pub text: &'static str,
}

const fn rule(id: &'static str, text: &'static str) -> Rule {
    Rule { id, text }
}

/// All of them.
#[rustfmt::skip]
pub const RULES: &[Rule] = &[
    rule("C-EXPORTS", "The library MUST export each function of the header."),
    rule("C-ALONE", "The library MUST export nothing else: another library's names could be taken for its own."),
    rule("C-NEEDS", "The library MUST need no other library than the system's libc, libm and loader."),
    rule("C-INIT", "Nothing MUST be made before icecast_ext_init was called with the library's version of the interface."),
    rule("C-VERSION", "The library MUST say its version of the interface, and take it, as often as it is asked."),
    rule("C-NULL", "A pointer that must not be NULL MUST be refused, and to free NULL MUST do nothing."),
    rule("C-SIZE", "A struct that is smaller than the header has it MUST be refused and left as it is."),
    rule("C-HANDLE", "A handle of another kind, and one that never was, MUST be refused."),
    rule("C-FREED", "A handle that was freed MUST be refused."),
    rule("C-BUSY", "A second thread that calls with a client while another is in a call MUST be told so."),
    rule("C-ERROR", "A failed call MUST leave a text for its thread alone, and each result MUST have a text."),
    rule("C-VALUES", "An argument with a value that it cannot have MUST be refused."),
    rule("C-HEADS", "A head that is not complete and one that is none MUST be told from one that is."),
];
