//! The resuming client as a state machine.
