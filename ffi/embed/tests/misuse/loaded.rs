//! The library as others load it.

use super::*;

/// More than any struct of the interface has, its size in front.
#[repr(C, align(16))]
pub(crate) struct Record([u8; 2048]);

impl Record {
    pub(crate) fn sized(size: usize) -> Self {
        let mut record = Self([0; 2048]);
        record.0[..size_of::<usize>()].copy_from_slice(&size.to_ne_bytes());
        record
    }

    pub(crate) fn put<T: Copy>(&mut self, at: usize, value: T) {
        // SAFETY: within the record, which is bytes.
        unsafe {
            self.0
                .as_mut_ptr()
                .add(at)
                .cast::<T>()
                .write_unaligned(value)
        };
    }

    pub(crate) fn at(&mut self) -> *mut c_void {
        self.0.as_mut_ptr().cast()
    }
}

/// Where the library is installed: as the environment says, or under `target`.
pub(crate) fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        if let Some(given) = std::env::var_os("ICECAST_EXT_EMBED") {
            return given.into();
        }
        let prefix = Path::new(env!("CARGO_TARGET_TMPDIR")).join("embed");
        let install = Path::new(env!("CARGO_MANIFEST_DIR")).join("install");
        assert!(
            Command::new(install)
                .arg(&prefix)
                .status()
                .unwrap()
                .success()
        );
        prefix
    })
}

/// The library, in a copy of its own: what one test does to it, no other sees.
pub(crate) struct Loaded(Library);

impl Loaded {
    pub(crate) fn new() -> Self {
        let copy = tempfile::NamedTempFile::new().unwrap();
        std::fs::copy(prefix().join("lib/libicecast_ext.so"), copy.path()).unwrap();
        // SAFETY: nothing runs when it is loaded.
        Self(unsafe { Library::new(copy.path()) }.unwrap())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        // SAFETY: it is not called.
        unsafe { self.0.get::<*const c_void>(name) }.is_ok()
    }

    pub(crate) fn call<F>(&self, name: &str) -> Symbol<'_, F> {
        // SAFETY: whoever calls it says what it takes, as the header does.
        unsafe { self.0.get(format!("icecast_ext_{name}").as_bytes()) }.unwrap()
    }

    /// A call that takes up to six words.
    pub(crate) fn words(&self, name: &str, words: [usize; 6]) -> c_int {
        type Words = unsafe extern "C" fn(usize, usize, usize, usize, usize, usize) -> c_int;
        let [a, b, c, d, e, f] = words;
        // SAFETY: by the calling conventions of our machines, a function that takes fewer words does not look at the others.
        unsafe { self.call::<Words>(name)(a, b, c, d, e, f) }
    }

    pub(crate) fn init(&self) -> c_int {
        self.words("init", [1, 0, 0, 0, 0, 0])
    }

    pub(crate) fn last_error(&self) -> String {
        let last = self.call::<unsafe extern "C" fn() -> *const c_char>("last_error");
        // SAFETY: it ends with a NUL.
        unsafe { CStr::from_ptr(last()) }
            .to_string_lossy()
            .into_owned()
    }

    pub(crate) fn text(&self, result: c_int) -> String {
        let text = self.call::<unsafe extern "C" fn(c_int) -> *const c_char>("result_text");
        // SAFETY: it ends with a NUL.
        unsafe { CStr::from_ptr(text(result)) }
            .to_string_lossy()
            .into_owned()
    }

    /// A client of one relay.
    pub(crate) fn client(&self, url: &str) -> Result<usize, c_int> {
        let url = CString::new(url).unwrap();
        let list = [url.as_ptr()];
        let mut options = Record::sized(OPTIONS);
        assert_eq!(
            self.words("client_options_init", [options.at().addr(), 0, 0, 0, 0, 0]),
            0
        );
        options.put(8, list.as_ptr());
        options.put(16, 1_usize);
        let mut client = 0_usize;
        match self.words(
            "client_new",
            [options.at().addr(), (&raw mut client).addr(), 0, 0, 0, 0],
        ) {
            0 => Ok(client),
            error => Err(error),
        }
    }

    /// A mount.
    pub(crate) fn mount(&self, path: &str) -> Result<usize, c_int> {
        let path = CString::new(path).unwrap();
        let mut options = Record::sized(MOUNT);
        assert_eq!(
            self.words("mount_options_init", [options.at().addr(), 0, 0, 0, 0, 0]),
            0
        );
        options.put(8, path.as_ptr());
        let mut mount = 0_usize;
        match self.words(
            "mount_new",
            [options.at().addr(), (&raw mut mount).addr(), 0, 0, 0, 0],
        ) {
            0 => Ok(mount),
            error => Err(error),
        }
    }

    /// The answer to a request.
    pub(crate) fn listener(&self, mount: usize, head: &str) -> usize {
        let mut listener = 0_usize;
        let words = [
            mount,
            head.as_ptr().addr(),
            head.len(),
            1000,
            (&raw mut listener).addr(),
            0,
        ];
        assert_eq!(self.words("answer", words), 0, "{}", self.last_error());
        listener
    }
}

/// `sizeof` on machines of 64 bits.
pub(crate) const OPTIONS: usize = 96;
pub(crate) const MOUNT: usize = 80;
pub(crate) const GET: &str = "GET / HTTP/1.0\r\n\r\n";
