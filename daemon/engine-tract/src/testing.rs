//! Reproducible numbers for the tests.

/// `count` values spread over `[-scale, scale]` (xorshift64*, Vigna 2016).
pub(crate) fn random(count: usize, scale: f32, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let bits = state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
        (bits as f32 / (1 << 23) as f32 - 1.0) * scale
    };
    (0..count).map(|_| next()).collect()
}

/// Some of so many rows, in rising order: from none to all, as the seed has it.
pub(crate) fn some_rows(count: usize, seed: u64) -> Vec<u32> {
    let share = random(1, 1.2, seed ^ 0x5eed).iter().sum::<f32>();
    let drawn = random(count, 1.0, seed ^ 0xd1ce);
    (0_u32..)
        .zip(drawn)
        .filter(|(_, drawn)| *drawn < share)
        .map(|(row, _)| row)
        .collect()
}
