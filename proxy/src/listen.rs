//! `icecast-ext listen`.

/// Flags of `listen`.
#[derive(Debug, Default, Clone, clap::Args)]
pub struct Options {}

/// Listens.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let _ = options;
    anyhow::bail!("not here yet")
}
