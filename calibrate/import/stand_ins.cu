// Stand-ins for the memory-bound kernels of a published training trace, whose code is not public. Each has the grid, the
// block and the shared memory that the trace names, and about its registers; the access pattern follows from them and
// from the name. One launch a call, no libraries. Widths are multiples of 64, groups of scales 128 wide.
// Here: how numbers are packed, casts, transposes and activations. What `stand_ins_rows.cu` has is compiled behind it.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

constexpr u32 ALL = 0xffffffffu;
constexpr float FP8_MAX = 448.0f, E5M6_MAX = 57344.0f, TINY = 1e-10f;
// A row of a 128x128 tile in shared memory, with its padding.
constexpr u32 TILE = 128, PITCH = 132;

__device__ float2 unpack(u32 x) { return {__uint_as_float(x << 16), __uint_as_float(x & 0xffff0000u)}; }

__device__ void unpack(uint4 v, float* x) {
    u32 w[4] = {v.x, v.y, v.z, v.w};
    #pragma unroll
    for (int i = 0; i < 4; i++) { float2 p = unpack(w[i]); x[2 * i] = p.x; x[2 * i + 1] = p.y; }
}

__device__ void unpack(uint2 v, float* x) {
    float2 a = unpack(v.x), b = unpack(v.y);
    x[0] = a.x; x[1] = a.y; x[2] = b.x; x[3] = b.y;
}

__device__ u32 pack(float a, float b) {
    u32 r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(b), "f"(a));
    return r;
}

__device__ uint4 pack(const float* x) { return {pack(x[0], x[1]), pack(x[2], x[3]), pack(x[4], x[5]), pack(x[6], x[7])}; }

__device__ u32 pack_fp8(float a, float b, float c, float d) {
    u16 low, high;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(low) : "f"(b), "f"(a));
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(high) : "f"(d), "f"(c));
    return low | (u32)high << 16;
}

__device__ float from_half(u16 x) {
    float r;
    asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(x));
    return r;
}

__device__ float2 unpack_fp8(u16 x) {
    u32 r;
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(r) : "h"(x));
    return {from_half(r & 0xffff), from_half(r >> 16)};
}

__device__ float max_of(float amax, const float* x, int n) {
    for (int i = 0; i < n; i++) amax = fmaxf(amax, fabsf(x[i]));
    return amax;
}

template <int LANES> __device__ float max_over(float x) {
    #pragma unroll
    for (int step = LANES / 2; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(ALL, x, step));
    return x;
}

__device__ float sum_over_warp(float x) {
    #pragma unroll
    for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(ALL, x, step);
    return x;
}

__device__ float silu(float x) { return x / (1.0f + __expf(-x)); }

// Eight numbers of a 16-lane group of 128: its scale and its FP8.
__device__ void store_fp8(const float* x, bool inside, u64 row, u32 width, u32 at, u8* out, float* scales) {
    float scale = fmaxf(max_over<16>(inside ? max_of(0.0f, x, 8) : 0.0f), TINY) / FP8_MAX;
    if (!inside) return;
    float back = 1.0f / scale;
    *(uint2*)(out + row * width + at) = {pack_fp8(x[0] * back, x[1] * back, x[2] * back, x[3] * back),
                                         pack_fp8(x[4] * back, x[5] * back, x[6] * back, x[7] * back)};
    if (threadIdx.x % 16 == 0) scales[row * ((width + 127) / 128) + at / 128] = scale;
}

// BF16 to FP8, a row a block of 128 threads, 16 bytes read at once.
extern "C" __global__ void cast_rows(const u16* in, u8* out, float* scales, u32 width) {
    u64 row = blockIdx.x;
    #pragma unroll 1
    for (u32 base = 0; base < width; base += 1024) {
        u32 at = base + threadIdx.x * 8;
        bool inside = at < width;
        float x[8] = {};
        if (inside) unpack(*(const uint4*)(in + row * width + at), x);
        store_fp8(x, inside, row, width, at, out, scales);
    }
}

