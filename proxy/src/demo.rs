//! `icecast-ext demo`.

/// Flags of `demo`.
#[derive(Debug, Default, Clone, clap::Args)]
pub struct Options {}

/// Runs the demonstration; false if a byte was lost, repeated or wrong.
pub async fn run(options: Options) -> anyhow::Result<bool> {
    let _ = options;
    anyhow::bail!("not here yet")
}
