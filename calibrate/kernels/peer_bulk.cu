// Bytes to a peer's memory by bulk copies: the copy engine of each SM (TMA) moves pieces through shared memory, and one
// thread only says which. After `wgmma.cu`, for its barriers and copies.

/// Shared memory to any GPU's memory; both ends aligned to 16.
__device__ __forceinline__ void store_line(void* to, u32 from, u32 bytes) {
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to), "r"(from), "r"(bytes) : "memory");
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

/// `n` bytes from this GPU's memory to a peer's: one block of one warp an SM, PIECES of PIECE bytes in shared memory, half
/// of them on their way in and half on their way out.
extern "C" __global__ void __launch_bounds__(32, 1)
push_bulk(u8* to, const u8* from, u64 n) {
    extern __shared__ __align__(128) u8 pieces[];
    __shared__ u64 barriers[PIECES];
    if (threadIdx.x != 0) return;
    u32 room = shared_address(pieces), barrier = shared_address(barriers);
    for (u32 s = 0; s < PIECES; s++) barrier_init(barrier + 8 * s, 1);
    barrier_publish();
    u64 n_pieces = (n + PIECE - 1) / PIECE;
    u64 n_mine = n_pieces > blockIdx.x ? (n_pieces - blockIdx.x + gridDim.x - 1) / gridDim.x : 0;
    auto offset = [&](u64 i) { return (blockIdx.x + i * gridDim.x) * PIECE; };
    auto length = [&](u64 i) { return (u32)min((u64)PIECE, n - offset(i)); };
    auto fetch = [&](u64 i) {
        u32 s = i % PIECES;
        barrier_expect(barrier + 8 * s, length(i));
        copy_line(room + s * PIECE, from + offset(i), length(i), barrier + 8 * s);
    };
    constexpr u32 AHEAD = PIECES / 2;
    for (u64 i = 0; i < AHEAD && i < n_mine; i++) fetch(i);
    for (u64 i = 0; i < n_mine; i++) {
        if (i + AHEAD < n_mine) {
            // The piece that was in this room has been read when no more than those after it are pending.
            asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(PIECES - AHEAD - 1) : "memory");
            fetch(i + AHEAD);
        }
        u32 s = i % PIECES;
        barrier_wait(barrier + 8 * s, i / PIECES & 1);
        store_line(to + offset(i), room + s * PIECE, length(i));
    }
    asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}