// The same with 8 bytes read at once: a warp a group of scales.
extern "C" __global__ void cast_rows_narrow(const u16* in, u8* out, float* scales, u32 width) {
    u64 row = blockIdx.x;
    #pragma unroll 1
    for (u32 at = threadIdx.x * 4; at < (width + 127) / 128 * 128; at += 512) {
        float x[4] = {};
        bool inside = at < width;
        if (inside) unpack(*(const uint2*)(in + row * width + at), x);
        float scale = fmaxf(max_over<32>(max_of(0.0f, x, 4)), TINY) / FP8_MAX, back = 1.0f / scale;
        if (!inside) continue;
        *(u32*)(out + row * width + at) = pack_fp8(x[0] * back, x[1] * back, x[2] * back, x[3] * back);
        if (threadIdx.x % 32 == 0) scales[row * ((width + 127) / 128) + at / 128] = scale;
    }
}

// BF16 to 12 bits (5 of exponent, 6 of mantissa) and a scale, a row a block of 128 threads.
extern "C" __global__ void cast_e5m6(const u16* in, u32* out, float* scales, u32 width) {
    u64 row = blockIdx.x;
    #pragma unroll 1
    for (u32 base = 0; base < width; base += 1024) {
        u32 at = base + threadIdx.x * 8;
        float x[8];
        unpack(*(const uint4*)(in + row * width + at), x);
        float scale = fmaxf(max_over<16>(max_of(0.0f, x, 8)), TINY) / E5M6_MAX, back = 1.0f / scale;
        u32 bits[8];
        #pragma unroll
        for (int i = 0; i < 8; i++) {
            u16 half;
            asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(x[i] * back));
            bits[i] = (half + 7u + (half >> 4 & 1u)) >> 4;
        }
        u32* to = out + (row * width + at) / 8 * 3;
        to[0] = bits[0] | bits[1] << 12 | bits[2] << 24;
        to[1] = bits[2] >> 8 | bits[3] << 4 | bits[4] << 16 | bits[5] << 28;
        to[2] = bits[5] >> 4 | bits[6] << 8 | bits[7] << 20;
        if (threadIdx.x % 16 == 0) scales[(row * width + at) / 128] = scale;
    }
}

// And back, over the whole tensor.
extern "C" __global__ void cast_back_e5m6(const u32* in, const float* scales, u16* out, u64 elements) {
    #pragma unroll 1
    for (u64 at = ((u64)blockIdx.x * 128 + threadIdx.x) * 8; at < elements; at += (u64)gridDim.x * 128 * 8) {
        const u32* from = in + at / 8 * 3;
        u32 a = from[0], b = from[1], c = from[2];
        u32 bits[8] = {a, a >> 12, a >> 24 | b << 8, b >> 4, b >> 16, b >> 28 | c << 4, c >> 8, c >> 20};
        float scale = scales[at / 128], x[8];
        #pragma unroll
        for (int i = 0; i < 8; i++) x[i] = from_half((u16)(bits[i] << 4)) * scale;
        *(uint4*)(out + at) = pack(x);
    }
}

// FP8 to BF16 over the whole tensor, one block of 1024 an SM.
extern "C" __global__ void __launch_bounds__(1024, 2)
cast_back(const u8* in, const float* scales, u16* out, u64 elements) {
    #pragma unroll 1
    for (u64 at = ((u64)blockIdx.x * 1024 + threadIdx.x) * 8; at < elements; at += (u64)gridDim.x * 1024 * 8) {
        uint2 v = *(const uint2*)(in + at);
        float scale = scales[at / 128], x[8];
        u32 w[2] = {v.x, v.y};
        #pragma unroll
        for (int i = 0; i < 4; i++) {
            float2 p = unpack_fp8((u16)(w[i / 2] >> 16 * (i % 2)));
            x[2 * i] = p.x * scale; x[2 * i + 1] = p.y * scale;
        }
        *(uint4*)(out + at) = pack(x);
    }
}

// FP32 scales [rows, width] to [width, rows], 128x128 a block of 512 threads.
extern "C" __global__ void transpose_scales(const float* in, float* out, u32 rows, u32 width) {
    extern __shared__ float scale_tile[];
    u32 row = blockIdx.x * TILE, column = blockIdx.y * TILE, n = min(TILE, width - column);
    for (u32 at = threadIdx.x * 4; at < TILE * TILE; at += 2048) {
        u32 r = at / TILE, c = at % TILE;
        if (c < n) *(float4*)(scale_tile + r * PITCH + c) = *(const float4*)(in + (u64)(row + r) * width + column + c);
    }
    __syncthreads();
    for (u32 at = threadIdx.x; at < n * TILE; at += 512) {
        u32 c = at / TILE, r = at % TILE;
        out[(u64)(column + c) * rows + row + r] = scale_tile[r * PITCH + c];
    }
}

