//! A heap and a stack that forget what they held, and one heap for all threads.

use std::alloc::{GlobalAlloc, Layout, System};
use std::mem::MaybeUninit;

/// Blocks up to this size are overwritten whatever is in them: the numbers of a window's words among them, as an engine has them.
const SMALL: usize = 64 << 10;

/// What this is aligned to is a text, numbers that stand for its words, or places in it.
const SCALAR: usize = 8;

/// The system's heap, where a block that may hold a text, or what it can be made from again, is overwritten before it is given back: so a
/// note is not in the process any longer than its request. Only large blocks that are aligned for vector instructions are not: they hold
/// what a model multiplies, which would cost time to overwrite.
#[derive(Clone, Copy, Debug, Default)]
pub struct Forgetful;

fn may_hold_text(layout: Layout) -> bool {
    layout.align() <= SCALAR || layout.size() <= SMALL
}

// SAFETY: every block comes from and goes back to `System` with the layout it was asked for; what is done in between
// writes to blocks that their owner has given up, within their size.
unsafe impl GlobalAlloc for Forgetful {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc`, which is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if may_hold_text(layout) {
            // SAFETY: the caller gives up a block of `layout.size()` bytes, all of which may be written. A plain write
            // before `free` would be dropped by the compiler; this call is not.
            unsafe { libc::explicit_bzero(block.cast(), layout.size()) };
        }
        // SAFETY: `block` came from `System` with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !may_hold_text(layout) {
            // SAFETY: as in `dealloc`; the caller keeps the contract for `size`.
            return unsafe { System.realloc(block, layout, size) };
        }
        // `System` might move it and leave the old bytes behind.
        // SAFETY: the caller promises that `size`, rounded up to the alignment, does not overflow.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: `size` is not 0, as the caller promises.
        let moved = unsafe { self.alloc(wanted) };
        if !moved.is_null() {
            // SAFETY: both blocks are at least this long, and the new one is another than the old.
            unsafe { block.copy_to_nonoverlapping(moved, layout.size().min(size)) };
            // SAFETY: `block` came from here with this layout, and is not used again.
            unsafe { self.dealloc(block, layout) };
        }
        moved
    }
}

/// How much of the stack is overwritten: deeper than anything that has text in its frames.
const DEPTH: usize = 64 << 10;

/// Runs `work` and overwrites what it left on this thread's stack: the last block of a text that was hashed, say. A panic
/// goes through it and leaves everything: catch it inside.
#[inline(never)]
pub fn forgetting<T>(work: impl FnOnce() -> T) -> T {
    /// In a frame of its own, below that of [`forget`]'s caller, whatever is inlined into it.
    #[inline(never)]
    fn apart<T>(work: impl FnOnce() -> T) -> T {
        work()
    }
    #[inline(never)]
    fn forget() {
        let mut left = MaybeUninit::<[u8; DEPTH]>::uninit();
        // SAFETY: `left` is this function's own and has `DEPTH` bytes.
        unsafe { libc::explicit_bzero(left.as_mut_ptr().cast(), DEPTH) };
    }
    let result = apart(work);
    forget();
    result
}

/// Makes all threads allocate from one heap, so that memory which one thread freed serves the next
/// request on any other, and the process stays as large as its work and no larger (`M_ARENA_MAX` of
/// `mallopt(3)`). Call it before the first thread is started.
///
/// False where the C library does not take it; then nothing has changed.
#[cfg(target_env = "gnu")]
pub fn share_one_heap() -> bool {
    // SAFETY: mallopt takes two integers and sets a parameter of the allocator under its own lock.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) == 1 }
}

/// As above; other C libraries have one heap anyhow.
#[cfg(not(target_env = "gnu"))]
pub fn share_one_heap() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_model_multiplies_is_not_overwritten() {
        for (size, align, overwritten) in [
            (1 << 20, 1, true),
            // A long text's tokens.
            (1 << 20, 4, true),
            (1 << 20, 8, true),
            // A window's, for an engine.
            (4096 * 8, 64, true),
            (1 << 20, 16, false),
            (1 << 20, 64, false),
        ] {
            let layout = Layout::from_size_align(size, align).unwrap_or(Layout::new::<u8>());
            assert_eq!(may_hold_text(layout), overwritten, "{size} {align}");
        }
    }

    const MARK: [u8; 16] = *b"a mark, not text";

    /// Puts the mark at the far end of a frame of about so many bytes, and gives its place.
    #[inline(never)]
    fn mark<const BYTES: usize>() -> usize {
        let mut frame = [0_u8; BYTES];
        if let Some(end) = frame.first_chunk_mut() {
            *end = MARK;
        }
        std::hint::black_box(&mut frame).as_ptr().addr()
    }

    /// Whether the mark is there, which no frame has any more: the kernel is asked.
    fn is_marked(place: usize) -> bool {
        use std::os::unix::fs::FileExt;
        let memory = std::fs::File::open("/proc/self/mem");
        let mut found = [0; MARK.len()];
        let read = memory.and_then(|memory| memory.read_exact_at(&mut found, place as u64));
        read.is_ok() && found == MARK
    }

    #[test]
    fn the_stack_is_forgotten_as_deep_as_is_said() {
        const SHALLOW: usize = DEPTH / 2;
        const DEEP: usize = DEPTH - 1024;
        const DEEPER: usize = DEPTH + 16_384;
        for mark in [mark::<SHALLOW>, mark::<DEEP>, mark::<DEEPER>] {
            assert!(is_marked(mark()), "it is left where nobody forgets");
        }
        for mark in [mark::<SHALLOW>, mark::<DEEP>] {
            assert!(!is_marked(forgetting(mark)));
        }
        assert!(is_marked(forgetting(mark::<DEEPER>)), "beyond what is said");
    }

    /// What is in a block after it was given back is the heap's business; what was in it before is looked at through
    /// the block that replaced it.
    #[test]
    fn a_block_keeps_its_bytes_while_it_grows_and_shrinks() {
        for align in [1, 4, 8] {
            let layout = |size| Layout::from_size_align(size, align).unwrap_or(Layout::new::<u8>());
            // SAFETY: sizes are not 0, each block is used within its size and given back once with its layout.
            unsafe {
                let mut block = Forgetful.alloc(layout(100));
                assert!(!block.is_null());
                block.write_bytes(7, 100);
                for (old, new) in [(100, 10_000), (10_000, 1 << 20), (1 << 20, 50)] {
                    block = Forgetful.realloc(block, layout(old), new);
                    assert!(!block.is_null());
                    let kept = std::slice::from_raw_parts(block, 50);
                    assert_eq!(kept, [7; 50]);
                }
                Forgetful.dealloc(block, layout(50));
            }
        }
    }
}
