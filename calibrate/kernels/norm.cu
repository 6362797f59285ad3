// Root-mean-square norm, one reading of each row: it stays in registers between its sum and its output.
// Defined before: THREADS a row, VECTORS of eight a thread, ROWS at once in a block (one unless a warp has a row).

extern "C" __global__ void __launch_bounds__(THREADS * ROWS)
rmsnorm(uint4* __restrict__ out, const uint4* __restrict__ in, const uint4* __restrict__ weight, u32 tokens, u32 width,
        float inverse_dim, float epsilon) {
#if THREADS > 32
    __shared__ float partial[2][THREADS / 32];
#endif
    u32 lane = threadIdx.x % THREADS, turn = 0;
    for (u32 row = blockIdx.x * ROWS + threadIdx.x / THREADS; row < tokens; row += gridDim.x * ROWS, turn ^= 1) {
        const uint4* from = in + (u64)row * width;
        uint4 v[VECTORS];
        #pragma unroll
        for (int j = 0; j < VECTORS; j++) {
            u32 at = lane + j * THREADS;
            v[j] = at < width ? from[at] : make_uint4(0, 0, 0, 0);
        }
        float sum = 0.0f, x[8], w[8];
        #pragma unroll
        for (int j = 0; j < VECTORS; j++) {
            unpack(v[j], x);
            #pragma unroll
            for (int e = 0; e < 8; e++) sum = fmaf(x[e], x[e], sum);
        }
        #pragma unroll
        for (u32 step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
#if THREADS > 32
        // Two sets of partial sums by turns: a fast warp may write the next row's while a slow one still reads these.
        if (threadIdx.x % 32 == 0) partial[turn][threadIdx.x / 32] = sum;
        __syncthreads();
        sum = 0.0f;
        #pragma unroll
        for (int warp = 0; warp < THREADS / 32; warp++) sum += partial[turn][warp];
#endif
        float scale = rsqrtf(fmaf(sum, inverse_dim, epsilon));
        #pragma unroll
        for (int j = 0; j < VECTORS; j++) {
            u32 at = lane + j * THREADS;
            if (at >= width) continue;
            unpack(v[j], x);
            unpack(weight[at], w);
            #pragma unroll
            for (int e = 0; e < 8; e++) x[e] *= scale * w[e];
            out[(u64)row * width + at] = pack(x);
        }
    }
}