// FP8 [rows, width] to [width, rows], 128x128 a block of 512 threads; z counts matrices.
extern "C" __global__ void transpose_fp8(const u8* in, u8* out, u32 rows, u32 width) {
    __shared__ __align__(16) u8 tile[TILE * PITCH];
    u32 n = width / TILE, row = blockIdx.x / n * TILE, column = blockIdx.x % n * TILE;
    #pragma unroll
    for (int turn = 0; turn < 2; turn++) {
        u32 r = threadIdx.x / 8 + turn * 64, c = threadIdx.x % 8 * 16;
        uint4 v = *(const uint4*)(in + (u64)(row + r) * width + column + c);
        u32* to = (u32*)(tile + r * PITCH + c);
        to[0] = v.x; to[1] = v.y; to[2] = v.z; to[3] = v.w;
    }
    __syncthreads();
    // Eight lanes write a line; a lane gathers 16 rows of its column.
    #pragma unroll
    for (int turn = 0; turn < 2; turn++) {
        u32 c = threadIdx.x / 8 + turn * 64, r = threadIdx.x % 8 * 16;
        u32 w[4];
        #pragma unroll
        for (int i = 0; i < 4; i++) {
            const u8* from = tile + (r + 4 * i) * PITCH + c;
            w[i] = from[0] | from[PITCH] << 8 | from[2 * PITCH] << 16 | from[3 * PITCH] << 24;
        }
        *(uint4*)(out + (u64)(column + c) * rows + row + r) = {w[0], w[1], w[2], w[3]};
    }
}

// The second half of every cast with transpose: a thread has half a column of the tile in BF16 or FP8. It writes its 64
// bytes itself, or (STAGED) through the tile, so that eight lanes write a line together.
template <bool STAGED, typename Read>
__device__ void store_columns(Read read, float (*amax)[TILE], void* tile, u8* out, float* scales, u32 rows) {
    u32 c = threadIdx.x % TILE, half = threadIdx.x / TILE;
    float most = 0.0f;
    #pragma unroll 8
    for (u32 i = 0; i < 64; i++) most = fmaxf(most, fabsf(read(half * 64 + i, c)));
    amax[half][c] = most;
    __syncthreads();
    float scale = fmaxf(fmaxf(amax[0][c], amax[1][c]), TINY) / FP8_MAX, back = 1.0f / scale;
    u64 column = blockIdx.x * TILE + c;
    if (half == 0) scales[(u64)blockIdx.y * gridDim.x * TILE + column] = scale;
    auto word = [&](u32 i) {
        u32 r = half * 64 + i * 4;
        return pack_fp8(read(r, c) * back, read(r + 1, c) * back, read(r + 2, c) * back, read(r + 3, c) * back);
    };
    if constexpr (!STAGED) {
        uint4* to = (uint4*)(out + column * rows + blockIdx.y * TILE + half * 64);
        #pragma unroll 2
        for (u32 i = 0; i < 4; i++) to[i] = {word(4 * i), word(4 * i + 1), word(4 * i + 2), word(4 * i + 3)};
    } else {
        u32 w[16], *words = (u32*)tile;
        #pragma unroll
        for (u32 i = 0; i < 16; i++) w[i] = word(i);
        __syncthreads();
        #pragma unroll
        for (u32 i = 0; i < 16; i++) words[c * (PITCH / 4) + half * 16 + i] = w[i];
        __syncthreads();
        #pragma unroll
        for (u32 turn = 0; turn < 4; turn++) {
            u32 mine = threadIdx.x / 8 + turn * 32, at = threadIdx.x % 8 * 4;
            const u32* from = words + mine * (PITCH / 4) + at;
            uint4* to = (uint4*)(out + (u64)(blockIdx.x * TILE + mine) * rows + blockIdx.y * TILE + at * 4);
            *to = {from[0], from[1], from[2], from[3]};
        }
    }
}

