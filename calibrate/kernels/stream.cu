// Kernels bound by memory: every element is read once and written once, sixteen bytes at a time where the format has them.
// `width` is a row in vectors of eight; `n` counts such vectors of the output.

#define THREADS 256

// silu(gate) * up; a row is its gates, then its ups.
extern "C" __global__ void __launch_bounds__(THREADS) swiglu(uint4* __restrict__ out, const uint4* __restrict__ in, u32 n, u32 width) {
    for (u32 tile = blockIdx.x * 2 * THREADS; tile < n; tile += gridDim.x * 2 * THREADS) {
        uint4 gate[2], up[2];
        #pragma unroll
        for (u32 j = 0; j < 2; j++) {
            u32 i = min(tile + j * THREADS + threadIdx.x, n - 1);
            u64 from = (u64)i + (u64)(i / width) * width;
            gate[j] = in[from];
            up[j] = in[from + width];
        }
        #pragma unroll
        for (u32 j = 0; j < 2; j++) {
            u32 i = tile + j * THREADS + threadIdx.x;
            float g[8], u[8];
            unpack(gate[j], g);
            unpack(up[j], u);
            #pragma unroll
            for (int e = 0; e < 8; e++) g[e] = __fdividef(g[e], 1.0f + __expf(-g[e])) * u[e];
            if (i < n) out[i] = pack(g);
        }
    }
}

// Rotates pairs of neighbors in place. Heads are 64 wide; the table has (cosine, sine) of 32 pairs a token.
extern "C" __global__ void __launch_bounds__(THREADS) rope(uint4* __restrict__ rows, const float4* __restrict__ table, u32 n, u32 width) {
    for (u32 tile = blockIdx.x * 4 * THREADS; tile < n; tile += gridDim.x * 4 * THREADS) {
        uint4 v[4];
        #pragma unroll
        for (u32 j = 0; j < 4; j++) v[j] = rows[min(tile + j * THREADS + threadIdx.x, n - 1)];
        #pragma unroll
        for (u32 j = 0; j < 4; j++) {
            u32 i = tile + j * THREADS + threadIdx.x;
            if (i >= n) continue;
            u64 at = (u64)(i / width) * 16 + (i % width) % 8 * 2;
            float4 turn[2] = {table[at], table[at + 1]};
            float x[8], y[8];
            unpack(v[j], x);
            #pragma unroll
            for (int e = 0; e < 2; e++) {
                y[4 * e] = x[4 * e] * turn[e].x - x[4 * e + 1] * turn[e].y;
                y[4 * e + 1] = x[4 * e] * turn[e].y + x[4 * e + 1] * turn[e].x;
                y[4 * e + 2] = x[4 * e + 2] * turn[e].z - x[4 * e + 3] * turn[e].w;
                y[4 * e + 3] = x[4 * e + 2] * turn[e].w + x[4 * e + 3] * turn[e].z;
            }
            rows[i] = pack(y);
        }
    }
}

// One scale each 128 numbers of a row: sixteen lanes have them, eight each.
extern "C" __global__ void __launch_bounds__(THREADS) cast(uint2* __restrict__ out, float* __restrict__ scales, const uint4* __restrict__ in, u32 n) {
    for (u32 tile = blockIdx.x * 4 * THREADS; tile < n; tile += gridDim.x * 4 * THREADS) {
        uint4 v[4];
        #pragma unroll
        for (u32 j = 0; j < 4; j++) v[j] = in[min(tile + j * THREADS + threadIdx.x, n - 1)];
        #pragma unroll
        for (u32 j = 0; j < 4; j++) {
            u32 i = tile + j * THREADS + threadIdx.x;
            float x[8], largest = 0.0f;
            unpack(v[j], x);
            #pragma unroll
            for (int e = 0; e < 8; e++) largest = fmaxf(largest, fabsf(x[e]));
            #pragma unroll
            for (u32 step = 8; step > 0; step /= 2) largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, step));
            float inverse = largest > 0.0f ? 448.0f / largest : 1.0f;
            #pragma unroll
            for (int e = 0; e < 8; e++) x[e] *= inverse;
            if (i >= n) continue;
            out[i] = make_uint2(narrow4(x[0], x[1], x[2], x[3]), narrow4(x[4], x[5], x[6], x[7]));
            if (i % 16 == 0) scales[i / 16] = largest > 0.0f ? largest / 448.0f : 1.0f;
        }
    }
}

