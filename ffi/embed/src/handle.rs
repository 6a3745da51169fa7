//! Handles: numbers that look like pointers. One that was freed, or never was, is told from one that is, and nothing is read
//! through it.
//!
//! From the top: a generation, two bits for the kind, an index in the lower half. A place is used again with the next
//! generation; where pointers have 64 bits, that is after 2^30 of them the same again.

use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};

use crate::result::{
    Failure, ICECAST_EXT_BUSY, ICECAST_EXT_NO_MEMORY, ICECAST_EXT_PANIC, ICECAST_EXT_WRONG_HANDLE,
};

/// Bits of the index.
const INDEX: u32 = usize::BITS / 2;
const MASK: usize = (1 << INDEX) - 1;
const KIND: u32 = 2;
/// Generations.
const GENERATIONS: usize = 1 << (usize::BITS - INDEX - KIND);

/// What a handle can name.
pub(crate) struct Table<H, T> {
    kind: usize,
    rows: RwLock<Rows<T>>,
    handle: PhantomData<fn(*mut H)>,
}

struct Rows<T> {
    rows: Vec<Row<T>>,
    free: Vec<usize>,
}

struct Row<T> {
    generation: usize,
    held: Option<Arc<T>>,
}

impl<H, T> Table<H, T> {
    /// `kind`: 0 to 3, another for each table.
    pub(crate) const fn new(kind: usize) -> Self {
        Self {
            kind,
            rows: RwLock::new(Rows {
                rows: Vec::new(),
                free: Vec::new(),
            }),
            handle: PhantomData,
        }
    }

    /// A name for it.
    pub(crate) fn insert(&self, held: T) -> Result<*mut H, Failure> {
        let held = Some(Arc::new(held));
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        let index = match rows.free.pop() {
            Some(index) => index,
            None if rows.rows.len() > MASK => {
                return Err(Failure::new(
                    ICECAST_EXT_NO_MEMORY,
                    "there are too many handles",
                ));
            }
            None => {
                rows.rows.push(Row {
                    generation: 0,
                    held: None,
                });
                rows.rows.len() - 1
            }
        };
        let row = &mut rows.rows[index];
        row.generation = (row.generation + 1) % GENERATIONS;
        if row.generation == 0 {
            row.generation = 1;
        }
        row.held = held;
        let number = (row.generation << (INDEX + KIND)) | (self.kind << INDEX) | index;
        Ok(std::ptr::without_provenance_mut(number))
    }

    /// What it names.
    pub(crate) fn get(&self, handle: *const H) -> Result<Arc<T>, Failure> {
        let (index, generation) = self.place(handle)?;
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let row = rows
            .rows
            .get(index)
            .filter(|row| row.generation == generation);
        row.and_then(|row| row.held.clone()).ok_or_else(unknown)
    }

    /// Names nothing from now on. A call that is under way in another thread is completed first, by that thread.
    pub(crate) fn remove(&self, handle: *const H) -> Result<(), Failure> {
        if handle.is_null() {
            return Ok(());
        }
        let (index, generation) = self.place(handle)?;
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        let row = rows
            .rows
            .get_mut(index)
            .filter(|row| row.generation == generation);
        let held = row.and_then(|row| row.held.take()).ok_or_else(unknown)?;
        rows.free.push(index);
        drop(rows);
        drop(held);
        Ok(())
    }

    fn place(&self, handle: *const H) -> Result<(usize, usize), Failure> {
        let number = handle.addr();
        if number == 0 {
            return Err(Failure::null("the handle"));
        }
        let (kind, generation) = (
            (number >> INDEX) & ((1 << KIND) - 1),
            number >> (INDEX + KIND),
        );
        if kind != self.kind || generation == 0 {
            return Err(unknown());
        }
        Ok((number & MASK, generation))
    }
}

fn unknown() -> Failure {
    Failure::new(
        ICECAST_EXT_WRONG_HANDLE,
        "the handle is of another kind, was freed, or never was",
    )
}

/// Something that one thread uses at a time.
pub(crate) struct Alone<T>(Mutex<T>);

impl<T> Alone<T> {
    pub(crate) const fn new(held: T) -> Self {
        Self(Mutex::new(held))
    }

    /// For this call; refused to a second thread, and after a panic.
    pub(crate) fn enter(&self) -> Result<MutexGuard<'_, T>, Failure> {
        self.0.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Failure::new(
                ICECAST_EXT_BUSY,
                "another thread is in a call with this handle",
            ),
            TryLockError::Poisoned(_) => Failure::new(
                ICECAST_EXT_PANIC,
                "an earlier call with this handle met a bug of this library: free it",
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Kind;

    #[test]
    fn a_handle_names_one_thing_once() {
        let table: Table<Kind, u32> = Table::new(2);
        let (one, two) = (table.insert(1).unwrap(), table.insert(2).unwrap());
        assert_eq!((*table.get(one).unwrap(), *table.get(two).unwrap()), (1, 2));
        table.remove(one).unwrap();
        assert_eq!(table.get(one).unwrap_err().0, ICECAST_EXT_WRONG_HANDLE);
        assert_eq!(table.remove(one).unwrap_err().0, ICECAST_EXT_WRONG_HANDLE);
        let three = table.insert(3).unwrap();
        assert_ne!(one, three);
        assert_eq!(one.addr() & MASK, three.addr() & MASK);
        assert_eq!(*table.get(three).unwrap(), 3);
        table.remove(std::ptr::null()).unwrap();
    }

    #[test]
    fn what_is_no_handle_of_this_kind_is_refused() {
        let table: Table<Kind, u32> = Table::new(1);
        let other: Table<Kind, u32> = Table::new(2);
        let handle = table.insert(1).unwrap();
        for wrong in [
            other.insert(1).unwrap(),
            &raw const table as *mut Kind,
            std::ptr::without_provenance_mut(1),
            std::ptr::without_provenance_mut(usize::MAX),
        ] {
            assert_eq!(table.get(wrong).unwrap_err().0, ICECAST_EXT_WRONG_HANDLE);
        }
        assert!(table.get(handle).is_ok());
    }

    #[test]
    fn a_second_thread_is_refused_and_so_is_whoever_comes_after_a_panic() {
        let alone = Alone::new(1);
        let held = alone.enter().unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| alone.enter().map(|_| ()).unwrap_err().0);
            assert_eq!(second.join().unwrap(), ICECAST_EXT_BUSY);
        });
        drop(held);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _held = alone.enter();
            panic!("of the test");
        }));
        assert!(panicked.is_err());
        assert_eq!(alone.enter().unwrap_err().0, ICECAST_EXT_PANIC);
    }
}
