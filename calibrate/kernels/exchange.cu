// Tokens to the ranks of their experts and results back, among the GPUs of one node. A warp takes a token, a lane
// ROUND words of 16 bytes of it at a time; who goes where was decided before (`slots`). ROUND is set by the host so that
// 32 * ROUND divides the words of a row.

// What a rank tells the others, in memory that all of them reach.
struct Post {
    u64 turn;        // meetings this rank has been through; only its own kernels read it
    u32 arrived;     // its blocks that are done
    u32 late;        // set when a peer did not come in time: nothing measured counts then
    u64 flags[32];   // by rank: the last meeting that rank announced here
};

__device__ void announce(Post* const* posts, u32 n_ranks, u32 rank, u64 turn) {
    __threadfence_system();
#pragma unroll 1
    for (u32 peer = 0; peer < n_ranks; peer++)
        if (peer != rank) store_release(&posts[peer]->flags[rank], turn);
}

__device__ void await(Post* mine, u32 n_ranks, u32 rank, u64 turn, u64 patience) {
    // Who has waited in vain once does not wait again: a lost peer costs one patience, not one a call.
    for (u32 peer = 0; peer < n_ranks; peer++)
        if (peer != rank && !*(volatile u32*)&mine->late && !wait_for(&mine->flags[peer], turn, patience))
            *(volatile u32*)&mine->late = 1;
}

// Every block of every rank calls it last; the last block of a rank speaks for all of them.
__device__ void finish(Post* const* posts, u32 n_ranks, u32 rank, u64 turn, u64 patience) {
    __syncthreads();
    if (threadIdx.x != 0) return;
    Post* mine = posts[rank];
    __threadfence_system();
    if (atomicAdd(&mine->arrived, 1u) != gridDim.x - 1) return;
    announce(posts, n_ranks, rank, turn);
    await(mine, n_ranks, rank, turn, patience);
    mine->arrived = 0;
    mine->turn = turn;
}

__device__ __forceinline__ uint4 load_stream(const uint4* at) {
    uint4 v;
    asm volatile("ld.global.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(at));
    return v;
}

// To memory of any GPU of the node.
__device__ __forceinline__ void store(uint4* at, uint4 v) {
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(at), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
}

// The value that lane `from` holds.
__device__ __forceinline__ uint4* at_lane(uint4* value, u32 from) {
    return (uint4*)__shfl_sync(~0u, (u64)value, from);
}

// `slots[token][rank]`: the token's row on that rank, or -1. Each token is read once and stored on every rank that
// wants it, its own included; peers first, each rank beginning with the next.
extern "C" __global__ void __launch_bounds__(1024, 1)
dispatch(const uint4* tokens, const uint4* scales, const int* slots, uint4* const* rows_of, uint4* const* scales_of,
         Post* const* posts, u32 n_tokens, u32 n_ranks, u32 rank, u32 words, u32 scale_words, u32 rows_max, u32 set,
         u64 patience) {
    u64 turn = posts[rank]->turn + 1;
    u32 lane = threadIdx.x % 32, n_warps = blockDim.x / 32 * gridDim.x;
    tokens += (u64)set * n_tokens * words;
    scales += (u64)set * n_tokens * scale_words;
    uint4 *rows = 0, *scale_rows = 0;
    if (lane < n_ranks) {
        rows = rows_of[lane] + (u64)set * rows_max * words;
        scale_rows = scales_of[lane] + (u64)set * rows_max * scale_words;
    }
    for (u32 token = threadIdx.x / 32 * gridDim.x + blockIdx.x; token < n_tokens; token += n_warps) {
        int slot = lane < n_ranks ? slots[(u64)token * n_ranks + lane] : -1;
        u32 wanted = __ballot_sync(~0u, slot >= 0);
        uint4* row = slot < 0 ? 0 : rows + (u64)slot * words;
        uint4* scale_row = slot < 0 ? 0 : scale_rows + (u64)slot * scale_words;
        for (u32 at = lane; at < words; at += 32 * ROUND) {
            uint4 part[ROUND];
#pragma unroll
            for (u32 j = 0; j < ROUND; j++) part[j] = load_stream(tokens + (u64)token * words + at + 32 * j);
            for (u32 k = 1; k <= n_ranks; k++) {
                u32 peer = (rank + k) % n_ranks;
                if (!(wanted >> peer & 1)) continue;
                uint4* to = at_lane(row, peer) + at;
#pragma unroll
                for (u32 j = 0; j < ROUND; j++) store(to + 32 * j, part[j]);
            }
        }
        for (u32 base = 0; base < scale_words; base += 32) {
            u32 at = base + lane;
            uint4 part = at < scale_words ? load_stream(scales + (u64)token * scale_words + at) : make_uint4(0, 0, 0, 0);
            for (u32 k = 1; k <= n_ranks; k++) {
                u32 peer = (rank + k) % n_ranks;
                if (!(wanted >> peer & 1)) continue;
                uint4* to = at_lane(scale_row, peer);
                if (at < scale_words) store(to + at, part);
            }
        }
    }
    finish(posts, n_ranks, rank, turn, patience);
}

__device__ __forceinline__ void add(float* sum, u32 two) {
    sum[0] += __uint_as_float(two << 16);
    sum[1] += __uint_as_float(two & 0xffff0000u);
}

__device__ __forceinline__ u32 round_two(const float* sum) {
    u32 two;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(two) : "f"(sum[1]), "f"(sum[0]));
    return two;
}

