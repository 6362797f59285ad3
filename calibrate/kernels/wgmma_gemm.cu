// D[m,n] = A[m,k] B[n,k]^T: a persistent product for Hopper. One warpgroup copies, two multiply.
//
// Set by `gpu/wgmma/source.rs`:
//   BYTES    of an element: 1 is E4M3, 2 is BF16
//   TILE_N   columns of a tile, 128 or 256; a tile has 128 rows, 64 a warpgroup
//   STAGES   of shared memory, each 128 bytes of every row of the tile
//   PROMOTE  products after which partial sums leave the tensor core for FP32 registers; 0: never
//   SCALES   1: A has one FP32 scale per row and 128 products, B one per 128 rows and 128 products; PROMOTE is 128
//   GROUPED  1: rows of A belong to groups, tile by tile; B holds a matrix a group, one below the other
//   CLUSTER  2: two blocks share the rows of A, each brings half of them to both
//   BAND     tiles of m that are walked together, so that what they share is still in L2
//   OUT_F32  1: sums as they are, 0: rounded to BF16
//
// Stages go round: `full` is passed when a stage's bytes have come, `empty` when every warp that reads it is done. Both
// sides walk stages and tiles in the same order, so position and parity are all they must know of each other.

#define TILE_M 128
#define ROW 128                       // bytes of a row in a stage: one atom of the swizzle
#define TILE_K (ROW / BYTES)
#define STEPS 4                       // wgmma along a row, 32 bytes each
#define A_BYTES (TILE_M * ROW)
#define B_BYTES (TILE_N * ROW)
#define SCALE_BYTES (SCALES * TILE_M * 4)
#define STAGE_BYTES (A_BYTES + B_BYTES)
#define WARPS 8                       // that multiply
#define SUMS (TILE_N / 2)             // a thread

struct Place { int m, n; };

/// Tile `index` of a grid of `rows` by `columns`: bands of BAND rows, down a band's columns one after the other.
/// A test of gpu/wgmma/order.rs walks the same function.
__device__ __forceinline__ Place place(int index, int rows, int columns) {
    const int band = index / (BAND * columns);
    const int first = band * BAND;
    const int height = min(BAND, rows - first);
    const int within = index - first * columns;
    return {first + within % height, within / height};
}

struct Problem {
    int m, n, k;
    int rows, columns;        // tiles; columns in units of CLUSTER
    float scale;              // of the result
    int a_stride;             // floats between the scales of A of two neighboring 128 products
    int b_stride;             // floats between the scales of B of two neighboring 128 rows
    const float* a_scales;    // [k / 128, a_stride]
    const float* b_scales;    // [groups * n / 128, b_stride]
    const int* group_of;      // [rows]
    void* out;                // [m, n]
};

struct Stages {
    u32 data, scales, barriers;
    __device__ u32 a(int stage) const { return data + stage * STAGE_BYTES; }
    __device__ u32 b(int stage) const { return data + stage * STAGE_BYTES + A_BYTES; }
    __device__ u32 a_scales(int stage) const { return scales + stage * SCALE_BYTES; }
    __device__ u32 full(int stage) const { return barriers + 8 * stage; }
    __device__ u32 empty(int stage) const { return barriers + 8 * (STAGES + stage); }
};

/// Where we are on the way round.
struct Turn {
    int stage = 0;
    u32 parity = 0;
    __device__ void next() {
        if (++stage == STAGES) { stage = 0; parity ^= 1; }
    }
};

/// One thread: brings every stage of every tile of this block.
__device__ __forceinline__ void bring(const TensorMap* a, const TensorMap* b, const Problem& p, const Stages& s, int rank) {
    Turn turn;
    for (int tile = blockIdx.x / CLUSTER; tile < p.rows * p.columns; tile += gridDim.x / CLUSTER) {
        const Place at = place(tile, p.rows, p.columns);
        const int row = at.m * TILE_M;
        int column = (at.n * CLUSTER + rank) * TILE_N;
#if GROUPED
        column += __ldg(p.group_of + at.m) * p.n;
#endif
        for (int k = 0; k < p.k; k += TILE_K) {
            // A fresh barrier counts as passed with parity 1, so the first round does not wait.
            barrier_wait(s.empty(turn.stage), turn.parity ^ 1);
            const u32 full = s.full(turn.stage);
            barrier_expect(full, STAGE_BYTES + SCALE_BYTES);
#if CLUSTER == 2
            const int half = rank * (TILE_M / 2);
            copy_box_to_all(s.a(turn.stage) + half * ROW, a, k, row + half, full, 3);
#else
            copy_box(s.a(turn.stage), a, k, row, full);
#endif
            copy_box(s.b(turn.stage), b, k, column, full);
#if SCALES
            copy_line(s.a_scales(turn.stage), p.a_scales + static_cast<u64>(k / TILE_K) * p.a_stride + row, SCALE_BYTES, full);
#endif
            turn.next();
        }
    }
}

