//! What a shared object exports and needs, read from its file: nothing of it runs.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use object::elf::{DT_NEEDED, FileHeader32, FileHeader64, STB_LOCAL, STV_HIDDEN, STV_INTERNAL};
use object::read::elf::{Dyn as _, FileHeader, Sym as _};
use object::{Endianness, FileKind, SectionIndex};

/// Names of a shared object.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Names {
    /// Symbols that others can link to.
    pub(super) exported: BTreeSet<String>,
    /// Libraries that the loader has to find.
    pub(super) needed: BTreeSet<String>,
}

/// A shared object is at most this large.
const MOST: u64 = 1 << 30;

/// Reads them.
///
/// # Errors
/// If the file cannot be read, or is no shared object of ELF.
pub(super) fn read(file: &Path) -> anyhow::Result<Names> {
    let length = std::fs::metadata(file)?.len();
    anyhow::ensure!(length <= MOST, "{length} bytes are too many");
    let data = std::fs::read(file)?;
    match FileKind::parse(&*data)? {
        FileKind::Elf64 => names::<FileHeader64<Endianness>>(&data),
        FileKind::Elf32 => names::<FileHeader32<Endianness>>(&data),
        other => anyhow::bail!("{other:?} is no ELF"),
    }
}

fn names<H: FileHeader<Endian = Endianness>>(data: &[u8]) -> anyhow::Result<Names> {
    let header = H::parse(data)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, data)?;
    let mut out = Names::default();
    let symbols = sections.symbols(endian, data, object::elf::SHT_DYNSYM)?;
    for symbol in symbols.iter() {
        let hidden = matches!(symbol.st_visibility(), STV_HIDDEN | STV_INTERNAL);
        if symbol.is_undefined(endian) || symbol.st_bind() == STB_LOCAL || hidden {
            continue;
        }
        let name = symbol.name(endian, symbols.strings())?;
        out.exported
            .insert(String::from_utf8_lossy(name).into_owned());
    }
    let (entries, strings): (_, SectionIndex) = sections
        .dynamic(endian, data)?
        .context("no shared object: it has no dynamic section")?;
    let strings = sections.strings(endian, data, strings)?;
    for entry in entries {
        if entry.tag(endian) == DT_NEEDED {
            let name = entry.string(endian, strings)?;
            out.needed
                .insert(String::from_utf8_lossy(name).into_owned());
        }
    }
    Ok(out)
}
