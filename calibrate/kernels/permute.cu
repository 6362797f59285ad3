// Tokens to the order of their experts and back. Defined before: TOP_K copies of each. `width` is a row in vectors of eight;
// `places` has TOP_K rows of the other order for each token; `n` counts vectors of all tokens.

#define THREADS 256

// A row is read once and written TOP_K times.
extern "C" __global__ void __launch_bounds__(THREADS)
permute(uint4* __restrict__ out, const uint4* __restrict__ in, const u32* __restrict__ places, u32 n, u32 width) {
    for (u32 tile = blockIdx.x * 2 * THREADS; tile < n; tile += gridDim.x * 2 * THREADS) {
        uint4 v[2];
        #pragma unroll
        for (u32 j = 0; j < 2; j++) v[j] = in[min(tile + j * THREADS + threadIdx.x, n - 1)];
        #pragma unroll
        for (u32 j = 0; j < 2; j++) {
            u32 i = tile + j * THREADS + threadIdx.x;
            if (i >= n) continue;
            u32 token = i / width, column = i % width;
            #pragma unroll
            for (u32 k = 0; k < TOP_K; k++) out[(u64)places[token * TOP_K + k] * width + column] = v[j];
        }
    }
}

// Sums in FP32 what TOP_K experts made of a token, each with its weight.
extern "C" __global__ void __launch_bounds__(THREADS)
unpermute(uint4* __restrict__ out, const uint4* __restrict__ in, const u32* __restrict__ places,
          const float* __restrict__ weights, u32 n, u32 width) {
    for (u32 i = blockIdx.x * THREADS + threadIdx.x; i < n; i += gridDim.x * THREADS) {
        u32 token = i / width, column = i % width;
        uint4 v[TOP_K];
        #pragma unroll
        for (u32 k = 0; k < TOP_K; k++) v[k] = in[(u64)places[token * TOP_K + k] * width + column];
        float sum[8] = {}, x[8];
        #pragma unroll
        for (u32 k = 0; k < TOP_K; k++) {
            float weight = weights[token * TOP_K + k];
            unpack(v[k], x);
            #pragma unroll
            for (int e = 0; e < 8; e++) sum[e] = fmaf(weight, x[e], sum[e]);
        }
        out[i] = pack(sum);
    }
}