/// This warp no longer reads the stage: told to every block that writes into it.
__device__ __forceinline__ void release(const Stages& s, int stage) {
    __syncwarp();
#if CLUSTER == 2
    if (threadIdx.x % 32 < CLUSTER) barrier_arrive_at(s.empty(stage), threadIdx.x % 32);
#else
    if (threadIdx.x % 32 == 0) barrier_arrive(s.empty(stage));
#endif
}

__device__ __forceinline__ u32 pack(float low, float high) {
    u32 both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
}

/// Four lanes hold a column each of a 4x4 matrix of words; afterwards a row each.
__device__ __forceinline__ void transpose(u32 (&v)[4]) {
    const bool odd = threadIdx.x & 1, upper = threadIdx.x & 2;
#pragma unroll
    for (int i = 0; i < 4; i += 2) {
        const u32 got = __shfl_xor_sync(0xFFFFFFFFu, odd ? v[i] : v[i + 1], 1);
        if (odd) v[i] = got; else v[i + 1] = got;
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        const u32 got = __shfl_xor_sync(0xFFFFFFFFu, upper ? v[i] : v[i + 2], 2);
        if (upper) v[i] = got; else v[i + 2] = got;
    }
}

/// A thread's sums: of rows `row` and `row + 8`, of columns 8 i + 2 (lane % 4) and the next. n is a multiple of 8.
__device__ __forceinline__ void store(const float (&sums)[SUMS], const Problem& p, int row, int column) {
    const int lane = threadIdx.x % 4;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const int r = row + 8 * half;
        const u64 line = static_cast<u64>(r) * p.n;
#if OUT_F32
#pragma unroll
        for (int i = 0; i < TILE_N / 8; ++i) {
            const int c = column + 8 * i + 2 * lane;
            if (r < p.m && c < p.n) {
                *reinterpret_cast<float2*>(static_cast<float*>(p.out) + line + c) =
                    make_float2(sums[4 * i + 2 * half] * p.scale, sums[4 * i + 2 * half + 1] * p.scale);
            }
        }
#else
#pragma unroll
        for (int i = 0; i < TILE_N / 32; ++i) {
            u32 words[4];
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                const int at = 4 * (4 * i + j) + 2 * half;
                words[j] = pack(sums[at] * p.scale, sums[at + 1] * p.scale);
            }
            transpose(words);  // now eight columns of one row: 16 bytes
            const int c = column + 32 * i + 8 * lane;
            if (r < p.m && c < p.n) {
                *reinterpret_cast<uint4*>(static_cast<unsigned short*>(p.out) + line + c) =
                    make_uint4(words[0], words[1], words[2], words[3]);
            }
        }
#endif
    }
}

/// One stage's products of this warpgroup, steps `from` to `to`; the first of a sum overwrites.
template <int FROM, int TO>
__device__ __forceinline__ void issue(float (&sums)[SUMS], u64 a, u64 b, bool fresh) {
#pragma unroll
    for (int step = FROM; step < TO; ++step) multiply(sums, a + 2 * step, b + 2 * step, !(fresh && step == FROM));
}

#if PROMOTE > 0
/// Moves partial sums to the FP32 sums: `low` scales the thread's first row, `high` the one eight below.
__device__ __forceinline__ void promote(float (&total)[SUMS], float (&part)[SUMS], float low, float high) {
#pragma unroll
    for (int i = 0; i < SUMS; ++i) {
#if SCALES
        total[i] = fmaf(part[i], (i & 2) ? high : low, total[i]);
#else
        total[i] += part[i];
#endif
    }
}
#endif

