//! A client's memory: one block, taken when the client is made. Whatever the client allocates comes from it.
//!
//! This library has an allocator of its own, which is the system's but for calls that run within [`Arena::run`]. A block that a
//! hostile server might outgrow is a bug; then the system's memory is used, and [`Usage::over`] tells.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// Blocks of 32 bytes (16 where pointers have 32 bits) up to 16 MiB and more, in eighths.
type Pool = rlsf::Tlsf<'static, u32, u8, 22, 8>;

/// Alignment of the block; more than anything in it wants.
const ALIGN: usize = 64;

/// How much of a block has been used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Bytes of the block.
    pub(crate) size: usize,
    /// Bytes in use now.
    pub(crate) used: usize,
    /// And at most so far.
    pub(crate) peak: usize,
    /// Bytes that did not fit, all in all.
    pub(crate) over: usize,
}

struct State {
    pool: Pool,
    usage: Usage,
    /// Allocations that were not freed yet.
    live: usize,
}

/// One block. Stays where it is: the allocator knows it by its address.
pub(crate) struct Arena {
    start: usize,
    size: usize,
    state: Mutex<State>,
    /// The next of all arenas.
    next: Cell<*const Arena>,
}

/// All arenas there are.
static ALL: Mutex<First> = Mutex::new(First(ptr::null()));
/// How many.
static COUNT: AtomicUsize = AtomicUsize::new(0);

struct First(*const Arena);
// SAFETY: arenas are only looked at by who holds the lock of `ALL`, or by their owner, and what they have that changes is behind
// a lock of its own.
unsafe impl Send for First {}

thread_local! {
    static CURRENT: Cell<*const Arena> = const { Cell::new(ptr::null()) };
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Owns an arena, whose last allocation must be freed before.
pub(crate) struct Block(NonNull<Arena>);

// SAFETY: an arena may be used from any thread: its state is behind a lock.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    /// `None`: the system has no such block.
    pub(crate) fn new(size: usize) -> Option<Self> {
        let layout = Layout::from_size_align(size, ALIGN)
            .ok()
            .filter(|layout| layout.size() > 0)?;
        // SAFETY: the layout is not empty.
        let start = NonNull::new(unsafe { System.alloc(layout) })?;
        // SAFETY: an arena is not empty.
        let place = NonNull::new(unsafe { System.alloc(Layout::new::<Arena>()) }.cast::<Arena>());
        let Some(place) = place else {
            // SAFETY: it has just been allocated so.
            unsafe { System.dealloc(start.as_ptr(), layout) };
            return None;
        };
        // SAFETY: the block is ours, has this size, and lives until the pool is gone.
        let memory = unsafe {
            std::slice::from_raw_parts_mut(start.as_ptr().cast::<MaybeUninit<u8>>(), size)
        };
        let mut pool = Pool::new();
        pool.insert_free_block(memory);
        let state = State {
            pool,
            usage: Usage {
                size,
                ..Usage::default()
            },
            live: 0,
        };
        let mut all = lock(&ALL);
        let arena = Arena {
            start: start.as_ptr().addr(),
            size,
            state: Mutex::new(state),
            next: Cell::new(all.0),
        };
        // SAFETY: the place was allocated for an arena.
        unsafe { place.write(arena) };
        all.0 = place.as_ptr();
        COUNT.fetch_add(1, Ordering::Release);
        Some(Self(place))
    }

    /// Whatever `work` allocates comes from this block.
    pub(crate) fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        struct Back(*const Arena);
        impl Drop for Back {
            fn drop(&mut self) {
                CURRENT.set(self.0);
            }
        }
        let _back = Back(CURRENT.replace(self.0.as_ptr()));
        work()
    }

    /// How it is used.
    pub(crate) fn usage(&self) -> Usage {
        lock(&self.arena().state).usage
    }

    fn arena(&self) -> &Arena {
        // SAFETY: it lives as long as we do.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let live = lock(&self.arena().state).live;
        if live > 0 {
            // It stays, with its memory, rather than leave a pointer into nothing.
            return;
        }
        let mut all = lock(&ALL);
        let mut link = ptr::from_mut(&mut all.0);
        // SAFETY: every arena in the list is alive, and the list is ours while we hold the lock.
        unsafe {
            while *link != self.0.as_ptr().cast_const() {
                link = (**link).next.as_ptr();
            }
            *link = self.arena().next.get();
        }
        drop(all);
        COUNT.fetch_sub(1, Ordering::Release);
        let (start, size) = (self.arena().start, self.arena().size);
        // SAFETY: nothing of the arena is used any more, nobody finds it, and both were allocated so.
        unsafe {
            ptr::drop_in_place(self.0.as_ptr());
            System.dealloc(self.0.as_ptr().cast(), Layout::new::<Arena>());
            let start = ptr::with_exposed_provenance_mut(start);
            System.dealloc(start, Layout::from_size_align_unchecked(size, ALIGN));
        }
    }
}

impl Arena {
    fn has(&self, pointer: *mut u8) -> bool {
        pointer.addr().wrapping_sub(self.start) < self.size
    }

    fn alloc(&self, layout: Layout) -> *mut u8 {
        let state = &mut *lock(&self.state);
        match state.pool.allocate(layout) {
            Some(pointer) => {
                state.live += 1;
                state.usage.used += layout.size();
                state.usage.peak = state.usage.peak.max(state.usage.used);
                pointer.as_ptr()
            }
            None => {
                state.usage.over += layout.size();
                // SAFETY: the caller's, as for any allocator.
                unsafe { System.alloc(layout) }
            }
        }
    }