// BF16 [rows, width] to FP8 [width, rows] with a scale each 128 rows: 128x128 a block of 256 threads.
template <bool STAGED> __device__ void cast_tile(const u16* in, u8* out, float* scales, u32 rows, u32 width) {
    __shared__ __align__(16) u16 tile[TILE * PITCH];
    __shared__ float amax[2][TILE];
    #pragma unroll 4
    for (u32 turn = 0; turn < 8; turn++) {
        u32 r = threadIdx.x / 16 + turn * 16, c = threadIdx.x % 16 * 8;
        uint4 v = *(const uint4*)(in + (u64)(blockIdx.y * TILE + r) * width + blockIdx.x * TILE + c);
        *(uint2*)(tile + r * PITCH + c) = {v.x, v.y};
        *(uint2*)(tile + r * PITCH + c + 4) = {v.z, v.w};
    }
    __syncthreads();
    auto read = [&](u32 r, u32 c) { return __uint_as_float((u32)tile[r * PITCH + c] << 16); };
    store_columns<STAGED>(read, amax, tile, out, scales, rows);
}

extern "C" __global__ void __launch_bounds__(256)
cast_columns(const u16* in, u8* out, float* scales, u32 rows, u32 width) {
    cast_tile<false>(in, out, scales, rows, width);
}

extern "C" __global__ void __launch_bounds__(256)
cast_columns_staged(const u16* in, u8* out, float* scales, u32 rows, u32 width) {
    cast_tile<true>(in, out, scales, rows, width);
}

// The same from FP8 with scales along the rows; with `from`, row r is read at from[r].
template <bool STAGED> __device__ void recast_tile(const u8* in, const float* in_scales, const int* from, u8* out,
                                                   float* scales, u32 rows, u32 width) {
    __shared__ __align__(16) u8 tile[TILE * PITCH];
    __shared__ float amax[2][TILE], row_scales[TILE];
    #pragma unroll
    for (u32 turn = 0; turn < 4; turn++) {
        u32 r = threadIdx.x / 8 + turn * 32, c = threadIdx.x % 8 * 16, row = blockIdx.y * TILE + r;
        u64 source = from ? from[row] : row;
        uint4 v = *(const uint4*)(in + source * width + blockIdx.x * TILE + c);
        u32* to = (u32*)(tile + r * PITCH + c);
        to[0] = v.x; to[1] = v.y; to[2] = v.z; to[3] = v.w;
        if (c == 0) row_scales[r] = in_scales[source * (width / 128) + blockIdx.x];
    }
    __syncthreads();
    auto read = [&](u32 r, u32 c) { return unpack_fp8(tile[r * PITCH + c]).x * row_scales[r]; };
    store_columns<STAGED>(read, amax, tile, out, scales, rows);
}

extern "C" __global__ void __launch_bounds__(256)
recast_columns(const u8* in, const float* in_scales, const int* from, u8* out, float* scales, u32 rows, u32 width) {
    recast_tile<false>(in, in_scales, from, out, scales, rows, width);
}

extern "C" __global__ void __launch_bounds__(256)
recast_columns_staged(const u8* in, const float* in_scales, const int* from, u8* out, float* scales, u32 rows,
                      u32 width) {
    recast_tile<true>(in, in_scales, from, out, scales, rows, width);
}

// SwiGLU of gate and up (halves of a row of `2 width`), weighted a row, to FP8: a row a block of 128 threads.
extern "C" __global__ void swiglu_cast(const u16* in, const float* weights, u8* out, float* scales, u32 width) {
    u64 row = blockIdx.x;
    float weight = weights[row];
    #pragma unroll 1
    for (u32 base = 0; base < width; base += 1024) {
        u32 at = base + threadIdx.x * 8;
        bool inside = at < width;
        float g[8] = {}, u[8] = {};
        if (inside) {
            unpack(*(const uint4*)(in + row * 2 * width + at), g);
            unpack(*(const uint4*)(in + row * 2 * width + width + at), u);
        }
        #pragma unroll
        for (int i = 0; i < 8; i++) g[i] = silu(g[i]) * u[i] * weight;
        store_fp8(g, inside, row, width, at, out, scales);
    }
}