#if PROMOTE > 0 && PROMOTE < 128
/// Products of one tile where promotions come several times a stage.
__device__ __forceinline__ void tile_products(
    float (&total)[SUMS], float (&part)[SUMS], const Problem& p, const Stages& s, Turn& turn, int group, const float*, int) {
    for (int k = 0; k < p.k; k += TILE_K) {
        barrier_wait(s.full(turn.stage), turn.parity);
        const u64 a = matrix(s.a(turn.stage) + group * 64 * ROW), b = matrix(s.b(turn.stage));
#pragma unroll
        for (int step = 0; step < STEPS; step += PROMOTE / 32) {
            pin(part);
            products_begin();
            issue<0, PROMOTE / 32>(part, a + 2 * step, b + 2 * step, true);
            products_commit();
            products_wait<0>();
            pin(part);
            if (step + PROMOTE / 32 == STEPS) release(s, turn.stage);
            promote(total, part, 1.0f, 1.0f);
        }
        turn.next();
    }
}
#else
/// Products of one tile, as many stages as a promotion takes (all, where there is none) one after the other; a stage is
/// given back when the next one's products have been issued and its own are through.
__device__ __forceinline__ void tile_products(
    float (&total)[SUMS], float (&part)[SUMS], const Problem& p, const Stages& s, Turn& turn, int group,
    const float* b_scales, int row) {
    const int span = PROMOTE > 0 ? PROMOTE : p.k;
    for (int begin = 0; begin < p.k; begin += span) {
        const int end = min(begin + span, p.k);
        int before = turn.stage;
#if SCALES
        float low, high;  // of the thread's two rows
        const float of_b = __ldg(b_scales + begin / 128);
#endif
        for (int k = begin; k < end; k += TILE_K) {
            barrier_wait(s.full(turn.stage), turn.parity);
            const u64 a = matrix(s.a(turn.stage) + group * 64 * ROW), b = matrix(s.b(turn.stage));
#if SCALES
            asm volatile("ld.shared.f32 %0, [%1];" : "=f"(low) : "r"(s.a_scales(turn.stage) + 4 * row) : "memory");
            asm volatile("ld.shared.f32 %0, [%1];" : "=f"(high) : "r"(s.a_scales(turn.stage) + 4 * row + 32) : "memory");
#endif
            pin(part);
            products_begin();
            issue<0, STEPS>(part, a, b, k == begin);
            products_commit();
            products_wait<1>();
            if (k != begin) release(s, before);
            before = turn.stage;
            turn.next();
        }
        products_wait<0>();
        pin(part);
        release(s, before);
#if SCALES
        promote(total, part, low * of_b, high * of_b);
#elif PROMOTE > 0
        promote(total, part, 1.0f, 1.0f);
#endif
    }
}
#endif

/// Two warpgroups: every tile of this block, 64 rows each.
__device__ __forceinline__ void work(const Problem& p, const Stages& s, int rank) {
    const int group = threadIdx.x / 128 - 1;
    const int row = group * 64 + (threadIdx.x % 128) / 32 * 16 + threadIdx.x % 32 / 4;
    float part[SUMS];
#pragma unroll
    for (int i = 0; i < SUMS; ++i) part[i] = 0.0f;
    Turn turn;
    for (int tile = blockIdx.x / CLUSTER; tile < p.rows * p.columns; tile += gridDim.x / CLUSTER) {
        const Place at = place(tile, p.rows, p.columns);
        const int column = at.n * CLUSTER + rank;
        const float* b_scales = nullptr;
#if SCALES
        const int blocks = (p.n + 127) / 128;
        int block = min(column, blocks - 1);  // the last cluster may have a block beyond the end
#if GROUPED
        block += __ldg(p.group_of + at.m) * blocks;
#endif
        b_scales = p.b_scales + static_cast<u64>(block) * p.b_stride;
#endif
#if PROMOTE > 0
        float total[SUMS];
#pragma unroll
        for (int i = 0; i < SUMS; ++i) total[i] = 0.0f;
        tile_products(total, part, p, s, turn, group, b_scales, row);
        store(total, p, at.m * TILE_M + row, column * TILE_N);
#else
        tile_products(part, part, p, s, turn, group, b_scales, row);
        store(part, p, at.m * TILE_M + row, column * TILE_N);
#endif
    }
}

/// A neighbor may still write into this block's stages or arrive at its barriers: pairs end together.
__device__ __forceinline__ void leave() {
#if CLUSTER == 2
    __syncwarp();
    cluster_sync();
#endif
}

extern "C" __global__ void __launch_bounds__(384, 1)
#if CLUSTER == 2
__cluster_dims__(2, 1, 1)
#endif
product(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, const __grid_constant__ Problem p) {
    extern __shared__ u8 shared[];
    Stages s;
    s.data = (shared_address(shared) + 1023) & ~1023u;  // descriptors and the swizzle want 1,024
    s.scales = s.data + STAGES * STAGE_BYTES;
    s.barriers = s.scales + STAGES * SCALE_BYTES;
#if CLUSTER == 2
    const int rank = cluster_rank();
#else
    const int rank = 0;
#endif
    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; ++i) {
            barrier_init(s.full(i), 1);
            barrier_init(s.empty(i), WARPS * CLUSTER);
        }
        barrier_publish();
    }
#if CLUSTER == 2
    cluster_sync();
#else
    __syncthreads();
#endif
    if (threadIdx.x < 128) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
        if (threadIdx.x == 0) bring(&a, &b, p, s, rank);
        leave();
    } else {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
        work(p, s, rank);
        leave();
    }
}