    /// # Safety
    /// The pointer came from [`Arena::alloc`] of this arena, with this layout.
    unsafe fn dealloc(&self, pointer: NonNull<u8>, layout: Layout) {
        let state = &mut *lock(&self.state);
        state.live -= 1;
        state.usage.used -= layout.size();
        // SAFETY: the caller's.
        unsafe { state.pool.deallocate(pointer, layout.align()) };
    }

    /// # Safety
    /// As for [`Arena::dealloc`]; the new layout differs in size alone.
    unsafe fn grow(&self, pointer: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
        let state = &mut *lock(&self.state);
        // SAFETY: the caller's.
        let moved = unsafe { state.pool.reallocate(pointer, new) }?;
        state.usage.used = state.usage.used - old.size() + new.size();
        state.usage.peak = state.usage.peak.max(state.usage.used);
        Some(moved)
    }
}

/// From now on what a panic says is not said in the memory of whoever panicked: it may be kept for good.
pub(crate) fn panics_outside() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let within = CURRENT.replace(ptr::null());
            before(panic);
            CURRENT.set(within);
        }));
    });
}

/// The system's, and arenas'.
struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// Calls `found` with the arena that has this memory, if one has.
fn owner<T>(pointer: *mut u8, found: impl FnOnce(&Arena) -> T) -> Option<T> {
    if COUNT.load(Ordering::Acquire) == 0 {
        return None;
    }
    let current = CURRENT.get();
    // SAFETY: the current arena is alive: its owner is in `run`.
    if let Some(arena) = unsafe { current.as_ref() }.filter(|arena| arena.has(pointer)) {
        return Some(found(arena));
    }
    let all = lock(&ALL);
    let mut next = all.0;
    // SAFETY: every arena in the list is alive while we hold the lock.
    while let Some(arena) = unsafe { next.as_ref() } {
        if arena.has(pointer) {
            return Some(found(arena));
        }
        next = arena.next.get();
    }
    None
}

// SAFETY: memory comes from the system or from an arena, whose pool keeps the promises, and goes back to where its address says
// that it came from.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the current arena is alive: its owner is in `run`.
        match unsafe { CURRENT.get().as_ref() } {
            Some(arena) => arena.alloc(layout),
            // SAFETY: the caller's.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let Some(given) = NonNull::new(pointer) else {
            return;
        };
        // SAFETY: the caller's; the address says whose it is.
        if owner(pointer, |arena| unsafe { arena.dealloc(given, layout) }).is_none() {
            // SAFETY: the caller's, and it is no arena's.
            unsafe { System.dealloc(pointer, layout) }
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the new size is one.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        let grown = NonNull::new(pointer).and_then(|given| {
            // SAFETY: the caller's; the address says whose it is.
            owner(pointer, |arena| unsafe { arena.grow(given, layout, new) })
        });
        match grown {
            Some(Some(moved)) => moved.as_ptr(),
            // SAFETY: the caller's, and it is no arena's.
            None if CURRENT.get().is_null() => unsafe { System.realloc(pointer, layout, size) },
            // SAFETY: the caller's; what is copied is held by both.
            _ => unsafe {
                let moved = self.alloc(new);
                if !moved.is_null() {
                    ptr::copy_nonoverlapping(pointer, moved, layout.size().min(size));
                    self.dealloc(pointer, layout);
                }
                moved
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allocated_within_comes_from_the_block_and_goes_back() {
        let block = Block::new(64 << 10).unwrap();
        let outside = vec![1_u8; 5000];
        let mut inside = block.run(|| vec![2_u8; 5000]);
        assert_eq!(block.usage().used, 5000);
        block.run(|| {
            drop(outside);
            inside.extend_from_slice(&[3; 20_000]);
        });
        assert!(block.usage().used >= 25_000 && block.usage().over == 0);
        // From outside, too.
        drop(inside);
        let usage = block.usage();
        assert_eq!((usage.used, usage.over), (0, 0));
        assert!((25_000..64 << 10).contains(&usage.peak));
    }

    #[test]
    fn what_does_not_fit_is_the_systems_and_told() {
        let block = Block::new(8 << 10).unwrap();
        let large = block.run(|| vec![7_u8; 100_000]);
        assert_eq!((block.usage().used, block.usage().over), (0, 100_000));
        let grown = block.run(|| {
            let mut small = vec![1_u8; 4000];
            small.resize(50_000, 1);
            small
        });
        assert_eq!(grown, vec![1; 50_000]);
        drop((large, grown));
        assert_eq!(block.usage().used, 0);
        // All of it is one piece again.
        let whole = block.run(|| Vec::<u8>::with_capacity(6 << 10));
        assert_eq!(block.usage().over, 150_000);
        drop(whole);
    }

    #[test]
    fn a_panic_leaves_the_arena() {
        panics_outside();
        let block = Block::new(64 << 10).unwrap();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            block.run(|| {
                let _held = Box::new([0_u8; 100]);
                panic!("of the test");
            })
        }));
        assert!(caught.is_err() && CURRENT.get().is_null());
        drop(caught);
        assert_eq!(block.usage().used, 0);
    }
}