// Reads a token's rows back from the ranks that have one and sums them in FP32: the next rank's first, its own last.
extern "C" __global__ void __launch_bounds__(512, 1)
combine(uint4* out, const int* slots, uint4* const* rows_of, Post* const* posts, u32 n_tokens, u32 n_ranks, u32 rank,
        u32 words, u32 rows_max, u32 set, u64 patience) {
    Post* mine = posts[rank];
    u64 turn = mine->turn + 2;
    // Rows may be read once their rank has come this far: its experts are done then.
    if (threadIdx.x == 0) {
        if (blockIdx.x == 0) announce(posts, n_ranks, rank, turn - 1);
        await(mine, n_ranks, rank, turn - 1, patience);
    }
    __syncthreads();
    u32 lane = threadIdx.x % 32, n_warps = blockDim.x / 32 * gridDim.x;
    out += (u64)set * n_tokens * words;
    uint4* rows = lane < n_ranks ? rows_of[lane] + (u64)set * rows_max * words : 0;
    for (u32 token = threadIdx.x / 32 * gridDim.x + blockIdx.x; token < n_tokens; token += n_warps) {
        int slot = lane < n_ranks ? slots[(u64)token * n_ranks + lane] : -1;
        u32 wanted = __ballot_sync(~0u, slot >= 0);
        uint4* row = slot < 0 ? 0 : rows + (u64)slot * words;
        for (u32 at = lane; at < words; at += 32 * ROUND) {
            float sum[ROUND][8] = {};
            for (u32 k = 1; k <= n_ranks; k++) {
                u32 peer = (rank + k) % n_ranks;
                if (!(wanted >> peer & 1)) continue;
                const uint4* from = at_lane(row, peer) + at;
                uint4 part[ROUND];
#pragma unroll
                for (u32 j = 0; j < ROUND; j++) part[j] = load_stream(from + 32 * j);
#pragma unroll
                for (u32 j = 0; j < ROUND; j++) {
                    add(sum[j], part[j].x);
                    add(sum[j] + 2, part[j].y);
                    add(sum[j] + 4, part[j].z);
                    add(sum[j] + 6, part[j].w);
                }
            }
#pragma unroll
            for (u32 j = 0; j < ROUND; j++)
                out[(u64)token * words + at + 32 * j] = make_uint4(
                    round_two(sum[j]), round_two(sum[j] + 2), round_two(sum[j] + 4), round_two(sum[j] + 6));
        }
    }
    finish(posts, n_ranks, rank, turn, patience);
}