// The same with rows and columns exchanged, one scale each 128 tokens of a column; `scales` has a row each 128 tokens.
//
// A block turns tiles of 128 x 128. A thread has eight columns of eight neighboring tokens, so that what it writes into the
// turned tile are eight neighboring bytes. There, chunk c of eight bytes of a column lies at c ^ (column / 8 % 16): the sixteen lanes
// that write the same chunk of different columns then meet sixteen pairs of banks.
extern "C" __global__ void __launch_bounds__(THREADS, 3)
cast_transposed(u8* __restrict__ out, float* __restrict__ scales, const uint4* __restrict__ in, u32 tokens, u32 dim) {
    __shared__ __align__(16) uint2 turned[128 * 16];
    __shared__ __align__(16) float partial[8][128];
    u32 across = dim / 128, n_tiles = (tokens + 127) / 128 * across;
    u32 lane = threadIdx.x % 16, chunk = threadIdx.x / 16;
    for (u32 tile = blockIdx.x; tile < n_tiles; tile += gridDim.x) {
        u32 token = tile / across * 128, column = tile % across * 128;
        uint4 v[8];
        #pragma unroll
        for (u32 j = 0; j < 8; j++) {
            u32 row = token + chunk * 8 + j;
            v[j] = row < tokens ? in[(u64)row * (dim / 8) + column / 8 + lane] : make_uint4(0, 0, 0, 0);
        }
        float x[8], largest[8] = {};
        #pragma unroll
        for (int j = 0; j < 8; j++) {
            unpack(v[j], x);
            #pragma unroll
            for (int e = 0; e < 8; e++) largest[e] = fmaxf(largest[e], fabsf(x[e]));
        }
        #pragma unroll
        for (int e = 0; e < 8; e++) largest[e] = fmaxf(largest[e], __shfl_xor_sync(0xffffffffu, largest[e], 16));
        if (threadIdx.x % 32 < 16) {
            float4* to = (float4*)&partial[threadIdx.x / 32][lane * 8];
            to[0] = make_float4(largest[0], largest[1], largest[2], largest[3]);
            to[1] = make_float4(largest[4], largest[5], largest[6], largest[7]);
        }
        __syncthreads();
        #pragma unroll
        for (int warp = 0; warp < 8; warp++) {
            const float4* from = (const float4*)&partial[warp][lane * 8];
            float4 a = from[0], b = from[1];
            float other[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
            #pragma unroll
            for (int e = 0; e < 8; e++) largest[e] = fmaxf(largest[e], other[e]);
        }
        if (chunk == 0) {
            float s[8];
            #pragma unroll
            for (int e = 0; e < 8; e++) s[e] = largest[e] > 0.0f ? largest[e] / 448.0f : 1.0f;
            float4* to = (float4*)(scales + (u64)(token / 128) * dim + column + lane * 8);
            to[0] = make_float4(s[0], s[1], s[2], s[3]);
            to[1] = make_float4(s[4], s[5], s[6], s[7]);
        }
        #pragma unroll
        for (int e = 0; e < 8; e++) {
            float inverse = largest[e] > 0.0f ? 448.0f / largest[e] : 1.0f, y[8];
            #pragma unroll
            for (int j = 0; j < 8; j++) {
                unpack(v[j], x);
                y[j] = x[e] * inverse;
            }
            turned[(lane * 8 + e) * 16 + (chunk ^ lane)] = make_uint2(narrow4(y[0], y[1], y[2], y[3]), narrow4(y[4], y[5], y[6], y[7]));
        }
        __syncthreads();
        // Sixteen tokens of a column at once: two chunks that are neighbors still, in one order or the other.
        #pragma unroll
        for (u32 j = 0; j < 4; j++) {
            u32 c = j * 32 + threadIdx.x / 8, pair = threadIdx.x % 8, twist = c / 8 % 16;
            uint4 both = *(const uint4*)&turned[c * 16 + 2 * (pair ^ (twist / 2))];
            if (twist % 2 == 1) both = make_uint4(both.z, both.w, both.x, both.y);
            u32 first = token + pair * 16;
            if (first < tokens) *(uint4*)(out + (u64)(column + c) * tokens + first) = both;
        }
        __syncthreads();
    }
}
