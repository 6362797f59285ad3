// Bytes moved and nothing else. One block of 512 threads an SM, each alone there, four accesses of 16 bytes in flight a thread.

typedef unsigned int u32;
typedef unsigned long long u64;

// Blocks take turns at tiles of four accesses a thread, so that all of them walk through memory together.
#define TILE (4 * blockDim.x)

extern "C" __global__ void __launch_bounds__(512) copy(uint4* __restrict__ out, const uint4* __restrict__ in, u64 n) {
    for (u64 tile = (u64)blockIdx.x * TILE; tile < n; tile += (u64)gridDim.x * TILE) {
        u64 i = tile + threadIdx.x;
        if (tile + TILE <= n) {
            uint4 v[4];
            #pragma unroll
            for (u32 j = 0; j < 4; j++) v[j] = in[i + j * blockDim.x];
            #pragma unroll
            for (u32 j = 0; j < 4; j++) out[i + j * blockDim.x] = v[j];
        } else {
            for (; i < n; i += blockDim.x) out[i] = in[i];
        }
    }
}

// Keeps the exclusive or of all words, which costs nothing beside the reading and shows that all was read.
extern "C" __global__ void __launch_bounds__(512) read(u32* __restrict__ out, const uint4* __restrict__ in, u64 n) {
    u32 all = 0;
    for (u64 tile = (u64)blockIdx.x * TILE; tile < n; tile += (u64)gridDim.x * TILE) {
        u64 i = tile + threadIdx.x;
        if (tile + TILE <= n) {
            uint4 v[4];
            #pragma unroll
            for (u32 j = 0; j < 4; j++) v[j] = in[i + j * blockDim.x];
            #pragma unroll
            for (u32 j = 0; j < 4; j++) all ^= v[j].x ^ v[j].y ^ v[j].z ^ v[j].w;
        } else {
            for (; i < n; i += blockDim.x) all ^= in[i].x ^ in[i].y ^ in[i].z ^ in[i].w;
        }
    }
    for (u32 lane = 16; lane > 0; lane /= 2) all ^= __shfl_xor_sync(0xffffffffu, all, lane);
    if (threadIdx.x % 32 == 0) atomicXor(out, all);
}

// The words of 16 bytes are their index twice, and its complement twice.
extern "C" __global__ void __launch_bounds__(512) write(uint4* __restrict__ out, u64 n) {
    for (u64 tile = (u64)blockIdx.x * TILE; tile < n; tile += (u64)gridDim.x * TILE) {
        #pragma unroll
        for (u32 j = 0; j < 4; j++) {
            u64 i = tile + threadIdx.x + j * blockDim.x;
            u32 word = (u32)i;
            if (i < n) out[i] = make_uint4(word, word, ~word, ~word);
        }
    }
}
