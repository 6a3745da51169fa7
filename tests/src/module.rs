//! The module that an unmodified Icecast is started with.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::proxy;

/// The shared object's file.
const FILE: &str = "libicecast_ext_preload.so";
/// Its log, in Icecast's directory, unless its lines say otherwise.
const LOG: &str = "log = \"{dir}/module.log\"\n";
/// Another file, or `none`: then what would run with the module runs without it.
const OVERRIDE: &str = "ICECAST_EXT_MODULE";

/// That an Icecast is started with the module, and what the module is told.
#[derive(Debug, Clone, Default)]
pub struct Module {
    /// Lines of its TOML file, where `{dir}` is Icecast's directory.
    pub config: String,
}

impl Module {
    /// What to start Icecast with; `None` if the environment says that there is no module to be tried.
    #[must_use]
    pub fn unless_told_otherwise() -> Option<Self> {
        std::env::var(OVERRIDE)
            .map_or(true, |value| value != "none")
            .then(Self::default)
    }

    /// `NAME=value` of what it is told.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn environment(&self, dir: &Path) -> Result<String> {
        let log = if self.config.contains("log = ") {
            ""
        } else {
            LOG
        };
        let config = format!("{log}{}", self.config);
        let file = dir.join("module.toml");
        std::fs::write(&file, config.replace("{dir}", &dir.display().to_string()))?;
        Ok(format!("ICECAST_EXT_CONFIG={}", file.display()))
    }
}

/// `NAME=value` that loads these objects; nothing if there are none.
#[must_use]
pub fn preload(objects: &[PathBuf]) -> Option<String> {
    let paths: Vec<_> = objects
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    (!paths.is_empty()).then(|| format!("LD_PRELOAD={}", paths.join(":")))
}

/// The shared object: beside the binary, unless the environment names another.
///
/// # Errors
/// If it is not there.
pub fn shared_object() -> Result<PathBuf> {
    let path = match std::env::var_os(OVERRIDE) {
        Some(path) => path.into(),
        None => proxy::binary().with_file_name(FILE),
    };
    path.canonicalize().with_context(|| {
        format!(
            "no module at {}; {OVERRIDE} may name another",
            path.display()
        )
    })
}

/// Whether a process has loaded it: the loader only warns of one that it cannot load.
///
/// # Errors
/// If it has not.
pub(crate) fn is_loaded(process: u32) -> Result<()> {
    let object = shared_object()?;
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps"))?;
    ensure!(
        maps.contains(&object.display().to_string()),
        "{} is not loaded; may everybody read it?",
        object.display()
    );
    Ok(())
}