// SwiGLU to FP8 [width, rows]: 128x128 a block of 256 threads.
extern "C" __global__ void __launch_bounds__(256)
swiglu_cast_columns(const u16* in, u8* out, float* scales, u32 rows, u32 width) {
    __shared__ __align__(16) u16 tile[TILE * PITCH];
    __shared__ float amax[2][TILE];
    #pragma unroll 2
    for (u32 turn = 0; turn < 8; turn++) {
        u32 r = threadIdx.x / 16 + turn * 16, c = threadIdx.x % 16 * 8;
        const u16* at = in + (u64)(blockIdx.y * TILE + r) * 2 * width + blockIdx.x * TILE + c;
        float g[8], u[8];
        unpack(*(const uint4*)at, g);
        unpack(*(const uint4*)(at + width), u);
        #pragma unroll
        for (int i = 0; i < 8; i++) g[i] = silu(g[i]) * u[i];
        uint4 v = pack(g);
        *(uint2*)(tile + r * PITCH + c) = {v.x, v.y};
        *(uint2*)(tile + r * PITCH + c + 4) = {v.z, v.w};
    }
    __syncthreads();
    auto read = [&](u32 r, u32 c) { return __uint_as_float((u32)tile[r * PITCH + c] << 16); };
    store_columns<false>(read, amax, tile, out, scales, rows);
}

// Eight numbers of SwiGLU's gradient, in place of gate and up; `y` becomes the output.
__device__ void swiglu_gradient(float* g, float* u, const float* d, float* y) {
    #pragma unroll
    for (int i = 0; i < 8; i++) {
        float s = 1.0f / (1.0f + __expf(-g[i])), a = g[i] * s;
        y[i] = a * u[i];
        g[i] = d[i] * u[i] * (s + a * (1.0f - s));
        u[i] = d[i] * a;
    }
}

// Gate-up and the output's gradient in, gate-up gradient out: one block of 1024 an SM over the whole tensor.
extern "C" __global__ void __launch_bounds__(1024)
swiglu_backward(const u16* in, const u16* gradient, u16* out, u32 rows, u32 width) {
    u64 elements = (u64)rows * width;
    #pragma unroll 1
    for (u64 at = ((u64)blockIdx.x * 1024 + threadIdx.x) * 8; at < elements; at += (u64)gridDim.x * 1024 * 8) {
        u64 gate = at / width * 2 * width + at % width;
        float g[8], u[8], d[8], y[8];
        unpack(*(const uint4*)(in + gate), g);
        unpack(*(const uint4*)(in + gate + width), u);
        unpack(*(const uint4*)(gradient + at), d);
        swiglu_gradient(g, u, d, y);
        *(uint4*)(out + gate) = pack(g);
        *(uint4*)(out + gate + width) = pack(u);
    }
}

// The same, weighted, with output and weighted output beside: two rows a block of 128 threads.
extern "C" __global__ void __launch_bounds__(128)
swiglu_both(const u16* in, const u16* gradient, const float* weights, u16* out, u16* plain, u16* weighted, u32 width) {
    u64 row = blockIdx.x * 2 + threadIdx.x / 64;
    float weight = weights[row];
    #pragma unroll 4
    for (u32 at = threadIdx.x % 64 * 8; at < width; at += 512) {
        u64 gate = row * 2 * width + at, one = row * width + at;
        float g[8], u[8], d[8], y[8];
        unpack(*(const uint4*)(in + gate), g);
        unpack(*(const uint4*)(in + gate + width), u);
        unpack(*(const uint4*)(gradient + one), d);
        #pragma unroll
        for (int i = 0; i < 8; i++) d[i] *= weight;
        swiglu_gradient(g, u, d, y);
        *(uint4*)(out + gate) = pack(g);
        *(uint4*)(out + gate + width) = pack(u);
        *(uint4*)(plain + one) = pack(y);
        #pragma unroll
        for (int i = 0; i < 8; i++) y[i] *= weight;
        *(uint4*)(weighted + one) = pack(y);
    }
}

// Gradient of the weights: a row's output times its gradient. A warp a token and pick; picks elsewhere have row -1.
extern "C" __global__ void swiglu_weights(float* out, const u16* a, const u16* b, const int* rows, u32 width) {
    u32 pick = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
    int row = rows[pick];
    float sum = 0.0f;
    if (row >= 0) {
        #pragma unroll 2
        for (u32 at = lane * 8; at < width; at += 256) {
            float x[8], y[8];
            unpack(*(const uint4*)(a + (u64)row * width + at), x);
            unpack(*(const uint4*)(b + (u64)row * width + at), y);
            #pragma unroll
            for (int i = 0; i < 8; i++) sum = fmaf(x[i], y[i], sum);
        }
        sum = sum_over_warp(sum);
    }
    if (lane == 0) out[pick] = sum;
}
