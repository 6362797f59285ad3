// Tensor instructions from shared memory, again and again: what the tensor cores reach when nothing else is asked.
//
// Set by `gpu/wgmma/source.rs`: BYTES of an element; `multiply` is 64 x 256. Two warpgroups share B, each has rows of its
// own. Every round adds one product over ROUND rows of 128 bytes of random operands, as busy as in a product of a model. The sums
// grow from round to round: sums begun anew and never read are dropped by the assembler, products and all. One round alone
// can be checked.

#define ROW 128
#define ROUND 4
#define A_BYTES (64 * ROW)
#define B_BYTES (256 * ROW)
#define PART_BYTES (2 * A_BYTES + B_BYTES)

/// `operands`: ROUND parts, each A of the first warpgroup, A of the second, B; in each, rows of 128 bytes.
/// `out`: 2 x 64 x 256 sums a block.
extern "C" __global__ void __launch_bounds__(256, 1) tensor_loop(const uint4* operands, float* out, int rounds) {
    extern __shared__ u8 shared[];
    const u32 data = (shared_address(shared) + 1023) & ~1023u;
    for (int i = threadIdx.x; i < ROUND * PART_BYTES / 16; i += blockDim.x) {
        const uint4 v = operands[i];
        const u32 row = i / 8, unit = i % 8 ^ row % 8;  // the swizzle: 16-byte units of a row, by the row within eight
        asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};"
            ::"r"(data + row * ROW + unit * 16), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
    }
    // Written by ordinary stores, read by the tensor cores.
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();

    const int group = threadIdx.x / 128;
    const u64 a = matrix(data + group * A_BYTES), b = matrix(data + 2 * A_BYTES);
    float sums[128];
#pragma unroll
    for (int i = 0; i < 128; ++i) sums[i] = 0.0f;
    pin(sums);
    for (int round = 0; round < rounds; ++round) {
        products_begin();
#pragma unroll
        for (int step = 0; step < 4 * ROUND; ++step) {
            const u64 at = step / 4 * (PART_BYTES / 16) + step % 4 * 2;
            multiply(sums, a + at, b + at, true);
        }
        products_commit();
        products_wait<1>();
    }
    products_wait<0>();
    pin(sums);

    const int row = (threadIdx.x % 128) / 32 * 16 + threadIdx.x % 32 / 4;
    float* mine = out + (static_cast<u64>(blockIdx.x) * 2 + group) * 64 * 256;
#pragma unroll
    for (int i = 0; i < 128; ++i) {
        mine[(row + (i & 2) * 4) * 256 + i / 4 * 8 + threadIdx.x % 4 * 2 + (i & 1)] = sums[i];
    }
}
